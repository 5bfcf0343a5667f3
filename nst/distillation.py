"""The pieces of distillation: teachers, the student, its start from a teacher, and the images it paints."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.backbones import Backbone
from nst.backbones.networks import slim
from nst.objective import Objective, content_targets, style_targets

PAINTED_STEPS = 30
"""Adam steps that bring an image at most half-way through a transfer."""


@dataclass
class Teacher:
    """A frozen network and what is learnt from it."""

    backbone: Backbone
    pairs: Mapping[str, str]
    """Layer of the teacher → layer of slim."""
    pad: int = 0
    """Pixels of reflection put round its images, so that a network without padding lines up with slim's grid."""

    @torch.no_grad()
    def see(self, images: Tensor) -> dict[str, Tensor]:
        """Features of (B, 3, H, W) images by the teacher's layer names."""
        return self.backbone(F.pad(images, (self.pad,) * 4, mode="reflect"))


class Student(nn.Module):
    """slim with weights to train: (B, 3, H, W) in [0, 1] → {conv1_1: its ReLU, …}."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        network = slim()
        self.features = network.features.to_empty(device="cpu")
        self.reads = network.reads
        for conv in self.convolutions().values():
            conv.padding_mode = "reflect"
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("std", std.clone(), persistent=False)
        self.to(memory_format=torch.channels_last)

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """The convolution whose ReLU each layer is."""
        return {layer: self.features[index - 1] for layer, index in self.reads.items()}  # type: ignore[misc]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        outputs = []
        for module in self.features:
            x = module(x)
            outputs.append(x)
        return {layer: outputs[index] for layer, index in self.reads.items()}


@torch.no_grad()
def start_from(teacher: Teacher, student: Student, photos: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Start a student from a VGG teacher rather than from noise, layer by layer as far as both stack the same ones.

    For each convolution, pick the channels of the teacher's that explain most of the others' variance over photos,
    and fold the least-squares reconstruction of the unpicked ones into the next convolution. photos: uint8 (3, H, W).
    Returns, by the teacher's layers, that reconstruction: weight (C teacher, C student) and bias (C teacher).
    """
    chain = _common_chain(teacher, student)
    sums = {name: _Moments() for name in chain}
    for photo in photos:
        for name, seen in teacher.see(photo[None].float() / 255).items():
            if name in chain:
                sums[name].add(seen[0].flatten(1))
    rebuilt: dict[str, tuple[Tensor, Tensor]] = {}
    for name, original in chain.items():
        conv = student.convolutions()[teacher.pairs[name]]
        mean, covariance = sums[name].result()
        picked = pick_channels(covariance, conv.out_channels)
        assert original.bias is not None
        assert conv.bias is not None
        weight, bias = original.weight[picked], original.bias[picked]
        if rebuilt:
            slope, offset = list(rebuilt.values())[-1]
            bias = bias + torch.einsum("ojyx,j->o", weight, offset)
            weight = torch.einsum("ojyx,ji->oiyx", weight, slope)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
        ridge = 1e-5 * covariance.diagonal().mean() * torch.eye(len(picked))
        slope = covariance[:, picked] @ torch.linalg.inv(covariance[picked][:, picked] + ridge)
        rebuilt[name] = slope, mean - slope @ mean[picked]
    return rebuilt


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


class _Moments:
    """Mean and covariance of columns seen a few at a time."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, torch.zeros(()), torch.zeros(())

    def add(self, columns: Tensor) -> None:
        """columns: (C, N)."""
        self.count += columns.shape[1]
        self.total = self.total + columns.sum(1)
        self.products = self.products + columns @ columns.T

    def result(self) -> tuple[Tensor, Tensor]:
        mean = self.total / self.count
        return mean, self.products / self.count - torch.outer(mean, mean)


def pick_channels(covariance: Tensor, count: int) -> list[int]:
    """The `count` channels that explain most of the variance of all, greedily: pivoted Cholesky of (C, C)."""
    picked: list[int] = []
    rest = covariance.clone()
    for _ in range(count):
        gain = rest.square().sum(0) / rest.diagonal().clamp_min(1e-9)
        gain[picked] = -1
        best = int(gain.argmax())
        picked.append(best)
        rest = rest - torch.outer(rest[:, best], rest[best]) / rest[best, best].clamp_min(1e-9)
    return picked


def fold_heads(weights: list[Tensor], biases: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The tap of a layer: a map of its C channels to C whose distances are those of its heads' outputs.

    weights: (C_t, C) each, biases: (C_t) each, of the heads U f + b of one layer. With all of them stacked, U = QR:
    |U f - U g| = |R f - R g|, and Gram matrices keep their distances under Qᵀ, but for what b has outside U's range.
    Returns R, (C, C), and Qᵀ b, (C).
    """
    q, r = torch.linalg.qr(torch.cat(weights).double())
    return r.float(), (q.T @ torch.cat(biases).double()).float()


def tap(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map, weight (C', C) and bias (C'), of the channels of (B, C, H, W) features."""
    return F.conv2d(features, weight[..., None, None], bias)


class Tapped(nn.Module):
    """The student as a run would see it: its layers through their taps."""

    def __init__(self, student: Student, taps: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.student, self.taps = student, taps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.student(images)
        return {layer: tap(features[layer], *self.taps[layer]) for layer in self.taps}


def paint(backbone: Tapped, content: Tensor, style: Tensor) -> Tensor:
    """Images half-way through transfers or textures of (B, 3, H, W) crops, as the backbone sees them, in [0, 1].

    Adam from the content or from noise, a random number of steps, random layers and weights: the images on which a
    run's gradient is computed, wherever the run has got to.
    """
    layers = list(backbone.taps)
    chosen = [layer for layer in layers if torch.rand(()) < 0.6] or layers
    texture, from_noise = bool(torch.rand(()) < 0.4), bool(torch.rand(()) < 0.5)
    weight = float(10 ** (4 + 4 * torch.rand(())))
    steps = int(torch.randint(PAINTED_STEPS // 3, PAINTED_STEPS + 1, ()))
    parameters = list(backbone.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    kept = content_targets(backbone, content, [] if texture else chosen[-1:])
    objective = Objective(backbone, kept, style_targets(backbone, style, chosen), style_weight=weight)
    pixels = (torch.rand_like(content) if from_noise or texture else content.clone()).requires_grad_(True)
    optimizer = torch.optim.Adam([pixels], lr=0.05)
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            objective(pixels)["total"].backward()
            optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(True)
    return pixels.detach().clamp(0, 1)
