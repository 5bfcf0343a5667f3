"""What the modes' builders have in common: from a config to a method, an optimizer and input files; and checks."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.backbones.weights import find
from nst.config import Config
from nst.engine.task import Task
from nst.engine.work import Work
from nst.errors import InputError
from nst.files import sha256, version
from nst.images import samples
from nst.losses.content import CONTENT_LOSSES
from nst.losses.objective import Losses, Objective, Targets
from nst.losses.style import STYLE_LOSSES
from nst.memory.estimate import Plan
from nst.memory.strips import WHOLE, Strip
from nst.modes import Mode
from nst.modes.shared import Network, Shared
from nst.optim import MakeOptimizer, images_kept, make_optimizer
from nst.record.files import CHECKPOINT
from nst.session import Session

SMALLER = "a smaller size"
"""What needs less memory, where nothing more is known."""


@dataclass(frozen=True)
class Setting:
    """What a mode's `build` function is given."""

    config: Config
    mode: Mode
    session: Session
    device: torch.device
    processes: int = 1


@dataclass
class Experiment:
    """Work ready to run, what it was made from, and what its builder decided."""

    work: Task | Work
    inputs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """Role → {"path", "sha256"} of each of its images."""
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Network → {"path", "sha256"}, and at unit scale "mean_activations"."""
    originals: dict[str, list[Tensor]] = field(default_factory=dict)
    """Role → its images as the run uses them, (1, 3, H, W) in [0, 1]."""
    decided: dict[str, Any] = field(default_factory=dict)
    """Key → the value that the builder decided on: canonical layers, scales, strip, steps."""
    plan: Plan | None = None
    """Strips and memory, where the pixels of an image are optimized."""
    lighter: str = SMALLER
    """Keys and values that need less memory."""
    data: dict[str, Any] = field(default_factory=dict)
    """For the record: the images a network is trained on, or the generator that paints."""


def file_facts(path: Path) -> dict[str, str]:
    """What a record says of a file."""
    return {"path": str(path), "sha256": sha256(path)}


@dataclass(frozen=True)
class Method:
    """How images are compared: a backbone, its canonical layers, the losses and their weights."""

    network: Network
    backbone: Backbone
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    losses: Losses

    def objective(self, content: Targets, style: Targets, strips: Sequence[Strip] = WHOLE) -> Objective:
        """What is minimized, against these targets, for an image in strips."""
        return Objective(self.backbone, self.losses.terms(content, style), strips)

    @property
    def decided(self) -> dict[str, Any]:
        """The canonical names of the layers and the weights of the style layers, for the record."""
        weights = self.losses.layer_weights
        return {
            "content_layers": list(self.content_layers),
            "style_layers": list(self.style_layers),
            "style_layer_weights": [float(f"{weight:.6g}") for weight in weights] if weights else None,
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
    """The weights of the style layers, with the sum 1; None: equal. layers: canonical names.

    `positions` weights a layer by its number of positions, which falls with the square of its stride: 256:64:16:4:1
    for conv1_1 … conv5_1, the weights of crowsonkb/style-transfer-pytorch. Raises InputError for any other word, for a
    list of the wrong length, and for weights that are negative or all zero.
    """
    given = config.style_layer_weights
    if given is None or not layers:
        return None
    if given == "positions":
        given = [backbone.receptive_fields[layer].stride ** -2 for layer in layers]
    shown = f"style_layer_weights={given}"
    if not isinstance(given, list) or not all(isinstance(each, int | float) for each in given):
        raise InputError(f"{shown}: must be null (equal), positions, or a list of numbers, one for each style layer")
    if len(given) != len(layers):
        raise InputError(f"{shown}: has {len(given)} weights, and there are {len(layers)} style layers")
    if not all(math.isfinite(each) and each >= 0 for each in given) or not any(given):
        raise InputError(f"{shown}: weights must be at least 0, and one of them above 0")
    return tuple(each / sum(given) for each in given)


def optimizer_of(config: Config) -> tuple[MakeOptimizer, int]:
    """The optimizer that a config describes, and how many images it keeps."""
    options = asdict(config.optimizer)
    name = options.pop("name")
    return make_optimizer(name, options), images_kept(name, options)


def names_of(given: str | list[str]) -> list[str]:
    """A role's images, of which the config gives one or a list."""
    return [given] if isinstance(given, str) else given


def input_paths(setting: Setting, roles: Collection[str]) -> dict[str, list[Path]]:
    """Role → image files, for those of `roles` that the mode has and the config gives.

    Raises InputError for a role that the mode needs and the config lacks.
    """
    paths = {}
    for role in dict.fromkeys(role for of_key in setting.mode.roles.values() for role in of_key):
        given = getattr(setting.config, role)
        if given is None and role in setting.mode.needed:
            raise InputError(f"mode={setting.mode.name} needs {role}=: a path or the name of a sample")
        if given is not None and role in roles:
            paths[role] = [samples.find(role, name) for name in names_of(given)]
    return paths


def check_terms(setting: Setting) -> None:
    """Raise InputError for a term of the mode that has no layers, and if no term has a weight."""
    config, mode = setting.config, setting.mode
    for term in mode.terms:
        if not getattr(config, f"{term}_layers"):
            raise InputError(f"mode={mode.name} needs {term}_layers: a list such as [conv_1,conv_2]")
    weights = [f"{term}_weight" for term in mode.terms]
    if not any(getattr(config, weight) for weight in weights):
        raise InputError(f"{'=0 '.join(weights)}=0: leaves mode={mode.name} nothing to minimize; give a weight above 0")


def check_size(name: str, image: Tensor, backbone: Backbone, raise_key: str) -> None:
    """Raise InputError for an image too small for the deepest layer. raise_key: the key that makes it larger."""
    height, width = image.shape[2:]
    if min(height, width) < backbone.smallest_side:
        raise InputError(
            f"the {name} is {width}×{height} pixels at this size, and {backbone.deepest} needs "
            f"{backbone.smallest_side} a side: raise {raise_key}, or ask for shallower layers"
        )


def generator_file(setting: Setting) -> Path:
    """The file that `checkpoint` means: itself, or what a run of mode=train left in its folder."""
    given = setting.config.checkpoint
    if given is None:
        raise InputError(f"mode={setting.mode.name} needs checkpoint=: a trained generator, or the folder of its run")
    path = Path(given).expanduser()
    if path.is_dir():
        names = ("generator.safetensors", CHECKPOINT, "generator.onnx")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    if not path.is_file():
        raise InputError(f"checkpoint={given}: no file {path}")
    return path
