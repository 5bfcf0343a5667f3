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


def laplacian(image: Tensor) -> Tensor:
    """The Laplacian, (B, 1, H', W'), of a (B, 3, H, W) image: of the sum of its channels, in squares of 4 × 4 pixels.

    Li et al. 2017, "Laplacian-Steered Neural Style Transfer", section 4: it is large at edges, whatever their colors.
    """
    pooled = F.pad(F.avg_pool2d(image.float(), 4, ceil_mode=True).sum(1, keepdim=True), (1,) * 4, mode="replicate")
    beside = pooled[..., 1:-1, :-2] + pooled[..., 1:-1, 2:] + pooled[..., :-2, 1:-1] + pooled[..., 2:, 1:-1]
    return 4 * pooled[..., 1:-1, 1:-1] - beside
