"""Estimate the memory of a step that optimizes an image's pixels, and choose strips that fit."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nst.memory.strips import ReceptiveField, Strip, cut

PEAK_FACTOR = 2.3
"""Peak memory of a step, in units of the tensors saved for the backward pass: those tensors, gradients in flight and
the libraries' copies. Measured for slim and VGG-19 at 512 to 1536 px on a CPU: 1.5 to 2.1."""
IMAGES = 12
"""Image-sized tensors in a step besides the optimizer's history: the image, gradients, a direction, …"""
BYTES_PER_PIXEL = 3 * 4
"""RGB in float32."""
READING = 3 * BYTES_PER_PIXEL
"""Bytes per pixel to read an image: its numbers, and copies on the way. Measured at 8000 px a side: 2.5 GB in all."""
TARGET_PIXELS = 1024 * 1024
"""Of a strip where no gradient is needed."""
LEAST_ROWS = 64
"""Own rows of the smallest strip that is planned. In smaller ones most of the work is on the extra rows."""


@dataclass(frozen=True)
class StepMemory:
    """Memory of a step that optimizes an image, in bytes per pixel."""

    strip: float
    """Per pixel of the largest strip: features and their gradients."""
    image: float
    """Per pixel of the whole image: the image, its gradients and the optimizer's state."""
    features: Mapping[str, float] = field(default_factory=dict)
    """Layer → its features, per pixel of the image."""

    def keeping(self, layers: Iterable[str], copies: float) -> "StepMemory":
        """With `copies` of the layers' features of the whole image, although it is processed in strips."""
        return replace(self, image=self.image + copies * sum(self.features[layer] for layer in layers))

    def encoding(self, pixels: int) -> float:
        """Bytes to read an image of so many pixels and to encode it as a target, in strips of TARGET_PIXELS."""
        return READING * pixels + self.strip / PEAK_FACTOR * min(pixels, TARGET_PIXELS)

    def total(self, height: int, width: int, strips: tuple[Strip, ...]) -> float:
        """Bytes of a step on an image of height × width pixels that is processed in `strips`."""
        rows = max(len(range(height)[strip.seen]) for strip in strips)
        return width * (self.strip * rows + self.image * height)


def step_memory(backbone: nn.Module, remembered: int, side: int, device: torch.device) -> StepMemory:
    """Measure the memory of a step by one forward pass of a blank image of side × side pixels.

    backbone: image (B, 3, H, W) → {layer: features}. remembered: image-sized tensors in the optimizer's history.
    """
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    image = torch.zeros(1, 3, side, side, device=device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        features = backbone(image)
    for tensor in features.values():
        pack(tensor)  # the losses save them
    for weight in backbone.parameters():
        saved.pop(weight.untyped_storage().data_ptr(), None)
    return StepMemory(
        PEAK_FACTOR * sum(saved.values()) / side**2,
        BYTES_PER_PIXEL * (IMAGES + remembered),
        {layer: tensor.nbytes / side**2 for layer, tensor in features.items()},
    )


@dataclass(frozen=True)
class Plan:
    """How an image is processed, and the memory of a step."""

    rows: int | None
    """Own rows of a strip; None: the whole image at once."""
    strips: int
    """Number of strips."""
    bytes: float
    """Estimated memory of a step; or of encoding a large style before, if that takes more."""


def fewest_strips(
    memory: StepMemory, fields: Mapping[str, ReceptiveField], height: int, width: int, free: float
) -> Plan:
    """The plan with the fewest strips whose step fits into `free` bytes; strips of LEAST_ROWS if none does.

    fields: layer → its receptive field. height, width: of the image, in pixels.
    """
    plan, parts = plan_strips(memory, fields, height, width, None), 1
    while plan.bytes > free and (plan.rows or height) > LEAST_ROWS:
        parts += 1
        plan = plan_strips(memory, fields, height, width, max(LEAST_ROWS, math.ceil(height / parts)))
    return plan


def plan_strips(
    memory: StepMemory, fields: Mapping[str, ReceptiveField], height: int, width: int, rows: int | None
) -> Plan:
    """The plan for strips of `rows` own rows; None: the whole image at once. Other arguments as in `fewest_strips`."""
    strips = cut(fields, height, rows)
    return Plan(rows, len(strips), memory.total(height, width, strips))
