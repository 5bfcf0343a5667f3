"""Self-similarity: the content loss of STROTSS (Kolkin et al. 2019)."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.content.base import CONTENT_LOSSES, ContentLoss

EPSILON = 1e-8
"""Keeps the columns of a constant image from a division by zero."""


class Similarity(NamedTuple):
    """The distances between positions of a feature map, and which positions they are."""

    distances: Tensor
    """(B, N, N), each column with the sum 1."""
    positions: Tensor
    """(N,): indices into the map's H·W positions, ascending."""
    rows: list[int]
    """(N,): their rows. A list: a tensor's values cannot be read without synchronizing the device."""
    width: int
    """W, of the map."""


@CONTENT_LOSSES.register("self_similarity")
@dataclass(frozen=True)
class SelfSimilarity(ContentLoss):
    """Compares how alike an image's positions are to each other, not what they look like (Kolkin et al. 2019, eq. 8).

    Cosine distances between the features of any two positions, columns divided by their sum; the loss is the mean over
    columns of the sum of absolute differences, in [0, 2]. It does not depend on the scale of the features. Departures:
    a layer is compared by itself, not all layers stacked in hypercolumns, and the positions are a fixed grid, not
    random, so that L-BFGS minimizes one function.
    """

    most: ClassVar[int] = 1024
    """At most so many positions, as in the paper."""
    scale: ClassVar[float] = 30.0
    """Factor with which `content_weight` keeps as much of the content as with feature distances (measured)."""

    def target(self, features: Tensor) -> Similarity:
        height, width = features.shape[2:]
        step = max(1.0, (height * width / self.most) ** 0.5)
        rows, columns = (_every(step, side) for side in (height, width))
        positions = (rows[:, None] * width + columns).flatten().to(features.device)
        in_rows = rows.repeat_interleave(len(columns)).tolist()
        return Similarity(_distances(_at(features, positions)), positions, in_rows, width)

    def part(self, features: Tensor, rows: slice, target: Similarity) -> Tensor:
        """Features (B, n, C) at the strip's positions."""
        first = rows.start or 0
        inside = slice(bisect_left(target.rows, first), bisect_left(target.rows, first + features.shape[2]))
        return _at(features, target.positions[inside] - first * target.width)

    def distance(self, parts: Sequence[Tensor], target: Similarity) -> Tensor:
        difference = _distances(torch.cat(list(parts), dim=1)) - target.distances
        return self.scale * difference.abs().sum(1).mean()


def _at(features: Tensor, positions: Tensor) -> Tensor:
    """Features (B, C, H, W) at N positions: (B, N, C)."""
    return features.float().flatten(2).index_select(2, positions).transpose(1, 2)


def _every(step: float, side: int) -> Tensor:
    """Indices `step` apart, or a little more, centered in a side."""
    count = max(1, int(side / step))
    return ((torch.arange(count) + 0.5) * side / count).long()


def _distances(features: Tensor) -> Tensor:
    """Cosine distances (B, N, N) between features (B, N, C), columns with the sum 1."""
    with torch.autocast(features.device.type, enabled=False):
        directions = F.normalize(features, dim=2)
        distances = (1 - directions @ directions.transpose(1, 2)).clamp_min(0)
        return distances / (distances.sum(1, keepdim=True) + EPSILON)
