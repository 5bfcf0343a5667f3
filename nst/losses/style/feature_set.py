"""Losses of the features themselves, as an unordered set: what `sliced` and `neighbors` have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nst.errors import InputError
from nst.losses.guide import Guide
from nst.losses.style.base import StyleLoss, Sums, in_float32


@dataclass(frozen=True)
class FeatureSet(StyleLoss):
    """A loss whose statistic is the features at all positions, or at those that belong to a region by half or more.

    Strips do not save their memory.

    renew_every: steps, at least 1, between two calls of `prepare`.
    """

    additive: ClassVar[bool] = False
    copies: ClassVar[float] = 3.0  # 2.5 measured: sliced, slim, 1024 px, in five strips, on a CPU
    renew_every: int = 25

    def __post_init__(self) -> None:
        if self.renew_every < 1:
            raise InputError(f"renew_every={self.renew_every}: must be at least 1")

    def sums(self, features: Tensor, guide: Guide | None = None) -> Sums:
        columns = in_float32(features)
        return (columns if guide is None else columns[:, guide.chosen],)

    def combine(self, parts: Iterable[Sums]) -> Sums:
        """The positions of all parts, one after the other."""
        together = [features for (features,) in parts]
        return (together[0] if len(together) == 1 else torch.cat(together, dim=1),)

    def statistic(self, sums: Sums) -> Tensor:
        """The features (B, N, C) at N positions."""
        (features,) = sums
        return features
