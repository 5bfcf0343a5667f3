"""What the modes' builders have in common: from a config to a method, an optimizer and input files; and checks."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.config import Config
from nst.engine.task import Task
from nst.engine.work import Work
from nst.errors import InputError
from nst.files import as_path, sha256
from nst.images import samples
from nst.memory.estimate import Plan
from nst.modes import Mode
from nst.optim import MakeOptimizer, images_kept, make_optimizer
from nst.record.files import CHECKPOINT
from nst.session import Session

if TYPE_CHECKING:
    from nst.modes.judging import Judging

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
    judging: "Judging | None" = None
    """Who judges the picture."""
    data: dict[str, Any] = field(default_factory=dict)
    """For the record: the images a network is trained on, or the generator that paints."""


def file_facts(path: Path) -> dict[str, str]:
    """What a record says of a file."""
    return {"path": str(path), "sha256": sha256(path)}


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
        if given is None and role in setting.mode.needed and not (role == "style" and setting.config.regions):
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
    weights = [f"{term}_weight" for term in mode.terms] + ["structure_weight"] * ("structure_weight" in mode.keys)
    if not any(getattr(config, weight) for weight in weights):
        raise InputError(f"{'=0 '.join(weights)}=0: leaves mode={mode.name} nothing to minimize; give a weight above 0")


def refuse_two_sizes(config: Config) -> None:
    """Raise InputError if both keys that say how large the style is are given."""
    if config.style_size and config.style_scale != 1:
        raise InputError(
            f"style_size={config.style_size} style_scale={config.style_scale:g}: both say how large the style is; "
            "leave out one"
        )


def style_size_key(config: Config) -> str:
    """The key that makes the style larger."""
    return "style_size" if config.style_scale == 1 else "style_scale"


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
    path = as_path("checkpoint", given)
    if path.is_dir():
        names = ("generator.safetensors", CHECKPOINT, "generator.onnx")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    if not path.is_file():
        raise InputError(f"checkpoint={given}: no file {path}")
    return path
