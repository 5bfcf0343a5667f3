"""The networks a backbone can be: their modules, their layers' names and where each layer is read."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torchvision
from torch import nn

from nst.layers import squeezenet_names, vgg_names

SLIM_LAYERS = {
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
"""Layer of slim → channels to which it squeezes what it is given, as SqueezeNet's fire modules do, and its own."""


@dataclass
class Network:
    """A stack of modules without weights (on the meta device), and what can be read from it."""

    features: nn.Sequential
    reads: dict[str, int]
    """Layer name → index of the module in `features` whose output that layer is."""
    taps: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Layer name → linear map applied to what is read; none for a plain network."""


def _torchvision(constructor: Callable[..., nn.Module], names: Callable[[nn.Sequential], list[str]]) -> Network:
    with torch.device("meta"):
        features = constructor(weights=None).features
    assert isinstance(features, nn.Sequential)
    return Network(features, {name: index for index, name in enumerate(names(features))})


def vgg19() -> Network:
    """Simonyan & Zisserman 2015, configuration E: the network of Gatys et al. 2016."""
    return _torchvision(torchvision.models.vgg19, vgg_names)


def vgg16() -> Network:
    """Simonyan & Zisserman 2015, configuration D: the network of Johnson et al. 2016."""
    return _torchvision(torchvision.models.vgg16, vgg_names)


def squeezenet() -> Network:
    """SqueezeNet 1.0, Iandola et al. 2016."""
    return _torchvision(torchvision.models.squeezenet1_0, squeezenet_names)


def slim() -> Network:
    """The embedded network: VGG's first layers, then SqueezeNet's fire modules, with fewer channels (slim.md).

    A layer conv{b}_{i} is a linear map (its tap) of the ReLU after that convolution, in whose output distances are
    those of the teachers' features.
    """
    modules: list[nn.Module] = []
    reads: dict[str, int] = {}
    taps, channels = nn.ModuleDict(), 3
    with torch.device("meta"):
        for layer, (squeeze, width) in SLIM_LAYERS.items():
            if layer.endswith("_1") and modules:
                modules.append(nn.MaxPool2d(2))
            if squeeze:
                modules += [nn.Conv2d(channels, squeeze, 1), nn.ReLU()]
            modules += [nn.Conv2d(squeeze or channels, width, 3, padding=1), nn.ReLU()]
            reads[layer], taps[layer] = len(modules) - 1, nn.Conv2d(width, width, 1)
            channels = width
    return Network(nn.Sequential(*modules), reads, taps)


NETWORKS: dict[str, Callable[[], Network]] = {
    "slim": slim,
    "vgg19": vgg19,
    "vgg16": vgg16,
    "squeezenet": squeezenet,
}
