"""Wasserstein: how far the features, taken as a Gaussian, must be moved to become the style's."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from nst.losses.style.base import STYLE_LOSSES
from nst.losses.style.gram_moments import RawMoments

RIDGE = 1e-4
"""Added to the variances (crowsonkb/style-transfer-pytorch): a layer may have fewer positions than channels."""


@STYLE_LOSSES.register("wasserstein")
@dataclass(frozen=True)
class Wasserstein(RawMoments):
    """The squared Wasserstein-2 distance of two Gaussians, divided by the number of channels C (Gelbrich 1990):

        (|μ − μ*|² + tr Σ + tr Σ* − 2 tr (Σ*^½ Σ Σ*^½)^½) / C

    of the means μ and the covariances Σ = F Fᵀ/N − μμᵀ + RIDGE·I. As a style loss: crowsonkb/style-transfer-pytorch,
    which takes the root by Newton–Schulz iterations; here only its trace is computed, from eigenvalues.
    All in float64: near the optimum the traces nearly cancel, and float32 leaves no correct digit of what remains.
    """

    scale: ClassVar[float] = 1e-4
    capturable: ClassVar[bool] = False  # torch.linalg.eigh synchronizes the device to check for errors

    def target(self, statistic: Tensor) -> Tensor:
        """Σ*^½, and μ* as one more row: (1, C + 1, C)."""
        values, vectors = torch.linalg.eigh(_covariance(_float64(statistic)))
        root = (vectors * values.clamp_min(RIDGE).sqrt()[:, None]) @ vectors.mT
        return torch.cat([root.to(statistic.dtype).to(statistic.device), statistic[:, -1:]], dim=1)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        ours, style = _float64(statistic), _float64(target)
        covariance, root = _covariance(ours), style[:, :-1]
        shift = (ours[:, -1] - style[:, -1]).square().sum(1)
        traces = covariance.diagonal(dim1=1, dim2=2).sum(1) + root.square().sum((1, 2))
        squared = shift + traces - 2 * _TraceOfRoot.apply(covariance, root)
        return (squared.mean() / statistic.shape[2]).to(statistic.dtype).to(statistic.device)


class _TraceOfRoot(torch.autograd.Function):
    """tr (A Σ A)^½, (B), of covariances Σ (B, C, C) and symmetric A (B or 1, C, C); its slope is ½ A (A Σ A)^-½ A."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor) -> Tensor:
        product = root @ covariance @ root
        finite = product.isfinite().all((1, 2), keepdim=True)
        # eigh raises for some matrices that are not finite; the run must see the loss instead
        values, vectors = torch.linalg.eigh(torch.where(finite, product, torch.eye(product.shape[2]).to(product)))
        values = values.clamp_min(RIDGE**2)  # less is a rounding error: neither Σ nor A² has eigenvalues below RIDGE
        values = torch.where(finite[:, 0], values, torch.nan)
        ctx.save_for_backward(values, vectors, root)
        return values.sqrt().sum(1)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        values, vectors, root = ctx.saved_tensors
        half = (root @ vectors) * values.pow(-0.25)[:, None]
        return slopes[:, None, None] / 2 * (half @ half.mT), None


def _float64(tensor: Tensor) -> Tensor:
    """The tensor in float64; on the CPU if its device has no float64, as Apple's GPUs."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def _covariance(statistic: Tensor) -> Tensor:
    """Σ (B, C, C) of R and μ."""
    second, mean = statistic[:, :-1], statistic[:, -1:]
    return second - mean.mT @ mean + RIDGE * torch.eye(mean.shape[2], dtype=mean.dtype, device=mean.device)
