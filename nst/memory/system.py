"""The machine's memory: how much is free, whether it ran out, and keeping freed memory for the next step."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from nst import devices
from nst.errors import InputError

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
        name = Path("/proc/self/cgroup").read_text().partition("0::")[2].splitlines()[0]
        inside = Path("/sys/fs/cgroup") / name.lstrip("/")
        for group in (inside, *inside.parents)[: len(Path(name).parts)]:
            limit = group / "memory.max"
            if limit.exists() and (most := limit.read_text().strip()) != "max":
                used = float((group / "memory.current").read_text())
                facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                reclaimable = float(facts["inactive_file"])
                left.append(max(0.0, float(most) - used + reclaimable))
    except (OSError, IndexError, KeyError, ValueError):  # not Linux, or version 1 of control groups
        pass
    return left


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
