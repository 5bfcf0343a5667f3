"""Neighbors: every position's features become those of the style's position that is nearest to them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nst.errors import InputError
from nst.losses.style.base import STYLE_LOSSES
from nst.losses.style.feature_set import FeatureSet

NORM_FLOOR = 1e-4
"""Added to the squared norm of a feature vector, of which it is about C: the gradient is finite for a zero vector."""
BLOCK = 2**26
"""Bytes of similarities that are in memory at a time."""

Neighborhood = tuple[Tensor, Tensor]
"""The style's mean feature (1, 1, C), and features (B or 1, N, C) of the style, less the mean, as unit vectors."""


@STYLE_LOSSES.register("neighbors")
@dataclass(frozen=True)
class Neighbors(FeatureSet):
    """Mean of 1 − cosine between each position's features and the style's that are nearest to them, in a layer.

    The loss is that of NNFM (Zhang et al. 2022, "ARF") and NNST (Kolkin et al. 2022). The search subtracts from each
    image's features their own mean, as NNST does, so that a dark image does not match the style's dark places only.
    The cosine of the loss subtracts the style's mean from both: with a mean of its own the image's could drift.
    Departures from NNST: each layer is matched by itself, not as a part of hypercolumns; the style is not rotated; the
    search does not mix the content into the image.

    positions: of the style that are searched, at most, at least 1; drawn at random, always the same.
    """

    scale: ClassVar[float] = 5e-4
    positions: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions < 1:
            raise InputError(f"positions={self.positions}: must be at least 1")

    def target(self, statistic: Tensor) -> Neighborhood:
        mean, number = statistic.mean(1, keepdim=True), statistic.shape[1]
        if number > self.positions:  # at random: evenly spaced ones would all lie in a few columns of the image
            chosen = torch.randperm(number, generator=torch.Generator().manual_seed(0))[: self.positions]
            statistic = statistic[:, chosen.to(statistic.device)]
        return mean, _directions(statistic - mean)

    def prepare(self, target: Neighborhood, statistic: Tensor, number: int) -> Neighborhood:
        """For each position of features (B, N, C) the style's nearest."""
        mean, style = target
        queries = (statistic - statistic.mean(1, keepdim=True)).flatten(0, 1)
        rows = max(1, BLOCK // (style.shape[1] * style.element_size()))
        with torch.autocast(statistic.device.type, enabled=False):
            nearest = torch.cat([(block @ style[0].T).argmax(1) for block in torch.split(queries, rows)])
        return mean, style[0, nearest].view_as(statistic)

    def distance(self, statistic: Tensor, target: Neighborhood) -> Tensor:
        """As half the squared distance of unit vectors, which is 1 − cosine, and 0 for two zero vectors."""
        mean, matched = target
        return (_directions(statistic - mean) - matched).square().sum(2).mean() / 2


def _directions(features: Tensor) -> Tensor:
    """Features (B, N, C) as unit vectors; shorter where they are nearly zero."""
    return features * (features.square().sum(2, keepdim=True) + NORM_FLOOR).rsqrt()
