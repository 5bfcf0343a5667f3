"""The machine's memory: how much is free, whether it ran out, and keeping freed memory for the next step."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from nst import devices
from nst.errors import InputError

ROOT = Path("/")
"""Of the file system."""
OUT_OF_MEMORY = ("can't allocate memory", "MPS backend out of memory")
"""Texts of the RuntimeErrors that torch raises on a CPU and on MPS when memory runs out."""
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameter numbers of mallopt(3)."""
TOP_UP = 256 * 2**20
"""Bytes that glibc requests from the system at a time."""


def free_bytes(device: torch.device) -> float:
    """Bytes that this process can still allocate for a device.

    For CUDA the GPU's free memory; for the CPU, and for MPS, which shares its memory, the machine's available memory
    within the limits of the container.
    """
    own = devices.free_bytes(device)
    if own is not None:
        return own
    if library := _glibc():
        library.malloc_trim(0)  # returns to the system what glibc kept after an earlier job
    return min([psutil.virtual_memory().available, *_control_groups()])


def _control_groups() -> list[float]:
    """Bytes left in each control group (container, cluster job) that limits this process; empty if there is none."""
    left = []
    try:
        lines = (ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        for files in CONTROL_GROUPS:
            if files.controller in controllers.split(","):
                inside = ROOT / files.place / name.lstrip("/")
                # a container may see its own group as the root, but be told its name outside
                groups = [*(inside, *inside.parents)[: len(Path(name).parts)], ROOT / files.place]
                left += [bytes_left for group in dict.fromkeys(groups) if (bytes_left := files.left(group)) is not None]
    return left


@dataclass(frozen=True)
class _GroupFiles:
    """Where a version of control groups keeps what. reclaimable: the key, in memory.stat, of cached files."""

    controller: str
    place: str
    limit: str
    used: str
    reclaimable: str

    def left(self, group: Path) -> float | None:
        """Bytes left in a group; None if it has no limit."""
        try:
            most = (group / self.limit).read_text().strip()
            if most == "max" or int(most) >= NO_LIMIT:
                return None
            used = float((group / self.used).read_text())
            facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return max(0.0, float(most) - used + float(facts.get(self.reclaimable, 0)))
        except (OSError, ValueError):
            return None


NO_LIMIT = 2**62
"""Bytes; version 1 writes nearly 2⁶³ for no limit."""
CONTROL_GROUPS = (
    _GroupFiles("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    _GroupFiles(
        "memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
)
"""Versions 2 and 1."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the CPU or of a GPU ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for this process; without glibc it does nothing.

    By default glibc returns large blocks as soon as they are freed, and the system zeroes each page when it hands
    them out again. For slim at 512 px that takes a tenth of each step.
    """
    if library := _glibc():
        for name, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, TOP_UP)):
            library.mallopt(name, value)


def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


@contextmanager
def explaining_out_of_memory(lighter: str) -> Iterator[None]:
    """Turn running out of memory into an InputError of one line. lighter: keys and values that need less."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"out of memory: take {lighter}") from None
