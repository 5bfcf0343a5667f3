"""slim, the embedded backbone."""

from pathlib import Path

import torch
from torch import nn

from nst.backbones.networks.base import NETWORKS, Architecture, Network

CHANNELS = {
    "conv1_1": (None, 16, 16),
    "conv1_2": (None, 16, 16),
    "conv2_1": (None, 48, 48),
    "conv2_2": (32, 64, 64),
    "conv3_1": (48, 96, 96),
    "conv3_2": (48, 160, 160),
    "conv3_3": (48, 160, 160),
    "conv4_1": (64, 320, 224),
    "conv4_2": (80, 320, 224),
    "conv4_3": (80, 320, 224),
    "conv5_1": (128, 384, 288),
}
"""Layer → channels of the 1×1 convolution before it (None: there is none), of the layer itself, and of its tap.

All are multiples of 16, which CPUs compute fastest. The deep taps have fewer channels than their layers, as the time of
`style_loss=wasserstein` grows with the third power of their number.
"""


def slim() -> Network:
    """VGG-16 as far as conv5_1 with fewer channels, reduced further by a 1×1 convolution before most 3×3 ones.

    Layer conv{b}_{i} is a linear map (its tap) of the ReLU after that convolution. Distances in its output approximate
    distances in VGG's relu{b}_{i} (model card: slim.md).
    """
    modules: list[nn.Module] = []
    reads: dict[str, int] = {}
    taps, channels = nn.ModuleDict(), 3
    with torch.device("meta"):
        for layer, (squeeze, width, tapped) in CHANNELS.items():
            if layer.endswith("_1") and modules:
                modules.append(nn.MaxPool2d(2))
            if squeeze:
                modules.append(nn.Conv2d(channels, squeeze, 1, bias=False))
            modules += [nn.Conv2d(squeeze or channels, width, 3, padding=1), nn.ReLU()]
            reads[layer], taps[layer] = len(modules) - 1, nn.Conv2d(width, tapped, 1)
            channels = width
    return Network(nn.Sequential(*modules), reads, taps)


NETWORKS["slim"] = Architecture(
    slim,
    embedded=Path(__file__).parents[1] / "slim.safetensors",
    at_unit_scale=True,
    padding="reflect",
    style_judges=(
        ("conv1_1", "conv1_2"),
        ("conv2_1", "conv2_2"),
        ("conv3_1", "conv3_3", "conv3_2"),
        ("conv4_1", "conv4_3", "conv4_2"),
        ("conv5_1",),
    ),
    content_judges=("conv4_1", "conv4_2", "conv4_3"),
    hint="all of VGG's layers are in backbone=vgg19 and backbone=vgg16",
)
