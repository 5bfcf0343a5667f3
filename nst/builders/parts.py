"""What the experiments have in common: images, backbone and targets, which the jobs of a sweep share, and checks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nst.backbones import Backbone
from nst.backbones.weights import find
from nst.clock import spending
from nst.config import Adam, Config, Lbfgs, Mode
from nst.errors import InputError
from nst.files import Version, sha256, version
from nst.imagefile import load
from nst.lbfgs import LBFGS
from nst.memory import Need, Plan, need
from nst.objective import Features, Objective, Targets, content_targets, style_targets
from nst.strips import WHOLE, Strip, cut
from nst.tasks.task import Task

SMALL = 64
"""Pixels a side of an image on which something is found out that is true of larger ones."""
TARGET_ROWS = 1024
"""Rows of an image that are seen at a time where no gradient is wanted."""
HELD_OUT_EVERY = 24
"""One photograph in so many is held out of training a network, to measure on."""
TERMS = {
    Mode.reconstruct: ("content",),
    Mode.texture: ("style",),
    Mode.transfer: ("content", "style"),
    Mode.train: ("content", "style"),
}
"""What each mode compares the image with."""


@dataclass
class Experiment:
    """A task ready to run, and what it was made from."""

    task: Task
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Role (content, style, init) → {"path", "sha256"}."""
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    """Network → {"path", "sha256"}."""
    originals: dict[str, Tensor] = field(default_factory=dict)
    """Role → the image as the run sees it, (1, 3, H, W) in [0, 1]."""
    plan: Plan | None = None
    """How an image whose pixels are optimised is seen."""
    lighter: str = "a smaller size"
    """What would take less memory: keys and values."""
    data: dict[str, Any] = field(default_factory=dict)
    """What else the record says, of the images a network was trained on or the generator that paints."""


def file_facts(path: Path) -> dict[str, str]:
    """What a record says of a file it was made from."""
    return {"path": str(path), "sha256": sha256(path)}


@dataclass(frozen=True)
class Read:
    """An image file, and how it is read."""

    file: Version
    size: int | None
    alpha: str


@dataclass(frozen=True)
class Network:
    """What a backbone is made from, and where it is."""

    name: str
    layers: tuple[str, ...]
    weights: Version
    pooling: str
    padding: str
    device: torch.device


@lru_cache(maxsize=16)
def load_image(image: Read) -> Tensor:
    """(1, 3, H, W) in [0, 1], kept for the next jobs of a sweep in this process; so with what follows."""
    with spending("images"):
        return load(image.file[0], image.size, image.alpha)


@lru_cache(maxsize=1)
def backbone_of(of: Network) -> Backbone:
    """The frozen network."""
    with spending("weights"):
        return Backbone(of.name, of.layers, str(of.weights[0]), of.pooling, of.padding).to(of.device)


@lru_cache(maxsize=8)  # these are large
def content_of(network: Network, image: Read, layers: tuple[str, ...], rows: int | None = None) -> Targets:
    """What a backbone sees of a content image, in strips of so many rows."""
    backbone, pixels = backbone_of(network), load_image(image).to(network.device)
    with spending("targets"):
        return content_targets(backbone, pixels, layers, _strips_of(backbone, pixels, rows))


@lru_cache(maxsize=16)
def style_of(
    network: Network, image: Read, layers: tuple[str, ...], normalize: str, rows: int | None = None
) -> Targets:
    """What a backbone sees of a style image, in strips of so many rows."""
    backbone, pixels = backbone_of(network), load_image(image).to(network.device)
    with spending("targets"):
        return style_targets(backbone, pixels, layers, normalize, _strips_of(backbone, pixels, rows))


def _strips_of(backbone: Backbone, image: Tensor, rows: int | None) -> Sequence[Strip]:
    """In which an image that is not optimised is seen; it may be larger than the one that is."""
    return cut(backbone.reach, image.shape[2], min(rows or TARGET_ROWS, TARGET_ROWS))


@lru_cache(maxsize=1)
def need_of(network: Network, remembered: int) -> Need:
    """What optimising the pixels of an image takes, by an optimiser that remembers so many images."""
    backbone = backbone_of(network)
    return need(backbone, remembered, max(SMALL, backbone.smallest_side), network.device)


def network_of(config: Config, device: torch.device) -> tuple[Network, Backbone]:
    """The backbone of a config; from here on the config, and so the record, has canonical layer names."""
    network = Network(
        config.backbone.name.value,
        (*config.content_layers, *config.style_layers),
        version(find(config.backbone.name.value, config.backbone.weights)),
        config.backbone.pooling.value,
        config.backbone.padding.value,
        device,
    )
    backbone = backbone_of(network)
    config.content_layers = backbone.canonical(config.content_layers)
    config.style_layers = backbone.canonical(config.style_layers)
    return network, backbone


def objective_of(
    config: Config, backbone: Features, content: Targets, style: Targets, strips: Sequence[Strip] = WHOLE
) -> Objective:
    """What a config minimises, against these targets, of an image seen in strips."""
    return Objective(
        backbone,
        content,
        style,
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        gram_normalize=config.style_loss.gram.value,
        strips=strips,
    )


def make_optimizer(config: Any) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    """The optimiser a config describes, still without its parameters."""
    if isinstance(config, Lbfgs):
        return partial(LBFGS, lr=config.lr, history=config.history)
    assert isinstance(config, Adam)
    return partial(torch.optim.Adam, lr=config.lr, betas=(config.beta1, config.beta2))


def remembered(config: Any) -> int:
    """Images that an optimiser remembers: the pairs of L-BFGS, the two means of Adam."""
    return 2 * config.history if isinstance(config, Lbfgs) else 2


def check_terms(config: Config) -> None:
    """Raise InputError for an image or layers that the mode needs and lacks, or has and does not use."""
    terms = TERMS[config.mode]
    mode = config.mode.value
    for role, image, layers in (
        ("content", config.data if config.content is None else config.content, config.content_layers),
        ("style", config.style, config.style_layers),
    ):
        if role in terms and image is None:
            raise InputError(f"mode={mode} needs {role}=: a path or the name of a sample")
        if role in terms and not layers:
            raise InputError(f"mode={mode} needs {role}_layers: a list such as [conv_1,conv_2]")
        if role not in terms and layers:
            raise InputError(f"mode={mode} uses no {role}_layers; leave them out, or take mode=transfer")
    weights = [f"{role}_weight" for role in terms]
    if not any(getattr(config, weight) for weight in weights):
        raise InputError(f"{'=0 '.join(weights)}=0: leaves mode={mode} nothing to minimise; give a weight above 0")


def check_size(role: str, image: Tensor, backbone: Backbone) -> None:
    """Raise InputError for an image that the deepest layer cannot be read from."""
    height, width = image.shape[2:]
    if min(height, width) < backbone.smallest_side:
        key = {"style": "style_size", "crop": "data.size"}.get(role, "size")
        raise InputError(
            f"the {role} is {width}×{height} pixels at this size, and {backbone.deepest} needs "
            f"{backbone.smallest_side} a side: raise {key}, or ask for shallower layers"
        )
