"""How a config compares images: a backbone, its layers, the losses and their weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nst.backbones import Backbone
from nst.backbones.weights import find
from nst.config import Config
from nst.errors import InputError
from nst.files import version
from nst.losses.content import CONTENT_LOSSES
from nst.losses.objective import Losses
from nst.losses.style import STYLE_LOSSES
from nst.modes.parts import Setting, file_facts
from nst.modes.shared import Network, Shared

LARGEST_WEIGHT = 1e9
"""Of a style layer, relative to the others."""


@dataclass(frozen=True)
class Method:
    """How images are compared: a backbone, its canonical layers, the losses and their weights."""

    network: Network
    backbone: Backbone
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    losses: Losses

    @property
    def decided(self) -> dict[str, Any]:
        """The canonical names of the layers and the weights of the style layers, for the record."""
        weights = self.losses.layer_weights
        return {
            "content_layers": list(self.content_layers),
            "style_layers": list(self.style_layers),
            "style_layer_weights": list(weights) if weights else None,
        }

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What the record says of the weights, and at unit scale the mean activations that layers were divided by."""
        means = self.backbone.mean_activations
        scale = {"mean_activations": means} if means else {}
        return {self.network.name: file_facts(self.backbone.weights) | scale}


def method_of(setting: Setting) -> Method:
    """The method that a config describes. Layers of terms that the mode does not have are left out."""
    config, terms = setting.config, setting.mode.terms
    layers = {term: getattr(config, f"{term}_layers") if term in terms else [] for term in ("content", "style")}
    network = Network(
        config.backbone.name,
        (*layers["content"], *layers["style"]),
        version(find(config.backbone.name, config.backbone.weights)),
        config.backbone.pooling.value,
        config.backbone.padding.value,
        config.backbone.scale.value,
        setting.device,
    )
    backbone = Shared(setting.session).backbone(network)
    content_layers, style_layers = (tuple(backbone.canonical(layers[term])) for term in ("content", "style"))
    losses = replace(losses_of(config), layer_weights=layer_weights_of(config, backbone, style_layers))
    return Method(network, backbone, content_layers, style_layers, losses)


def losses_of(config: Config) -> Losses:
    """The losses and weights that a config describes, with equal weights of the style layers."""
    return Losses(
        CONTENT_LOSSES.make({"name": config.content_loss}),
        STYLE_LOSSES.make(config.style_loss),
        {"content": config.content_weight, "style": config.style_weight, "tv": config.tv_weight},
    )


def layer_weights_of(config: Config, backbone: Backbone, layers: Sequence[str]) -> tuple[float, ...] | None:
    """The weights of the style layers, as they are given; None: equal. layers: canonical names.

    `positions` weights a layer by its number of positions, which falls with the square of its stride: 256:64:16:4:1
    for conv1_1 … conv5_1, the weights of crowsonkb/style-transfer-pytorch. Raises InputError for any other word, for a
    list of the wrong length, and for weights that are negative or all zero.
    """
    given = config.style_layer_weights
    if given is None or not layers:
        return None
    if given == "positions":
        return tuple(backbone.receptive_fields[layer].stride ** -2 for layer in layers)
    shown = f"style_layer_weights={given}"
    if not isinstance(given, list) or not all(type(each) in (int, float) for each in given):
        raise InputError(f"{shown}: must be null (equal), positions, or a list of numbers, one for each style layer")
    if len(given) != len(layers):
        raise InputError(f"{shown}: has {len(given)} weights, and there are {len(layers)} style layers")
    if not all(0 <= each <= LARGEST_WEIGHT for each in given) or not any(given):
        raise InputError(f"{shown}: weights must be from 0 to {LARGEST_WEIGHT:g}, and one of them above 0")
    return tuple(float(each) for each in given)
