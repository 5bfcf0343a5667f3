"""The networks a backbone can be: their modules, their layers' names and where each layer is read."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torchvision
from torch import nn

from nst.layers import squeezenet_names, vgg_names

SLIM_WIDTHS, SLIM_DEPTHS = (24, 48, 96, 128, 128), (2, 2, 2, 2, 1)
"""Channels and convolutions of slim's five blocks: about 7 GMAC at 512², 1/14 of VGG-19."""


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
    """The embedded network: VGG's blocks with fewer channels, distilled from VGG-19 and SqueezeNet (slim.md).

    A layer conv{b}_{i} is a linear map (its tap) of the ReLU after that convolution, in whose output distances are
    those of the teachers' features.
    """
    modules: list[nn.Module] = []
    taps, channels = nn.ModuleDict(), 3
    with torch.device("meta"):
        for block, (width, depth) in enumerate(zip(SLIM_WIDTHS, SLIM_DEPTHS, strict=True), 1):
            for index in range(1, depth + 1):
                modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                taps[f"conv{block}_{index}"] = nn.Conv2d(width, width, 1)
                channels = width
            modules.append(nn.MaxPool2d(2))
    features = nn.Sequential(*modules[:-1])
    reads = {name: index + 1 for index, name in enumerate(vgg_names(features)) if name.startswith("conv")}
    return Network(features, reads, taps)


NETWORKS: dict[str, Callable[[], Network]] = {
    "slim": slim,
    "vgg19": vgg19,
    "vgg16": vgg16,
    "squeezenet": squeezenet,
}
