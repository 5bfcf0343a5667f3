"""Self-similarity: the content loss of STROTSS (Kolkin et al. 2019)."""

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
    """The distances between places of a feature map, and which places they are."""

    distances: Tensor
    """(B, N, N), each column with the sum 1."""
    places: Tensor
    """(N,): indices into the H·W positions of the map, ascending."""
    width: int
    """W, of the map."""


@CONTENT_LOSSES.register("self_similarity")
@dataclass(frozen=True)
class SelfSimilarity(ContentLoss):
    """Compares how alike the places of an image are to each other, not what they look like (Kolkin et al. 2019, eq. 8).

    Cosine distances between the features of any two places, columns divided by their sum; the loss is the mean over
    columns of the sum of absolute differences, in [0, 2]. It does not depend on the scale of the features. Departures:
    a layer is compared by itself, not all layers stacked in hypercolumns, and the places are a fixed grid, not random,
    so that L-BFGS minimizes one function.
    """

    places: ClassVar[int] = 1024
    """At most so many places, as in the paper."""
    scale: ClassVar[float] = 30.0
    """Factor with which `content_weight` keeps as much of the content as with feature distances (measured)."""

    def target(self, features: Tensor) -> Similarity:
        height, width = features.shape[2:]
        step = max(1.0, (height * width / self.places) ** 0.5)
        rows, columns = (_every(step, side, features.device) for side in (height, width))
        places = (rows[:, None] * width + columns).flatten()
        return Similarity(_distances(self._at(features, places)), places, width)

    def part(self, features: Tensor, rows: slice, target: Similarity) -> Tensor:
        """Features (B, n, C) of the strip's places."""
        if rows == slice(None):
            return self._at(features, target.places)
        first = (rows.start or 0) * target.width
        inside = (target.places >= first) & (target.places < first + features.shape[2] * target.width)
        return self._at(features, target.places[inside] - first)

    def distance(self, parts: Sequence[Tensor], target: Similarity) -> Tensor:
        difference = _distances(torch.cat(list(parts), dim=1)) - target.distances
        return self.scale * difference.abs().sum(1).mean()

    @staticmethod
    def _at(features: Tensor, places: Tensor) -> Tensor:
        return features.float().flatten(2).index_select(2, places).transpose(1, 2)


def _every(step: float, side: int, device: torch.device) -> Tensor:
    """Indices of a row or column of places, centered, `step` apart."""
    count = max(1, int(side / step))
    return ((torch.arange(count, device=device) + 0.5) * side / count).long()


def _distances(features: Tensor) -> Tensor:
    """Cosine distances (B, N, N) between features (B, N, C), columns with the sum 1."""
    with torch.autocast(features.device.type, enabled=False):
        directions = F.normalize(features, dim=2)
        distances = (1 - directions @ directions.transpose(1, 2)).clamp_min(0)
        return distances / (distances.sum(1, keepdim=True) + EPSILON)
