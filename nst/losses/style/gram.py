"""Gram matrices: correlations between channels, summed over positions (Gatys et al. 2015, 2016)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nst.losses.guide import Guide
from nst.losses.style.base import STYLE_LOSSES, StyleLoss, Sums, in_float32, number_of_positions


@STYLE_LOSSES.register("gram")
@dataclass(frozen=True)
class Gram(StyleLoss):
    """Squared Frobenius norm of the difference of Gram matrices F Fᵀ (Gatys et al. 2016, eq. 3 and 4).

    normalize: what F Fᵀ is divided by. "chw", channels and positions, is eq. 4 but for a factor 4, and eq. 3 of Johnson
    et al. 2016: the loss is independent of the image's size and the layer's width. "hw": of the size. "none": Gatys'
    own matrix.
    """

    scale: ClassVar[float] = 5e-5
    normalize: Literal["chw", "hw", "none"] = "chw"

    def sums(self, features: Tensor, guide: Guide | None = None) -> Sums:
        return inner_products(features, guide), number_of_positions(features, guide)

    def statistic(self, sums: Sums) -> Tensor:
        """The Gram matrix (B, C, C)."""
        products, positions = sums
        return products / {"chw": products.shape[1] * positions, "hw": positions, "none": 1}[self.normalize]

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """The squared norm, mean over the batch."""
        return (statistic - target).square().sum((1, 2)).mean()


def gram(features: Tensor, normalize: Literal["chw", "hw", "none"] = "chw") -> Tensor:
    """Gram matrix (B, C, C), float32, of features (B, C, H, W) of any floating type, divided as `Gram` says."""
    loss = Gram(normalize)
    return loss.statistic(loss.sums(features))


def inner_products(features: Tensor, guide: Guide | None = None) -> Tensor:
    """F Fᵀ of features (B, C, H, W) of any floating type: (B, C, C) in float32, as half precision overflows."""
    with torch.autocast(features.device.type, enabled=False):
        product: Tensor = _InnerProducts.apply(in_float32(features if guide is None else features * guide.belongs))
        return product


class _InnerProducts(torch.autograd.Function):
    """XᵀX of X (B, N, C). Its gradient is one product, X (D + Dᵀ); torch's own makes two, each as large as X."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor) -> Tensor:
        ctx.save_for_backward(columns)
        return columns.transpose(1, 2) @ columns

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        (columns,) = ctx.saved_tensors
        with torch.autocast(columns.device.type, enabled=False):
            return columns @ (slopes + slopes.transpose(1, 2))
