"""The losses of style transfer as pure functions of tensors."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def gram(features: Tensor, normalize: str = "chw") -> Tensor:
    """Gram matrix of feature maps: which channels fire together, wherever in the image they do.

    features: (B, C, H, W), any floating type. Returns (B, C, C) in float32, divided as `normalized` says.
    """
    return normalized(inner_products(features), features.shape[2] * features.shape[3], normalize)


def normalized(products: Tensor, places: int, normalize: str) -> Tensor:
    """Inner products (B, C, C) summed over so many places, divided.

    normalize: what F Fᵀ is divided by. "none" is Gatys et al. 2016, eq. 3; "hw" makes it independent of the image's
    size; "chw" of the layer's width too (Johnson et al. 2016, eq. 3).
    """
    return products / {"chw": products.shape[1] * places, "hw": places, "none": 1}[normalize]


def inner_products(features: Tensor) -> Tensor:
    """F Fᵀ of feature maps (B, C, H, W) of any floating type: (B, C, C) in float32, as half precision overflows."""
    with torch.autocast(features.device.type, enabled=False):
        # channels-last features flatten to (B, HW, C) without a copy
        return _InnerProducts.apply(features.float().permute(0, 2, 3, 1).flatten(1, 2))


class _InnerProducts(torch.autograd.Function):
    """FᵀF of (B, N, C), whose gradient is one product, F (D + Dᵀ); torch makes two of it, as large as F, and adds."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor) -> Tensor:
        ctx.save_for_backward(columns)
        return columns.transpose(1, 2) @ columns

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        (columns,) = ctx.saved_tensors
        with torch.autocast(columns.device.type, enabled=False):
            return columns @ (slopes + slopes.transpose(1, 2))


def content_loss(features: Tensor, target: Tensor, elements: int | None = None) -> Tensor:
    """Mean squared difference of two (B, C, H, W) feature maps (Johnson et al. 2016, eq. 2; Gatys sums halves).

    elements: of the whole maps, if these are a part of them; what is returned is then the part's share.
    """
    return F.mse_loss(features.float(), target, reduction="sum") / (elements or target.numel())


def style_loss(grams: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of Gram matrices (B, C, C) from `target`, (B or 1, C, C)."""
    return F.mse_loss(grams, target.expand_as(grams))


def tv_loss(image: Tensor) -> Tensor:
    """Total variation of a (B, 3, H, W) image: mean squared difference of vertical and of horizontal neighbours, added.

    0 for a constant image. The regulariser of Mahendran & Vedaldi 2015, section 2, with beta = 2, as a mean.
    """
    rows = F.mse_loss(image[..., 1:, :], image[..., :-1, :])
    columns = F.mse_loss(image[..., :, 1:], image[..., :, :-1])
    return rows + columns


def range_loss(image: Tensor) -> Tensor:
    """Mean squared distance of a (B, 3, H, W) image's values from [0, 1]: 0 for an image that can be shown as it is."""
    return F.mse_loss(image, image.detach().clamp(0, 1))
