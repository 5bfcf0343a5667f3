"""Initialize a student from its teacher rather than at random."""

import torch
from torch import Tensor, nn

from nst.backbones import Backbone
from nst.slim.columns import Columns
from nst.slim.student import Student, of_slim


@torch.no_grad()
def start_from(teacher: Backbone, student: Student, images: Tensor) -> None:
    """Initialize a student's layers from the teacher's, first to last. images: (B, 3, H, W) in [0, 1].

    The teacher's layers are slim's, from the first on. Of a convolution of the teacher it picks the output channels
    that explain most of the others' variance over the images. Their input is the teacher's features, as reconstructed
    by least squares from the student's (after Zhang et al. 2015, "Accelerating Very Deep Convolutional Networks": so
    errors do not add up). A student's layer is scaled to a mean square of 1.
    The reconstruction is of features before a pooling, and used after it, where it is not exact.
    """
    given, before = (images - student.mean) / student.std, ""
    features, at = teacher(images), 0
    for layer, wanted in features.items():
        index = student.reads[of_slim(layer)]
        conv = student.convolutions()[of_slim(layer)]
        original: nn.Conv2d = teacher.features[teacher.index_of(layer) - 1]  # type: ignore[assignment]
        assert original.bias is not None
        assert conv.bias is not None
        picked = pick_channels(_covariance(wanted), conv.out_channels)
        weight, bias = original.weight[picked], original.bias[picked]
        if before:
            slope, offset = reconstruction(given, features[before])
            bias = bias + torch.einsum("ojyx,j->o", weight, offset)
            weight = torch.einsum("ojyx,ji->oiyx", weight, slope)
        between = list(student.features[at : index - 1])
        if between and isinstance(between[0], nn.MaxPool2d):
            given = between.pop(0)(given)
        if between:
            squeeze: nn.Conv2d = between[0]  # type: ignore[assignment]
            down, weight, shift = squeezed(weight, squeeze.out_channels, given)
            squeeze.weight.copy_(down[..., None, None])
            bias = bias + shift
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
        for module in student.features[index - 1 - len(between) : index + 1]:
            given = module(given)
        size = given.square().mean().sqrt()
        conv.weight.div_(size)
        conv.bias.div_(size)
        given, before, at = given / size, layer, index + 1


def squeezed(weight: Tensor, channels: int, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a convolution into a 1×1 convolution to few channels and one from them.

    Of all such splits it has the least error over the positions of `given`, the input (B, I, H, W), summed over the
    nine places of the kernel. weight: (O, I, 3, 3). Returns the weights (channels, I) and (O, channels, 3, 3), and
    what to add to the bias, (O): it makes up for the mean of the part that is lost.
    """
    values, vectors = torch.linalg.eigh(_covariance(given).double())
    values = values.clamp_min(1e-6 * values.mean())  # less is a rounding error of float32
    root, inverse = ((vectors * values.pow(power)) @ vectors.T for power in (0.5, -0.5))
    rows = weight.double().permute(0, 2, 3, 1).reshape(-1, weight.shape[1])
    basis = torch.linalg.svd(rows @ root, full_matrices=False)[2][:channels]
    down, up = basis @ inverse, rows @ root @ basis.T
    lost = (rows - up @ down) @ given.mean((0, 2, 3)).double()
    up = up.reshape(weight.shape[0], *weight.shape[2:], channels).permute(0, 3, 1, 2)
    return down.float(), up.float(), lost.reshape(weight.shape[0], -1).sum(1).float()


def reconstruction(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The linear map of features (B, C, H, W) that is nearest to others, (B, C', H, W), by least squares.

    Returns weight (C', C) and bias (C').
    """
    columns = Columns()
    for few in torch.cat([given, wanted], dim=1).chunk(8):
        columns.add(few.transpose(0, 1).flatten(1).double())
    weight, bias = columns.least_squares(given.shape[1])
    return weight.float(), bias.float()


def _covariance(features: Tensor) -> Tensor:
    """Covariance (C, C) of the channels of (B, C, H, W)."""
    return torch.cov(features.transpose(0, 1).flatten(1))


def pick_channels(covariance: Tensor, count: int) -> list[int]:
    """The `count` channels that explain most of the variance of all: greedy, by a pivoted Cholesky decomposition.

    covariance: (C, C).
    """
    picked: list[int] = []
    rest = covariance.clone()
    for _ in range(count):
        gain = rest.square().sum(0) / rest.diagonal().clamp_min(1e-9)
        gain[picked] = -1
        best = int(gain.argmax())
        picked.append(best)
        rest = rest - torch.outer(rest[:, best], rest[best]) / rest[best, best].clamp_min(1e-9)
    return picked
