"""Feature distance: the content loss of Gatys et al. 2016."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nst.losses.content.base import CONTENT_LOSSES, ContentLoss


@CONTENT_LOSSES.register("features")
@dataclass(frozen=True)
class FeatureDistance(ContentLoss):
    """Mean squared difference of feature maps (Johnson et al. 2016, eq. 2; Gatys sums halves)."""

    def target(self, features: Tensor) -> Tensor:
        """The features themselves."""
        return features

    def part(self, features: Tensor, rows: slice, target: Tensor) -> Tensor:
        """The strip's share of the mean."""
        return F.mse_loss(features.float(), target[:, :, rows], reduction="sum") / target.numel()

    def distance(self, parts: Sequence[Tensor], target: Tensor) -> Tensor:
        return sum(parts[1:], parts[0])
