"""Priors: losses of the image alone, as pure functions."""

from torch import Tensor
from torch.nn import functional as F


def tv_loss(image: Tensor) -> Tensor:
    """Total variation of a (B, 3, H, W) image: mean squared difference of vertical plus of horizontal neighbors.

    0 for a constant image. The regularizer of Mahendran & Vedaldi 2015, section 2, with beta = 2, as a mean.
    """
    rows = F.mse_loss(image[..., 1:, :], image[..., :-1, :])
    columns = F.mse_loss(image[..., :, 1:], image[..., :, :-1])
    return rows + columns


def range_loss(image: Tensor) -> Tensor:
    """Mean squared distance of a (B, 3, H, W) image's values from [0, 1]: 0 if every value can be shown as it is."""
    return F.mse_loss(image, image.detach().clamp(0, 1))
