"""Gram matrices, with the means and standard deviations that a Gram matrix alone lets drift apart."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from nst.errors import InputError
from nst.losses.guide import Guide
from nst.losses.style.base import STYLE_LOSSES, StyleLoss, Sums, number_of_positions, weighted_columns
from nst.losses.style.gram import Gram, inner_products
from nst.losses.style.moments import Moments

GRAM, MOMENTS = Gram(), Moments()


class RawMoments(StyleLoss):
    """A loss of the second moment R = F Fᵀ/N and of the mean μ over the N positions of features F (C, N)."""

    def sums(self, features: Tensor, guide: Guide | None = None) -> Sums:
        total = weighted_columns(features, guide).sum(1)
        return inner_products(features, guide), total, number_of_positions(features, guide)

    def statistic(self, sums: Sums) -> Tensor:
        """R, and μ as one more row: (B, C + 1, C)."""
        products, total, positions = sums
        return torch.cat([products, total[:, None]], dim=1) / positions


@STYLE_LOSSES.register("gram_moments")
@dataclass(frozen=True)
class GramMoments(RawMoments):
    """The loss of `style_loss=gram`, of Gram matrices R/C, plus `moments_weight` times that of `style_loss=moments`.

    Two textures of one Gram matrix can differ in contrast: R = Σ + μμᵀ does not tell how much of it is the mean. The
    sum is that of Galerne et al. ("Scaling Painting Style Transfer"); the balance of the two terms is ours.
    """

    moments_weight: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.moments_weight) and self.moments_weight >= 0):
            raise InputError(f"moments_weight={self.moments_weight}: must be a finite number, at least 0")

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        channels = statistic.shape[2]
        grams = GRAM.distance(statistic[:, :-1] / channels, target[:, :-1] / channels)
        moments = MOMENTS.distance(_moments(statistic), _moments(target))
        return GRAM.scale * grams + self.moments_weight * MOMENTS.scale * moments


def _moments(statistic: Tensor) -> Tensor:
    """Means and standard deviations (B, 2, C) of R and μ."""
    return MOMENTS.statistic((statistic[:, -1], statistic.diagonal(dim1=1, dim2=2), 1))
