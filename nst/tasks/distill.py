"""Distilling the embedded backbone: slim learns to see as real networks do, at a fraction of their cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from nst.backbones import Backbone
from nst.backbones.networks import slim
from nst.objective import Objective
from nst.photos import Crops, add_noise, centre
from nst.tasks.chunks import ChunkedTask

WARM_UP = 200
"""Steps over which the learning rate rises to its full value; from there it falls linearly to 0."""
HELD_OUT_SIDE = 128
"""Pixels a side of the held-out photographs' middles, on which the figures are measured."""
POOL, REFRESH_EVERY, PAINTED_STEPS = 64, 10, 30
"""Images of slim's own in the pool; steps after which a batch of them is replaced; Adam steps that paint one."""


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


class Distill(ChunkedTask):
    """Trains slim and, for each teacher layer, a linear head that predicts it from slim's layer.

    The loss is the mean squared error of each head over the variance of its target, summed over the targets; so is the
    figure `loss/LAYER` on the held-out photographs: the share of the layer's variance that slim does not explain.
    photos, held_out: uint8 (3, H, W). on_policy: the share of each batch that slim itself painted, half-way through
    transfers and textures: there its errors matter, and photographs never show them.
    """

    def __init__(
        self,
        teachers: Mapping[str, Teacher],
        photos: list[Tensor],
        held_out: list[Tensor],
        stops: list[int],
        lr: float = 1e-3,
        batch: int = 8,
        crop: int = 96,
        on_policy: float = 0.5,
    ) -> None:
        super().__init__(stops)
        self.teachers = dict(teachers)
        self._frozen = nn.ModuleList(teacher.backbone for teacher in self.teachers.values())
        backbone = next(iter(self.teachers.values())).backbone
        self.student = Student(backbone.mean, backbone.std)
        self.pairs = {
            target: layer for teacher in self.teachers.values() for target, layer in teacher.pairs.items()
        }
        self.crops = Crops(photos, crop)
        self.lr, self.batch, self.painted_share = lr, batch, on_policy
        middles = torch.stack([centre(photo, HELD_OUT_SIDE) for photo in held_out])
        self.register_buffer("held_out", middles, persistent=False)
        self.register_buffer("pool", torch.empty(0, 3, crop, crop, dtype=torch.uint8))
        targets = self.targets(self.crops.draw(32))
        self.heads = nn.ModuleDict()
        for name, layer in self.pairs.items():
            channels = self.student.convolutions()[layer].out_channels
            self.heads[name] = nn.Conv2d(channels, targets[name].shape[1], 1)
            self.register_buffer(f"mean_{name}", targets[name].mean((0, 2, 3), keepdim=True))
            self.register_buffer(f"std_{name}", targets[name].var((0, 2, 3)).mean().sqrt())
            with torch.no_grad():
                self.heads[name].weight.mul_(0.3)
                self.heads[name].bias.zero_()
