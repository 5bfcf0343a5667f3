"""SqueezeNet 1.0 (Iandola et al. 2016)."""

from collections.abc import Iterable

from torch import nn
from torchvision import models

from nst.backbones.networks.base import NETWORKS, Architecture, Network, from_torchvision


def squeezenet_names(features: Iterable[nn.Module]) -> list[str]:
    """One name for each module of a SqueezeNet, in order: conv1, relu1, pool1, fire2, … (Iandola 2016, table 1)."""
    names, index = [], 0
    for module in features:
        if isinstance(module, nn.ReLU):
            names.append(f"relu{index}")
        elif isinstance(module, nn.MaxPool2d):
            names.append(f"pool{index}")
        else:
            index += 1
            names.append(f"conv{index}" if isinstance(module, nn.Conv2d) else f"fire{index}")
    return names


def squeezenet() -> Network:
    """SqueezeNet 1.0, Iandola et al. 2016."""
    return from_torchvision(models.squeezenet1_0, squeezenet_names)


NETWORKS["squeezenet"] = Architecture(
    squeezenet,
    official=models.SqueezeNet1_0_Weights.IMAGENET1K_V1,
    style_judges=(("relu1", "conv1"), ("fire4", "fire3"), ("fire8", "fire7"), ("fire9",)),
    content_judges=("fire5", "fire6"),
    hint="layers=squeezenet chooses among them",
)
