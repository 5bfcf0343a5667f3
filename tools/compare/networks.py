"""Networks with mean activation 1, to paint with and to judge with."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from nst.backbones.weights import find
from nst.errors import InputError, did_you_mean
from nst.files import version
from nst.losses.targets import Features
from nst.modes.shared import Network, Shared
from nst.session import Session

PADDINGS = {"slim": "reflect"}
"""Backbone → the padding that it was trained with, where that is not zeros."""


class Layers(NamedTuple):
    """What a network is read at, to judge a picture."""

    style: tuple[str, ...]
    """One layer of each resolution that the network has."""
    content: str
    """A layer in the middle of the network, at an eighth of the image's resolution."""


VGG = Layers(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "relu4_1")
JUDGES = {
    "vgg16": VGG,
    "vgg19": VGG,
    "squeezenet": Layers(("relu1", "fire4", "fire8", "fire9"), "fire5"),
    "slim": Layers(("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"), "conv4_1"),
}
"""Backbone → its layers as a judge."""


def unit_network(name: str, layers: Iterable[str], weights: Path | None, first_padding: str = "") -> Features:
    """nst's backbone at unit scale: layers have mean activation 1 over the bundled photographs.

    weights: a file; None for the embedded or official one. first_padding: of the first convolution; the others pad as
    they were trained to. Raises InputError as `Backbone` does.
    """
    file = version(find(name, str(weights) if weights else None))
    padding = PADDINGS.get(name, "zeros")
    network = Network(name, tuple(layers), file, "max", padding, "unit", torch.device("cpu"))
    backbone = Shared(Session()).backbone(network)
    if first_padding:
        backbone.features[0].padding_mode = first_padding  # type: ignore[assignment]
    return backbone


def judging_network(given: str) -> tuple[str, Features, Layers]:
    """The name, the network and the layers that `NAME` or `NAME=FILE` of weights means.

    Raises InputError for an unknown name, and for weights that cannot be used.
    """
    name, _, file = given.partition("=")
    if name not in JUDGES:
        known = did_you_mean(name, JUDGES)
        raise InputError(f"--network {given}: no judge '{name}'{known}; the judges are {', '.join(JUDGES)}")
    layers = JUDGES[name]
    return name, unit_network(name, (*layers.style, layers.content), Path(file) if file else None), layers
