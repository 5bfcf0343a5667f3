"""What distillation minimizes, as pure functions of tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.style.gram import gram
from nst.losses.targets import Features
from nst.slim.teacher import crop_like

NEAR = 0.01
"""Squared distance to a style, as a share of its squared Gram matrix: nearer than that, errors weigh no more."""


def mean_square(x: Tensor) -> Tensor:
    """Mean square of (B, C, H, W) in float32, a scalar.

    Equal to torch's own loss, but faster for channels-last features, which it does not copy.
    """
    flat = x.float().permute(0, 2, 3, 1).flatten()
    return torch.dot(flat, flat) / len(flat)


def guidance_error(slim: Features, teacher: Features, images: Tensor, styles: Tensor, layer: str) -> Tensor:
    """How differently slim and a teacher lead images towards styles; a scalar, 0 for the same guidance.

    images, styles: (B, 3, H, W) in [0, 1]. slim, teacher: images → features by the teacher's layers, in the same units;
    the teacher's may have more rows and columns.
    First term, summed over layers: for each network take the gap, the Gram matrix of the image minus that of the style.
    The term is the squared difference of the two gaps over the teacher's squared gap. So errors weigh more as the image
    comes nearer to its style.
    Second term, for `layer` only: 1 - the cosine between slim's and the teacher's gradient of the style loss with
    respect to the pixels (after Czarnecki et al. 2017, "Sobolev Training for Neural Networks").
    """
    pixels = images.clone().requires_grad_(True)
    of_image, of_style = slim(pixels), slim(styles)
    gaps, _, gradient = _guidance(pixels, of_image, of_style, layer)
    pixels = images.clone().requires_grad_(True)
    teachers, teachers_of_style = (
        {name: crop_like(each, of_image[name]) for name, each in teacher(pictures).items()}
        for pictures in (pixels, styles)
    )
    right_gaps, scales, right_gradient = _guidance(pixels, teachers, teachers_of_style, layer)
    errors = [
        (_size(gaps[name] - right.detach()) / (_size(right) + NEAR * scales[name]).detach()).mean()
        for name, right in right_gaps.items()
    ]
    return torch.stack(errors).sum() + (1 - F.cosine_similarity(gradient, right_gradient.detach())).mean()


def _guidance(
    pixels: Tensor, features: Mapping[str, Tensor], of_style: Mapping[str, Tensor], layer: str
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Gaps between Gram matrices, mean squares of the styles' matrices, and the gradient of one layer's style loss."""
    wanted = {name: gram(each) for name, each in of_style.items()}
    gaps = {name: gram(each) - wanted[name] for name, each in features.items()}
    scales = {name: _size(each) for name, each in wanted.items()}
    loss = (_size(gaps[layer]) / scales[layer]).sum()
    (gradient,) = torch.autograd.grad(loss, pixels, create_graph=of_style[layer].requires_grad)
    return gaps, scales, gradient.flatten(1)


def _size(matrices: Tensor) -> Tensor:
    """Mean squares of matrices (B, C, C): (B)."""
    return matrices.square().mean((1, 2))
