"""What distillation minimises, as pure functions of tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.distillation.teacher import line_up
from nst.losses import gram
from nst.objective import Features

NEAR = 0.01
"""Square of the distance to a style, relative to its Gram matrix, below which an image is as near as it need be."""


def mean_square(x: Tensor) -> Tensor:
    """Of (B, C, H, W), in float32. What torch's own loss gives, without its detours for channels-last features."""
    flat = x.float().permute(0, 2, 3, 1).flatten()
    return torch.dot(flat, flat) / len(flat)


def guidance_error(slim: Features, teacher: Features, images: Tensor, styles: Tensor, layer: str) -> Tensor:
    """How far slim leads another way than a teacher does, from images to the Gram matrices of styles; a scalar.

    The squared error of the gap between the Gram matrices of images and of styles, over the square of the gap itself,
    so that it counts the more the nearer an image has come; summed over the layers. Plus, for `layer`, 1 - the cosine
    of the angle between slim's and the teacher's gradient of the style loss over the pixels (after Czarnecki et al.
    2017, "Sobolev Training for Neural Networks").
    slim, teacher: (B, 3, H, W) in [0, 1] → features by the teacher's layers, in one scale; the teacher's may be larger.
    """
    pixels = images.clone().requires_grad_(True)
    given, given_of_style = slim(pixels), slim(styles)
    gaps, _, slope = _lead(pixels, given, given_of_style, layer)
    pixels = images.clone().requires_grad_(True)
    seen, of_style = (
        {name: line_up(each, given[name]) for name, each in teacher(pictures).items()} for pictures in (pixels, styles)
    )
    right_gaps, scales, right_slope = _lead(pixels, seen, of_style, layer)
    errors = [
        (_size(gaps[name] - right.detach()) / (_size(right) + NEAR * scales[name]).detach()).mean()
        for name, right in right_gaps.items()
    ]
    return torch.stack(errors).sum() + (1 - F.cosine_similarity(slope, right_slope.detach())).mean()


def _lead(
    pixels: Tensor, features: Mapping[str, Tensor], of_style: Mapping[str, Tensor], layer: str
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Gaps between Gram matrices, mean squares of those of the styles, and the gradient of one layer's style loss."""
    wanted = {name: gram(each) for name, each in of_style.items()}
    gaps = {name: gram(each) - wanted[name] for name, each in features.items()}
    scales = {name: _size(each) for name, each in wanted.items()}
    loss = (_size(gaps[layer]) / scales[layer]).sum()
    (slope,) = torch.autograd.grad(loss, pixels, create_graph=of_style[layer].requires_grad)
    return gaps, scales, slope.flatten(1)


def _size(matrices: Tensor) -> Tensor:
    """Mean squares of (B, C, C) matrices: (B)."""
    return matrices.square().mean((1, 2))
