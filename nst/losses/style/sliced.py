"""Sliced Wasserstein: the distributions of features, compared along random directions (Heitz et al. 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.style.base import STYLE_LOSSES
from nst.losses.style.feature_set import FeatureSet

Slices = tuple[Tensor, Tensor]
"""Unit directions (C, C), one a row, and the style's quantiles (1, C, N) along each of them."""


@STYLE_LOSSES.register("sliced")
@dataclass(frozen=True)
class Sliced(FeatureSet):
    """Mean squared difference of sorted projections onto C random unit directions (Heitz et al. 2021).

    Departures: the directions stay for `renew_every` steps, as new ones inside a line search would break it; and the
    style's sorted projections are interpolated, between midpoints, to the image's number of positions.
    """

    scale: ClassVar[float] = 1e-4

    def prepare(self, target: Tensor, statistic: Tensor, number: int) -> Slices:
        """Directions drawn with the seed `number`, and the quantiles of the style's features (1, M, C) along them.

        Of N positions the k-th smallest is the quantile (k − ½)/N. Of M it is read off by linear interpolation; beyond
        the first and the last, those are repeated.
        """
        positions, channels = statistic.shape[1:]
        drawn = torch.randn(channels, channels, generator=torch.Generator().manual_seed(number))
        directions = F.normalize(drawn, dim=1).to(statistic)
        return directions, F.interpolate(_sorted(target, directions), positions, mode="linear", align_corners=False)

    def distance(self, statistic: Tensor, target: Slices) -> Tensor:
        directions, quantiles = target
        return super().distance(_sorted(statistic, directions), quantiles)


def _sorted(features: Tensor, directions: Tensor) -> Tensor:
    """The projections of features (B, N, C) onto each direction, from the smallest to the largest: (B, C, N)."""
    with torch.autocast(features.device.type, enabled=False):
        return (directions @ features.mT).sort(dim=2).values
