"""The whole schema: the keys of config.py, of modes and of trackers; their ranges, and what old keys are called now."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from nst import metrics, modes, tracking
from nst.choices import Colors
from nst.config import LARGEST, OPTIMIZERS, Config
from nst.errors import InputError
from nst.modes import Mode

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE.parent / "conf", HERE / "conf") if (folder / "config.yaml").is_file())
"""The checkout's conf/ if there is one, else the copy inside the wheel."""
OPTION = re.compile(r" *(?P<name>\w+): (?P<default>[^#]+?) +# (?P<meaning>.+)")
"""A key and its meaning in a YAML file of a group whose options the schema does not have."""
RENAMED = {
    "levels": "scales",
    "alpha": "background",
    "colours": "colors",
    "minimise": "optimized_metric",
    "style_loss.gram": "style_loss.normalize",
    "optimizer.history": "optimizer.history_size",
    "trainer.processes": "trainer.devices",
    "trainer.machines": "trainer.num_nodes",
}
"""Old key → present key."""
REMOVED = ("pair",)
"""Keys that are gone; a record holds in other keys what they said."""
ADDED = {
    "mask_outside": "content",
    "mask_feather": 8.0,
    "mask_propagation": "resample",
    "color_match": "rgb",
    "structure_weight": 0.0,
}
"""Key that came later → the value with which a run is what it was before."""


@dataclass(frozen=True)
class Key:
    """A key that can be set: its dotted name, meaning and default, and the group option or mode that has it."""

    name: str
    meaning: str
    default: Any
    option: str = ""


@cache
def root() -> type[Config]:
    """The schema's dataclass: Config and a section for each mode that has keys of its own."""
    sections = [
        (mode.name, mode.section | None, field(default=None, metadata={"meaning": f"mode={mode.name} only"}))
        for mode in modes.all_modes().values()
        if mode.section
    ]
    return make_dataclass("Config", sections, bases=(Config,))


def register() -> None:
    """Put the schema where conf/config.yaml and the files of the config groups find it."""
    store = ConfigStore.instance()
    store.store(name="schema", node=root(), provider="nst")
    for group, options in _variants().items():
        for name, node in options.items():
            store.store(group=f"schema/{group}", name=name, node=node, provider="nst")


def _variants() -> dict[str, dict[str, type]]:
    """Config group → option → the dataclass of its keys."""
    return {"optimizer": dict(OPTIMIZERS), "tracking": tracking.options()}


def all_keys(mode: Mode | None = None) -> list[Key]:
    """Every key of the schema, those of all optimizers and trackers too. NAME stands for a mapping's keys.

    mode: leave out the sections that only other modes have; None: leave out nothing.
    """
    others = {each.name for each in modes.all_modes().values() if each.section and mode and each != mode}
    return [key for key in _whole() if key.name.partition(".")[0] not in others]


@cache
def _whole() -> tuple[Key, ...]:
    return tuple(_keys(root()))


def _keys(schema: type, prefix: str = "", option: str = "") -> Iterator[Key]:
    defaults = schema()
    inherited = {item.name for base in schema.__bases__ if option and is_dataclass(base) for item in fields(base)}
    for item in fields(schema):
        if item.name in inherited:
            continue
        name = f"{prefix}{item.name}"
        yield Key(name, item.metadata.get("meaning", ""), getattr(defaults, item.name), option)
        inside = f"{name}.NAME." if get_origin(item.type) is dict else f"{name}."
        for nested in (item.type, *get_args(item.type)):
            if isinstance(nested, type) and is_dataclass(nested):
                yield from _keys(nested, inside)
                for variant, node in _variants().get(name, {}).items():
                    yield from _keys(node, inside, variant)
        if get_origin(item.type) is dict and not is_dataclass(get_args(item.type)[-1]):
            yield from _documented_keys(name)


