"""Memory: how much is free, how much optimising an image takes, and keeping it between steps."""

import ctypes
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from nst.strips import Reach, Strip, cut

WORKING = 2.3
"""Peak of a step in units of the features that it keeps for the gradient: those, the gradients on their way and the
libraries' copies. For slim and VGG-19 at 512 to 1536 px on a CPU it was 1.5 to 2.1."""
IMAGES = 12
"""Images that a step holds beside those that the optimiser remembers: itself, gradients, a direction, …"""
PIXEL = 3 * 4
"""Bytes, in float32."""
LEAST_ROWS = 64
"""A strip of fewer rows of its own mostly sees what others see."""


@dataclass(frozen=True)
class Need:
    """What a step on an image takes, in bytes a pixel: of the strip that is seen, and of the whole."""

    seen: float
    whole: float

    def of(self, height: int, width: int, strips: tuple[Strip, ...]) -> float:
        """Bytes of a step on an image in strips."""
        rows = max(len(range(height)[strip.seen]) for strip in strips)
        return width * (self.seen * rows + self.whole * height)


def need(backbone: nn.Module, remembered: int, side: int, device: torch.device) -> Need:
    """What optimising an image's pixels through a backbone takes, which gives features by layer.

    remembered: images in the optimiser's state. side: pixels of an image that is seen to find out.
    """
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    image = torch.zeros(1, 3, side, side, device=device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        features = backbone(image)
    for tensor in features.values():
        pack(tensor)  # for the Gram matrices
    for weight in backbone.parameters():
        kept.pop(weight.untyped_storage().data_ptr(), None)
    return Need(WORKING * sum(kept.values()) / side**2, PIXEL * (IMAGES + remembered))


@dataclass(frozen=True)
class Plan:
    """How an image is seen: in so many strips of so many rows of their own (None: at once), for so many bytes."""

    rows: int | None
    strips: int
    bytes: float


def plan(need: Need, reach: Mapping[str, Reach], height: int, width: int, free: float) -> Plan:
    """The fewest strips with which a step on an image fits into so many free bytes; of LEAST_ROWS, if none does."""
    tried, parts = planned(need, reach, height, width, None), 1
    while tried.bytes > free and (tried.rows or height) > LEAST_ROWS:
        parts += 1
        tried = planned(need, reach, height, width, max(LEAST_ROWS, math.ceil(height / parts)))
    return tried


def planned(need: Need, reach: Mapping[str, Reach], height: int, width: int, rows: int | None) -> Plan:
    """What it takes to see an image in strips of so many rows."""
    strips = cut(reach, height, rows)
    return Plan(rows, len(strips), need.of(height, width, strips))


def free(device: torch.device) -> float:
    """Bytes that this process can still get: a GPU's, or the machine's within the limits of the container."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if library := _glibc():
        library.malloc_trim(0)  # what was kept for a job before this one is free, too
    return min([psutil.virtual_memory().available, *_containers()])


def _containers() -> list[float]:
    """Bytes left in each control group (of a container, or a cluster's job) around this process that has a limit."""
    left = []
    try:
        name = Path("/proc/self/cgroup").read_text().partition("0::")[2].splitlines()[0]
        inside = Path("/sys/fs/cgroup") / name.lstrip("/")
        for group in (inside, *inside.parents)[: len(Path(name).parts)]:
            limit = group / "memory.max"
            if limit.exists() and (most := limit.read_text().strip()) != "max":
                used = float((group / "memory.current").read_text())
                facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                can_be_read_again = float(facts["inactive_file"])
                left.append(max(0.0, float(most) - used + can_be_read_again))
    except (OSError, IndexError, KeyError, ValueError):  # not Linux, or the groups of before 2016
        pass
    return left


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # what torch's CPU allocator says


TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Numbers of mallopt(3)."""
TOP_UP = 256 * 2**20
"""Bytes got from the system at a time."""


def keep() -> None:
    """Let glibc keep what it has got from the system. Elsewhere nothing is changed.

    It gives large blocks back as soon as they are free, and the system hands them out again page by page, wiped: for
    slim at 512 px a tenth of each step.
    """
    if library := _glibc():
        for name, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, TOP_UP)):
            library.mallopt(name, value)


def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
