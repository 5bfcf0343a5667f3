"""Moments: each channel's mean and standard deviation over positions (Li et al. 2017, "Demystifying")."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nst.losses.guide import Guide
from nst.losses.style.base import (
    STYLE_LOSSES,
    StyleLoss,
    Sums,
    in_float32,
    number_of_positions,
    weighted_columns,
)

VARIANCE_FLOOR = 1e-5
"""Added to the variance: the gradient of a root is infinite at 0 (Huang & Belongie 2017, AdaIN's implementation)."""


@STYLE_LOSSES.register("moments")
@dataclass(frozen=True)
class Moments(StyleLoss):
    """Mean squared difference of the means plus that of the standard deviations (Huang & Belongie 2017, eq. 13)."""

    scale: ClassVar[float] = 1e-4

    def sums(self, features: Tensor, guide: Guide | None = None) -> Sums:
        columns, weighted = in_float32(features), weighted_columns(features, guide)
        return weighted.sum(1), (columns * weighted).sum(1), number_of_positions(features, guide)

    def statistic(self, sums: Sums) -> Tensor:
        """Means and standard deviations, (B, 2, C)."""
        total, squares, positions = sums
        mean = total / positions
        variance = (squares / positions - mean.square()).clamp_min(0)  # rounding may leave it below 0
        return torch.stack([mean, (variance + VARIANCE_FLOOR).sqrt()], dim=1)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Both mean squared differences, added: twice the mean over the stack of the two."""
        return 2 * super().distance(statistic, target)
