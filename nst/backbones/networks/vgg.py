"""VGG-16 and VGG-19 (Simonyan & Zisserman 2015)."""

from collections.abc import Iterable

from torch import nn
from torchvision import models

from nst.backbones.networks.base import NETWORKS, Architecture, Network, from_torchvision


def vgg_names(features: Iterable[nn.Module]) -> list[str]:
    """One name for each module of a stack like VGG's, in order: conv1_1, relu1_1, …, pool1, conv2_1, …"""
    names, block, index = [], 1, 0
    for module in features:
        if isinstance(module, nn.Conv2d):
            index += 1
            names.append(f"conv{block}_{index}")
        elif isinstance(module, nn.ReLU):
            names.append(f"relu{block}_{index}")
        else:
            names.append(f"pool{block}")
            block, index = block + 1, 0
    return names


def vgg19() -> Network:
    """Simonyan & Zisserman 2015, configuration E: the network of Gatys et al. 2016."""
    return from_torchvision(models.vgg19, vgg_names)


def vgg16() -> Network:
    """Simonyan & Zisserman 2015, configuration D: the network of Johnson et al. 2016."""
    return from_torchvision(models.vgg16, vgg_names)


STYLE_JUDGES = tuple((f"relu{block}_1", f"relu{block}_2") for block in range(1, 6))
CONTENT_JUDGES = ("relu4_1", "relu4_2")
NETWORKS["vgg19"] = Architecture(
    vgg19,
    official=models.VGG19_Weights.IMAGENET1K_V1,
    style_judges=STYLE_JUDGES,
    content_judges=CONTENT_JUDGES,
)
NETWORKS["vgg16"] = Architecture(
    vgg16,
    official=models.VGG16_Weights.IMAGENET1K_V1,
    style_judges=STYLE_JUDGES,
    content_judges=CONTENT_JUDGES,
)
