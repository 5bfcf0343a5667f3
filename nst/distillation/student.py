"""slim while it is trained, and the taps through which a run sees it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.backbones.networks import slim


class Student(nn.Module):
    """slim with weights to train: (B, 3, H, W) in [0, 1] → {conv1_1: its ReLU, …}."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        network = slim()
        self.features = network.features.to_empty(device="cpu")
        self.reads = network.reads
        for conv in self.features:
            if isinstance(conv, nn.Conv2d):
                conv.padding_mode = "reflect" if conv.padding != (0, 0) else "zeros"
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

    def up_to(self, index: int, images: Tensor) -> Tensor:
        """What the module at `index` of `features` gives for (B, 3, H, W) images."""
        output: Tensor = self.features[: index + 1]((images - self.mean) / self.std)
        return output


class Tapped(nn.Module):
    """The student as a run would see it: its layers through their taps."""

    def __init__(self, student: Student, taps: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.student, self.taps = student, taps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.student(images)
        return {layer: tap(features[layer], *self.taps[layer]) for layer in self.taps}


def tap(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map, weight (C', C) and bias (C'), of the channels of (B, C, H, W) features."""
    return F.conv2d(features, weight[..., None, None], bias)


def fold_heads(weights: list[Tensor], biases: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The tap of a layer: a map of its C channels to C whose distances are those of its heads' outputs.

    weights: (C_t, C) each, biases: (C_t) each, of the heads U f + b of one layer. With all of them stacked, U = QR:
    |U f - U g| = |R f - R g|, and Gram matrices keep their distances under Qᵀ, but for what b has outside U's range.
    Returns R, (C, C), and Qᵀ b, (C).
    """
    q, r = torch.linalg.qr(torch.cat(weights).double())
    return r.float(), (q.T @ torch.cat(biases).double()).float()
