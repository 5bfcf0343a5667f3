"""slim, the embedded backbone."""

from pathlib import Path

import torch
from torch import nn

from nst.backbones.networks.base import NETWORKS, Architecture, Network

CHANNELS = {
    "conv1_1": (None, 24),
    "conv1_2": (None, 24),
    "conv2_1": (None, 48),
    "conv2_2": (None, 48),
    "conv3_1": (None, 96),
    "conv3_2": (16, 96),
    "conv3_3": (16, 128),
    "conv3_4": (32, 160),
    "conv4_1": (32, 160),
    "conv4_2": (48, 192),
    "conv4_3": (48, 192),
    "conv4_4": (64, 224),
    "conv5_1": (64, 256),
}
"""Layer → channels of the 1×1 convolution before it (None: there is none), and channels of the layer itself.

The 1×1 convolution reduces the channels, as in SqueezeNet's fire modules.
"""


def slim() -> Network:
    """VGG's first layers, then layers like SqueezeNet's fire modules, with fewer channels (model card: slim.md).

    Layer conv{b}_{i} is a linear map (its tap) of the ReLU after that convolution. Distances in its output approximate
    distances between the teachers' features.
    """
    modules: list[nn.Module] = []
    reads: dict[str, int] = {}
    taps, channels = nn.ModuleDict(), 3
    with torch.device("meta"):
        for layer, (squeeze, width) in CHANNELS.items():
            if layer.endswith("_1") and modules:
                modules.append(nn.MaxPool2d(2))
            if squeeze:
                modules += [nn.Conv2d(channels, squeeze, 1), nn.ReLU()]
            modules += [nn.Conv2d(squeeze or channels, width, 3, padding=1), nn.ReLU()]
            reads[layer], taps[layer] = len(modules) - 1, nn.Conv2d(width, width, 1)
            channels = width
    return Network(nn.Sequential(*modules), reads, taps)


NETWORKS["slim"] = Architecture(
    slim,
    embedded=Path(__file__).parents[1] / "slim.safetensors",
    hint="all of VGG's layers are in backbone=vgg19 and backbone=vgg16",
)
