"""What distillation minimizes, as pure functions of tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.style import StyleLoss
from nst.losses.style.gram import Gram, gram
from nst.losses.targets import Features

NEAR = 0.01
"""Squared distance to a style, as a share of its squared statistic: nearer than that, errors weigh no more."""


def mean_square(x: Tensor) -> Tensor:
    """Mean square of (B, C, H, W) in float32, a scalar.

    Equal to torch's own loss, but faster for channels-last features, which it does not copy.
    """
    flat = x.float().permute(0, 2, 3, 1).flatten()
    return torch.dot(flat, flat) / len(flat)


def guidance_error(
    slim: Features, teacher: Features, pairs: tuple[Tensor, Tensor], layers: Sequence[str], loss: StyleLoss
) -> Tensor:
    """How differently slim and its teacher lead images towards styles; a scalar, 0 for the same guidance.

    slim, teacher: images → features by the teacher's layers, in the same units. pairs: images, and the style of each,
    (B, 3, H, W) in [0, 1].
    First term, summed over `layers` and over two statistics, the Gram matrix and the channels' means: for each network
    take the gap, the statistic of the image minus that of the style. The term is the squared difference of the two gaps
    over the teacher's squared gap. So errors weigh more as the image comes nearer to its style.
    Second term, for the first of the layers: 1 - the cosine between slim's and the teacher's gradient of the style loss
    with respect to the pixels (after Czarnecki et al. 2017, "Sobolev Training for Neural Networks"). The gradient of
    another loss than Gram's has no derivative here: there both networks take the teacher's gradient to its features.
    """
    layer, (images, styles) = layers[0], pairs
    pixels = images.clone().requires_grad_(True)
    theirs = teacher(pixels)
    with torch.no_grad():
        their_style = teacher(styles)
    target = loss.target(loss.statistic(loss.sums(their_style[layer])))
    (cotangent,) = torch.autograd.grad(loss(theirs[layer], target), theirs[layer], retain_graph=True)
    (right,) = torch.autograd.grad(theirs[layer], pixels, cotangent)
    theirs = {name: features.detach() for name, features in theirs.items()}

    pixels = images.clone().requires_grad_(True)
    ours, our_style = slim(pixels), slim(styles)
    if isinstance(loss, Gram):
        led = (gram(ours[layer]) - gram(our_style[layer])).square().sum()
        (gradient,) = torch.autograd.grad(led, pixels, create_graph=True)
    else:
        (gradient,) = torch.autograd.grad(ours[layer], pixels, cotangent, create_graph=True)
    errors = [
        _gap_error(
            (statistic(ours[name]), statistic(our_style[name])), (statistic(theirs[name]), statistic(their_style[name]))
        )
        for statistic in (gram, _means)
        for name in layers
    ]
    # torch's own eps, 1e-8, is more than the gradients of some losses
    cosines = F.cosine_similarity(gradient.flatten(1), right.flatten(1), eps=1e-16)
    return torch.stack(errors).sum() + (1 - cosines).mean()


def _gap_error(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> Tensor:
    """The error of a gap between the statistics of image and style, (B, …) each; a scalar."""
    gap, right = ours[0] - ours[1], theirs[0] - theirs[1]
    return (_size(gap - right) / (_size(right) + NEAR * _size(theirs[1]))).mean()


def _means(features: Tensor) -> Tensor:
    """Mean of each channel, (B, C), of (B, C, H, W)."""
    return features.float().mean((2, 3))


def _size(statistic: Tensor) -> Tensor:
    """Mean squares of (B, …): (B)."""
    return statistic.square().flatten(1).mean(1)
