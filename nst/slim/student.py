"""slim during training, and the taps through which a run reads it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.backbones.networks.slim import slim


class Student(nn.Module):
    """slim with trainable weights: images (B, 3, H, W) in [0, 1] → {"conv1_1": output of its ReLU, …}.

    mean, std: of the input's channels, (1, 3, 1, 1), as the teachers use them.
    """

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
        """Layer → the convolution before its ReLU."""
        return {layer: self.features[index - 1] for layer, index in self.reads.items()}  # type: ignore[misc]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        outputs = []
        for module in self.features:
            x = module(x)
            outputs.append(x)
        return {layer: outputs[index] for layer, index in self.reads.items()}

    def up_to(self, index: int, images: Tensor) -> Tensor:
        """The output of `features[index]` for images (B, 3, H, W) in [0, 1]."""
        output: Tensor = self.features[: index + 1]((images - self.mean) / self.std)
        return output


class Tapped(nn.Module):
    """The student as a run will use it: each layer is read through its tap.

    taps: layer of slim → weight (C, C) and bias (C), as for `tap`.
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


def fold_heads(weights: list[Tensor], biases: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Fold all heads of a layer into one tap: a map from its C channels to C channels that keeps the heads' distances.

    weights: (C_t, C) each, biases: (C_t) each, of the heads U f + b of one layer. Stack the heads and decompose U = QR.
    Then |U f - U g| = |R f - R g|, and the distances between Gram matrices stay the same under Qᵀ, except for the part
    of b outside U's range. Returns R, (C, C), and Qᵀ b, (C).
    """
    device = weights[0].device
    q, r = torch.linalg.qr(torch.cat(weights).cpu().double())  # on the CPU: not every device has float64
    return r.float().to(device), (q.T @ torch.cat(biases).cpu().double()).float().to(device)
