"""What a network tells a backbone: its modules, its layers' names, and where its weights come from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torchvision.models import WeightsEnum

from nst.errors import InputError, did_you_mean


@dataclass
class Network:
    """A stack of modules without weights (on the meta device), and the layers that can be read from it."""

    features: nn.Sequential
    reads: dict[str, int]
    """Layer name → index of the module in `features` whose output is that layer."""
    taps: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Layer name → linear map applied to that output; a layer without one is read as it is."""


@dataclass(frozen=True)
class Architecture:
    """A network that a backbone can be, and where its weights come from."""

    build: Callable[[], Network]
    official: WeightsEnum | None = None
    """torchvision's weights, downloaded on first use."""
    embedded: Path | None = None
    """A weights file in the package; it takes precedence over the official one."""
    at_unit_scale: bool = False
    """Whether the weights have the scale of `backbone.scale=unit` already."""
    padding: str = "zeros"
    """With which the network was trained."""
    style_judges: tuple[tuple[str, ...], ...] = ()
    """Layers at which styles are judged: of each resolution some, in order of preference."""
    content_judges: tuple[str, ...] = ()
    """Layers at which contents are judged, at an eighth of the image's resolution, in order of preference."""
    hint: str = ""
    """Advice that follows the list of layers when a layer name is unknown."""


NETWORKS: dict[str, Architecture] = {}
"""Backbone name → its architecture."""


def architecture(name: str) -> Architecture:
    """The architecture of a backbone. Raises InputError for an unknown name."""
    if name not in NETWORKS:
        raise InputError(
            f"backbone.name={name}: no such backbone{did_you_mean(name, NETWORKS)}; "
            f"the backbones are {', '.join(NETWORKS)}"
        )
    return NETWORKS[name]


def from_torchvision(constructor: Callable[..., nn.Module], names: Callable[[nn.Sequential], list[str]]) -> Network:
    """The `features` of a torchvision model. names: modules → their layer names, one each, in order."""
    with torch.device("meta"):
        features = constructor(weights=None).features
    assert isinstance(features, nn.Sequential)
    return Network(features, {name: index for index, name in enumerate(names(features))})
