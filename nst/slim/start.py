"""Initialize a student from its teachers rather than at random."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.squeezenet import Fire

from nst.slim.student import Student
from nst.slim.teacher import Teacher, crop_like


@torch.no_grad()
def start_from(teacher: Teacher, student: Student, images: Tensor) -> None:
    """Initialize those of a student's layers that have a counterpart in the teacher. images: (B, 3, H, W) in [0, 1].

    Of the teacher's convolution it picks the channels that explain most of the other channels' variance over the
    images. Their input is the teacher's features as reconstructed by least squares from the student's.
    """
    chain = _common_chain(teacher, student)
    rebuilt: tuple[Tensor, Tensor] | None = None
    features = teacher.features(images[::2])
    for name, original in chain.items():
        conv = student.convolutions()[teacher.pairs[name]]
        picked = pick_channels(_covariance(features[name]), conv.out_channels)
        assert original.bias is not None
        assert conv.bias is not None
        weight, bias = original.weight[picked], original.bias[picked]
        if rebuilt:
            slope, offset = rebuilt
            bias = bias + torch.einsum("ojyx,j->o", weight, offset)
            weight = torch.einsum("ojyx,ji->oiyx", weight, slope)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
        rebuilt = reconstruction(features[name][:, picked], features[name])
    _start_from_fires(teacher, student, images)


def _start_from_fires(teacher: Teacher, student: Student, images: Tensor) -> None:
    """Initialize squeeze layers from the fire modules of a SqueezeNet, which squeeze to as few channels.

    SqueezeNet's activations grow with depth. The student's are scaled to a mean square of 1: unscaled, the first steps
    of training would undo the initialization. The layer after a ReLU can make up for the scale.
    """
    for layer, of in teacher.pairs.items():
        at = student.reads[of]
        fire: Any = teacher.backbone.features[teacher.backbone.index_of(layer)]
        squeeze: Any = student.features[at - 3]
        if not (isinstance(fire, Fire) and isinstance(squeeze, nn.Conv2d) and squeeze.kernel_size == (1, 1)):
            continue
        conv: Any = student.features[at - 1]
        assert squeeze.bias is not None
        given = teacher.input_of(layer, images)
        slope, offset = reconstruction(student.up_to(at - 4, images), given)
        weight = fire.squeeze.weight.flatten(1)
        squeeze.weight.copy_((weight @ slope)[..., None, None])
        squeeze.bias.copy_(fire.squeeze.bias + weight @ offset)
        picked = pick_channels(_covariance(fire(given)), conv.out_channels)
        conv.weight.copy_(torch.cat([F.pad(fire.expand1x1.weight, (1,) * 4), fire.expand3x3.weight])[picked])
        conv.bias.copy_(torch.cat([fire.expand1x1.bias, fire.expand3x3.bias])[picked])
        size = student.up_to(at - 2, images).square().mean().sqrt()
        squeeze.weight.div_(size)
        squeeze.bias.div_(size)
        conv.weight.mul_(size)
        size = student.up_to(at, images).square().mean().sqrt()
        conv.weight.div_(size)
        conv.bias.div_(size)


def _common_chain(teacher: Teacher, student: Student) -> dict[str, nn.Conv2d]:
    """Teacher layer → its convolution, from the input on, as long as both networks stack the same layers."""
    features, chain, at = teacher.backbone.features, {}, -1
    for layer in student.reads:
        name = layer.replace("conv", "relu")
        if teacher.pairs.get(name) != layer:
            break
        index = teacher.backbone.index_of(name)
        between = [module for module in features[at + 1 : index] if isinstance(module, nn.Conv2d)]
        if len(between) != 1:
            break
        chain[name], at = between[0], index
    return chain


def reconstruction(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The linear map of features (B, C, H, W) that is nearest to others, (B, C', H', W'), by least squares.

    H' and W' may be larger: they are cropped. Returns weight (C', C) and bias (C').
    """
    columns = Moments()
    for few in torch.cat([given, crop_like(wanted, given)], dim=1).chunk(8):
        columns.add(few.transpose(0, 1).flatten(1).double())
    weight, bias = columns.least_squares(given.shape[1])
    return weight.float(), bias.float()


def _covariance(features: Tensor) -> Tensor:
    """Covariance (C, C) of the channels of (B, C, H, W)."""
    return torch.cov(features.transpose(0, 1).flatten(1))


class Moments:
    """Mean and covariance of columns that are added in batches."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, torch.zeros(()), torch.zeros(())

    def add(self, columns: Tensor) -> None:
        """Add N columns of C values, (C, N)."""
        self.count += columns.shape[1]
        self.total = self.total + columns.sum(1)
        self.products = self.products + columns @ columns.T

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean (C) and covariance (C, C) of all columns so far."""
        mean = self.total / self.count
        return mean, self.products / self.count - torch.outer(mean, mean)

    def least_squares(self, count: int) -> tuple[Tensor, Tensor]:
        """The linear map from the first `count` rows that predicts the other rows best.

        Returns weight (C - count, count) and bias (C - count).
        """
        mean, covariance = self.result()
        given = covariance[:count, :count]
        ridge = 1e-9 * given.diagonal().mean() * torch.eye(count, dtype=given.dtype)
        weight = torch.linalg.solve(given + ridge, covariance[:count, count:]).T
        return weight, mean[count:] - weight @ mean[:count]


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
