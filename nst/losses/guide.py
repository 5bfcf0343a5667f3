"""Guides: where in an image a loss looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.images.masks import eroded
from nst.memory.strips import ALL, ReceptiveField

FAINT = 0.2
"""A region to which no position of a layer belongs by this much is not compared there."""


@dataclass(frozen=True)
class Guide:
    """A region at one layer: how far each position of the features belongs to it.

    belongs: (1, 1, H, W) in [0, 1], of the layer's height and width. most: its largest value in the whole image.
    """

    belongs: Tensor
    most: float = 1.0

    @cached_property
    def weights(self) -> Tensor:
        """What each position counts in a sum, (1, 1, H, W) ≥ 0: the square of how far it belongs to the region.

        Gatys et al. 2017, "Controlling Perceptual Factors", section 4, multiply the features by the guide, scaled to a
        mean square of 1, and a Gram matrix multiplies them twice; dividing by the sum of the weights is that scaling.
        """
        return self.belongs.square()

    @cached_property
    def chosen(self) -> Tensor:
        """Indices of the positions, row by row, that belong to the region at least half as far as any does."""
        return torch.nonzero(self.belongs.flatten() >= self.most / 2)[:, 0]

    @property
    def vanishes(self) -> bool:
        """Whether the region is too faint at this layer to be compared."""
        return self.most < FAINT

    def rows(self, rows: slice) -> "Guide":
        """The guide of some rows of the features; the same object for the same rows."""
        if rows == ALL:
            return self
        at = (rows.start, rows.stop)
        if at not in self._cut:
            self._cut[at] = Guide(self.belongs[:, :, rows], self.most)
        return self._cut[at]

    @cached_property
    def _cut(self) -> dict[tuple[int | None, int | None], "Guide"]:
        return {}


def guides_at(
    mask: Tensor,
    fields: Mapping[str, ReceptiveField],
    sizes: Mapping[str, tuple[int, int]],
    inside: bool,
    device: torch.device | None = None,
) -> dict[str, Guide]:
    """Layer → the guide of a region there, on a device. mask: (1, 1, H, W), on the CPU.

    sizes: layer → (H', W') of its features. inside: a position belongs to the region only as far as all of its
    receptive field does (Gatys et al. 2017, section 4); else as far as the pixels at its own place do.
    """
    guides = {}
    for layer, (height, width) in sizes.items():
        field = fields[layer]
        seen = eroded(mask, max(field.above, field.below)) if inside else mask
        pooled = F.avg_pool2d(seen, field.stride, ceil_mode=True) if field.stride > 1 else seen
        top, left = (max(0, (long - short) // 2) for long, short in zip(pooled.shape[2:], (height, width), strict=True))
        kept = pooled[:, :, top : top + height, left : left + width]
        missing = (0, width - kept.shape[3], 0, height - kept.shape[2])
        belongs = F.pad(kept, missing, mode="replicate")
        guides[layer] = Guide(belongs.to(device), float(belongs.max()))
    return guides
