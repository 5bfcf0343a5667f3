"""Networks with mean activation 1, to paint with and to judge with."""

from collections.abc import Iterable
from pathlib import Path

import torch

from nst.backbones.networks import NETWORKS, architecture
from nst.backbones.weights import find
from nst.errors import InputError, did_you_mean
from nst.files import version
from nst.judges import Layers
from nst.losses.targets import Features
from nst.modes.shared import Network, Shared
from nst.session import Session

JUDGES = {
    name: Layers(tuple(layers[0] for layers in network.style_judges), network.content_judges[0])
    for name, network in NETWORKS.items()
    if network.content_judges
}
"""Backbone → its layers as a judge."""


def unit_network(name: str, layers: Iterable[str], weights: Path | None, first_padding: str = "") -> Features:
    """nst's backbone at unit scale: layers have mean activation 1 over the bundled photographs.

    weights: a file; None for the embedded or official one. first_padding: of the first convolution; the others pad as
    they were trained to. Raises InputError as `Backbone` does.
    """
    file = version(find(name, str(weights) if weights else None))
    network = Network(name, tuple(layers), file, "max", architecture(name).padding, "unit", torch.device("cpu"))
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
