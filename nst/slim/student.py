"""slim during training, and the taps through which a run reads it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.backbones.networks.slim import CHANNELS, slim


def of_slim(layer: str) -> str:
    """The layer of slim that stands for a layer of its teacher: relu3_1 → conv3_1."""
    return layer.replace("relu", "conv")


def taught() -> list[str]:
    """The layers of the teacher that slim has a layer for, in order."""
    return [layer.replace("conv", "relu") for layer in slim().reads]


class Student(nn.Module):
    """slim with trainable weights: images (B, 3, H, W) in [0, 1] → {"conv1_1": output of its ReLU, …}.

    mean, std: of the input's channels, (3, 1, 1), as the teacher uses them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        network = slim()
        self.features = network.features.to_empty(device="cpu")
        self.reads = network.reads
        for module in self.features:
            if isinstance(module, nn.MaxPool2d):
                module.ceil_mode = True  # as in a Backbone, so that slim's maps are as large as its teacher's
            if isinstance(module, nn.Conv2d):
                module.padding_mode = "reflect" if module.padding != (0, 0) else "zeros"
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("std", std.clone(), persistent=False)
        self.to(memory_format=torch.channels_last)

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """Layer → the convolution before its ReLU."""
        return {layer: self.features[index - 1] for layer, index in self.reads.items()}  # type: ignore[misc]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        outputs = []
        for module in self.features:
            x = module(x)
            outputs.append(x)
        return {layer: outputs[index] for layer, index in self.reads.items()}


class Tapped(nn.Module):
    """The student as a run will use it: each layer is read through its tap.

    taps: layer of slim → weight (C', C) and bias (C'), as for `tap`.
    """

    def __init__(self, student: Student, taps: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.student, self.taps = student, taps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.student(images)
        return {layer: tap(features[layer], *self.taps[layer]) for layer in self.taps}


def tap(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Map the channels of features (B, C, H, W) linearly: weight (C', C), bias (C'). Returns (B, C', H, W)."""
    return F.conv2d(features, weight[..., None, None], bias)


def folded(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Fold a head U f + b into a tap: a map from its C channels to C channels that keeps the head's distances.

    weight: U, (C_t, C). bias: b, (C_t). Decompose U = QR. Then |U f - U g| = |R f - R g|, and the distances between
    Gram matrices stay the same under Qᵀ, except for the part of b outside U's range. Returns R, (C, C), and Qᵀ b, (C).
    """
    device = weight.device
    q, r = torch.linalg.qr(weight.cpu().double())  # on the CPU: not every device has float64
    return r.float().to(device), (q.T @ bias.cpu().double()).float().to(device)


def principal(features: Tensor, weight: Tensor, bias: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The tap to the `count` directions in which a tap's output of features (B, C, H, W) is largest.

    weight: (C', C). bias: (C'). Distances keep all but the least part of them that `count` directions can leave out.
    """
    if count == len(weight):
        return weight, bias
    output = tap(features, weight, bias).transpose(0, 1).flatten(1).cpu().double()
    vectors = torch.linalg.eigh(output @ output.T)[1][:, -count:].float().to(weight.device)
    return vectors.T @ weight, vectors.T @ bias


def unit_taps(
    features: Mapping[str, Tensor], teacher: Mapping[str, Tensor], heads: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Layer of slim → weight and bias of its tap, which balance the layers as the teacher's at unit scale are balanced.

    Each layer has the mean square that the teacher's has at a mean activation of 1, times one factor for all of them,
    with which the first layer has a mean activation of 1. To give each layer that would not do: a ReLU's features are
    sparser than their linear maps, and the more so the deeper they are, so deep layers would count too little.
    features, teacher: slim's and the teacher's features of some photographs, (B, C, H, W), by slim's layers, from the
    first on. heads: of each layer, weight (C_t, C) and bias (C_t), as for `folded`.
    """
    taps: dict[str, tuple[Tensor, Tensor]] = {}
    means = []
    for layer, head in heads.items():
        weight, bias = principal(features[layer], *folded(*head), CHANNELS[layer][2])
        output = tap(features[layer], weight, bias)
        wanted = teacher[layer].square().mean() / teacher[layer].abs().mean().square()
        factor = (wanted / output.square().mean()).sqrt()
        taps[layer] = weight * factor, bias * factor
        means.append(factor * output.abs().mean())
    return {layer: (weight / means[0], bias / means[0]) for layer, (weight, bias) in taps.items()}