def _documented_keys(group: str) -> Iterator[Key]:
    """The keys of a group's options, such as style losses, as their YAML files explain them."""
    for path in sorted((CONF / group).glob("*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := OPTION.fullmatch(line):
                yield Key(f"{group}.{found['name']}", found["meaning"], found["default"], path.stem)


def refuse_references(composed: DictConfig) -> None:
    """Raise InputError for a reference to another key in place of a section."""
    for name in map(str, composed):
        node = composed._get_node(name)
        if isinstance(node, DictConfig) and node._is_interpolation() and is_dataclass(node._metadata.ref_type):
            raise InputError(f"{name}: is a section of keys; a reference to another key cannot stand for it")


def checked(composed: DictConfig, given: Collection[str]) -> Config:
    """A composed config, checked, resolved and frozen; given: the keys that were set by hand. Raises InputError."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    check(config)
    return resolve(config, given)


def check(config: Config) -> None:
    """Raise InputError for a number that is out of range, and for a metric or a group's name that cannot be."""
    _refuse_huge("", asdict(config))
    for name, value, metadata in _numbers(config):
        if not math.isfinite(value):
            raise InputError(f"{name}={value}: must be a finite number")
        for rule, holds in (
            ("at_least", value >= metadata["at_least"]),
            ("above", value > metadata["above"]),
            ("at_most", value <= metadata["at_most"]),
        ):
            if not holds:
                raise InputError(f"{name}={value:g}: must be {rule.replace('_', ' ')} {metadata[rule]:g}")
    for name, value, kind in _containers(config):
        if not isinstance(value, get_origin(kind)):
            shape = "list, such as [a,b]" if get_origin(kind) is list else "mapping, such as {a:b}"
            raise InputError(f"{name}={value}: must be a {shape}")
        if kind == list[str] and not all(isinstance(each, str) for each in value):
            raise InputError(f"{name}={value}: must be a list of names, without lists in it")
    judged = [name for name in metrics.weights(config.optimized_metric) if name.startswith("judge/")]
    if judged and config.judge.name == "none":
        raise InputError(
            f"optimized_metric: judge=none measures no {judged[0].removeprefix('judge/')}; take judge=auto"
        )
    for group, options in _variants().items():
        section = getattr(config, group)
        if type(section) is not options.get(section.name):
            raise InputError(f"{group}.name={section.name}: choose it with {group}=NAME")


def _refuse_huge(name: str, value: Any) -> None:
    """Raise InputError for an integer, at any depth, that is too large to be a float32."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            _refuse_huge(f"{name}.{key}".lstrip("."), each)
    elif isinstance(value, list):
        for each in value:
            _refuse_huge(name, each)
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"{name}: a number of more than 38 digits")


def _refuse_idle(config: Config, given: Collection[str]) -> None:
    """Raise InputError for a key, set by hand, that another one leaves without effect."""
    if config.regions is not None:
        for key in ("style", "style_mix", "mask", "mask_outside"):
            if key in given:
                raise InputError(
                    f"{key}: regions says where which style is; leave out {key}=, or regions with regions=null"
                )
    for key, needed, missing in (
        ("mask_outside", "mask=FILE", config.mask is None),
        ("mask_feather", "mask=FILE or regions=", config.mask is None and config.regions is None),
        ("mask_propagation", "mask=FILE or regions=", config.mask is None and config.regions is None),
        ("color_match", "colors=matched", config.colors is not Colors.matched),
    ):
        if key in given and missing:
            raise InputError(f"{key}: has no effect without {needed}")


def resolve(config: Config, given: Collection[str]) -> Config:
    """Decide between keys that say the same, `epochs` or steps, and freeze the config.

    given: the keys that were set by hand, which win over those of an experiment. Raises InputError if a key that was
    set by hand has no effect.
    """
    if "steps" in given and "epochs" not in given:
        config.epochs = None
    _refuse_idle(config, given)
    if config.regions is not None:
        config.style = None  # each region has its own
    for role in {role for roles in modes.get(config.mode).roles.values() for role in roles}:
        setattr(config, role, _images(role, getattr(config, role)))
    config.freeze()
    return config


def _images(role: str, given: Any) -> Any:
    """An image role's value: one name, several, or none. Raises InputError for anything else."""
    if isinstance(given, list) and given and all(isinstance(each, str | int | float) for each in given):
        return [str(each) for each in given]
    if isinstance(given, list | dict):
        raise InputError(f"{role}={given}: must be an image, or a list of images such as [swirl,waves]")
    return None if given is None else str(given)


def _containers(config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and type of each key that is a list or a mapping, and not null.

    OmegaConf checks neither all that is in them nor what a reference to another key stands for.
    """
    for name, value, item in _values(config):
        kinds = [kind for kind in (item.type, *get_args(item.type)) if get_origin(kind) in (list, dict)]
        if value is not None and kinds:
            yield name, value, kinds[0]


def _numbers(config: Config) -> Iterator[tuple[str, float, Any]]:
    for name, value, item in _values(config):
        if isinstance(value, int | float):
            yield name, value, item.metadata


def _values(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Field[Any]]]:
    """Name, value and field of each key, also of those in sections."""
    for item in fields(config):
        value, name = getattr(config, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from _values(value, f"{name}.")
        else:
            yield name, value, item
