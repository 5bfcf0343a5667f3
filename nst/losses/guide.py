"""Guides: where in an image a loss looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.images.masks import eroded
from nst.memory.strips import ALL, ReceptiveField


@dataclass(frozen=True)
class Guide:
    """A region at one layer: how far each position of the features belongs to it.

    belongs: (1, 1, H, W) in [0, 1], of the layer's height and width.
    """

    belongs: Tensor

    @property
    def weights(self) -> Tensor:
        """What each position counts in a sum, (1, 1, H, W) ≥ 0: the square of how far it belongs to the region.

        Gatys et al. 2017, "Controlling Perceptual Factors", section 4, multiply the features by the guide, scaled to a
        mean square of 1, and a Gram matrix multiplies them twice; dividing by the sum of the weights is that scaling.
        """
        return self.belongs.square()

    @cached_property
    def chosen(self) -> Tensor:
        """Indices of the positions, row by row, that belong to the region by half or more."""
        return torch.nonzero(self.belongs.flatten() >= 0.5)[:, 0]

    @property
    def vanishes(self) -> bool:
        """Whether no position belongs to the region by half."""
        return len(self.chosen) == 0

    def rows(self, rows: slice) -> "Guide":
        """The guide of some rows of the features."""
        return self if rows == ALL else Guide(self.belongs[:, :, rows])


def guides_at(
    mask: Tensor,
    fields: Mapping[str, ReceptiveField],
    sizes: Mapping[str, tuple[int, int]],
    inside: bool,
) -> dict[str, Guide]:
    """Layer → the guide of a region there. mask: (1, 1, H, W). sizes: layer → (H', W') of its features.

    inside: a position belongs to the region only as far as all of its receptive field does (Gatys et al. 2017, section
    4); else as far as the pixels at its own place do.
    """
    guides = {}
    for layer, size in sizes.items():
        field = fields[layer]
        seen = eroded(mask, max(field.above, field.below)) if inside else mask
        guides[layer] = Guide(F.interpolate(seen, size, mode="area"))
    return guides
