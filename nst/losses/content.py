"""Content losses as pure functions of features."""

from torch import Tensor
from torch.nn import functional as F


def content_loss(features: Tensor, target: Tensor, elements: int | None = None) -> Tensor:
    """Mean squared difference of two (B, C, H, W) feature maps (Johnson et al. 2016, eq. 2; Gatys sums halves).

    elements: the number of values in the whole maps, if these are only a strip of them; the result is then the strip's
    share of the mean.
    """
    return F.mse_loss(features.float(), target, reduction="sum") / (elements or target.numel())
