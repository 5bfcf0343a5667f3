"""Which network judges a picture, and what it is compared with: the group `judge`."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from nst.backbones import Backbone
from nst.backbones.networks import architecture
from nst.backbones.weights import at_hand, find
from nst.config import Config
from nst.errors import InputError
from nst.files import version
from nst.judges import Judge, Layers, Reference, pixel_figures
from nst.metrics import FIGURES
from nst.modes.parts import Setting, file_facts
from nst.modes.shared import Network, Shared

AUTO = ("squeezenet", "vgg19", "vgg16", "slim")
"""Judges in order of preference: slim was trained to imitate VGG-19, so that the two agree more than others."""
LARGEST = 512
"""Longest side, in pixels, at which a picture is judged: a larger one is scaled down."""


@dataclass(frozen=True)
class Judging:
    """How a picture will be judged. Nothing is read or computed before there is one."""

    shared: Shared
    network: Network
    layers: Layers
    reference: Callable[[], Reference]

    @property
    def backbone(self) -> Backbone:
        """The network."""
        return self.shared.backbone(self.network)

    def figures(self, picture: Tensor) -> dict[str, float]:
        """`judge/FIGURE` → its value, for those of `FIGURES` that apply, of a picture (1, 3 or 4, H, W)."""
        picture, longest, of = picture[:, :3], max(picture.shape[2:]), self.reference()
        if longest > LARGEST:
            sides = [max(1, round(side * LARGEST / longest)) for side in picture.shape[2:]]
            if of.content is not None:  # which was scaled from its file's size, and may be a pixel longer
                sides = list(of.content.shape[2:])
            picture = F.interpolate(picture, sides, mode="bicubic", antialias=True).clamp(0, 1)
        picture = picture.to(self.network.device)
        found = pixel_figures(picture, of) | Judge(self.backbone, self.layers, of).figures(picture)
        return {f"judge/{name}": found[name] for name in FIGURES if name in found}

    @property
    def facts(self) -> dict[str, Any]:
        """For the record: the network, its weights and its layers."""
        layers = {"style": list(self.layers.style), "content": self.layers.content}
        return {"network": self.network.name, **file_facts(self.backbone.weights), "layers": layers}


def judging(
    setting: Setting, reference: Callable[[], Reference], painted_with: str = "", used: Collection[str] = ()
) -> Judging | None:
    """The judge that the config asks for; None: no one.

    reference: makes what a picture is compared with, at most LARGEST pixels a side. painted_with, used: the backbone
    that the picture is optimized in, and its layers, in canonical names. Raises InputError for an unknown judge, for
    weights that cannot be found, and if the judge has no layer left.
    """
    config = setting.config
    if config.judge.name == "none":
        return None
    name = _name(config, painted_with)
    layers = _layers(name, used if name == painted_with else ())
    judge = Judging(Shared(setting.session), _network(config, name, layers, setting), layers, reference)
    if config.judge.weights:
        _ = judge.backbone  # refuses a file that is no such network's
    return judge


def _name(config: Config, painted_with: str) -> str:
    if config.judge.name != "auto":
        return config.judge.name
    if config.judge.weights:
        raise InputError(f"judge.weights={config.judge.weights}: of which network? give judge=NAME, too")
    return next((name for name in AUTO if name != painted_with and at_hand(name)), AUTO[-1])


def _layers(name: str, used: Collection[str]) -> Layers:
    network = architecture(name)
    style = [_first(layers, used) for layers in network.style_judges]
    content = _first(network.content_judges, used)
    if content is None or not any(style):
        raise InputError(f"judge={name}: the picture is optimized at all layers that it judges at; take judge=none")
    return Layers(tuple(layer for layer in style if layer), content)


def _first(layers: Iterable[str], used: Collection[str]) -> str | None:
    return next((layer for layer in layers if layer not in used), None)


def _network(config: Config, name: str, layers: Layers, setting: Setting) -> Network:
    weights = version(find(name, config.judge.weights))
    padding = architecture(name).padding
    return Network(name, (*layers.style, layers.content), weights, "max", padding, "unit", setting.device)
