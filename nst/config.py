"""Every key of an experiment: type, default, unit, range and meaning. Hydra checks YAML and overrides against it."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from nst.errors import InputError


def key(
    default: Any, doc: str, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> Any:
    """A field with its one-line meaning and, for a number, its range; a mutable default is copied."""
    metadata = {"doc": doc, "at_least": at_least, "above": above, "at_most": at_most}
    if isinstance(default, list | dict) or (is_dataclass(default) and isinstance(default, type)):
        return field(default_factory=default.copy if isinstance(default, list | dict) else default, metadata=metadata)
    return field(default=default, metadata=metadata)


LEAST_STRIP = 32
"""Rows; the last strip of an image may have half of them, which every network's first layers can be read from."""


class Mode(Enum):
    """What is optimised, against what."""

    reconstruct = "reconstruct"
    texture = "texture"
    transfer = "transfer"
    train = "train"
    stylize = "stylize"
    export = "export"
    distill = "distill"
    fidelity = "fidelity"


class BackboneName(Enum):
    """The networks of nst.backbones."""

    slim = "slim"
    vgg19 = "vgg19"
    vgg16 = "vgg16"
    squeezenet = "squeezenet"


class Gram(Enum):
    """What the Gram matrix F Fᵀ is divided by."""

    chw = "chw"
    hw = "hw"
    none = "none"


class Pooling(Enum):
    """How the backbone halves its maps."""

    max = "max"
    avg = "avg"


class Padding(Enum):
    """What the backbone sees beyond the image's border."""

    zeros = "zeros"
    reflect = "reflect"
    replicate = "replicate"


class GeneratorName(Enum):
    """The networks of nst.generator."""

    johnson = "johnson"
    cyclegan = "cyclegan"


class Colours(Enum):
    """Whose colours a painted image has."""

    style = "style"
    content = "content"


class Precision(Enum):
    """What networks compute in; Gram matrices and optimisers stay in float32.

    tf32 is float32 of which a GPU's convolutions multiply the first ten bits of the fraction.
    """

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


class Accelerator(Enum):
    """Where the run computes."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Figure(Enum):
    """A figure of a record that a run can be judged by."""

    total = "loss/total"
    content = "loss/content"
    style = "loss/style"
    tv = "loss/tv"
    seconds_per_step = "seconds_per_step"
    total_seconds = "total_seconds"
    peak_memory_mb = "peak_memory_mb"


class TrackerName(Enum):
    """Who else is told about the run."""

    wandb = "wandb"
    none = "none"


class WandbMode(Enum):
    """Whether W&B is reached; auto is online if logged in, else offline."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class StyleLoss:
    gram: Gram = key(Gram.chw, "normalisation of the Gram matrix: chw, hw or none")


@dataclass
class Backbone:
    name: BackboneName = key(MISSING, "slim, vgg19, vgg16 or squeezenet; chosen by the group")
    weights: str | None = key(None, "a .pth or .safetensors file; null: the embedded or torchvision's official one")
    pooling: Pooling = key(Pooling.max, "max as trained, or avg (Gatys 2016)")
    padding: Padding = key(Padding.zeros, "zeros as VGG was trained, reflect or replicate")


@dataclass
class Generator:
    name: GeneratorName = key(MISSING, "johnson or cyclegan; chosen by the group")
    width: int = key(MISSING, "channels of the first layer", at_least=1, at_most=1024)
    blocks: int = key(MISSING, "residual blocks", at_least=0, at_most=100)


@dataclass
class Data:
    """What a generator is trained on."""

    dir: str | None = key(None, "folder of images, at any depth; null: the bundled photographs")
    size: int = key(256, "pixels a side of a crop", at_least=16, at_most=4096)
    batch: int = key(4, "crops a step, of all processes together", at_least=1)
    crops: int = key(1, "crops of each image in an epoch", at_least=1)
    workers: int = key(2, "processes that read images ahead; 0: none", at_least=0)


@dataclass
class Optimizer:
    name: str = key(MISSING, "lbfgs or adam; chosen by the group")


@dataclass
class Lbfgs(Optimizer):
    name: str = "lbfgs"
    lr: float = key(1.0, "length of a step in units of the quasi-Newton step", above=0)
    history: int = key(10, "past steps remembered", at_least=1)


@dataclass
class Adam(Optimizer):
    name: str = "adam"
    lr: float = key(0.02, "step size in pixel values, of [0, 1]", above=0)
    beta1: float = key(0.9, "decay of the mean of gradients", at_least=0, at_most=0.9999)
    beta2: float = key(0.99, "decay of the mean of squared gradients", at_least=0, at_most=0.9999)


@dataclass
class Trainer:
    accelerator: Accelerator = key(Accelerator.auto, "auto takes a GPU if there is one")
    processes: int | None = key(
        1, "processes on each machine that train together; null: one a GPU; of mode=train", at_least=1
    )
    machines: int = key(1, "machines that train together; of mode=train", at_least=1)
    precision: Precision = key(
        Precision.float32,
        "of the networks, in modes that optimise: tf32 is faster on a GPU, bfloat16 there and on a processor with AMX",
    )
    checkpoint_seconds: float = key(60.0, "seconds between checkpoints: what a killed run loses at most", above=0)


@dataclass
class Tracking:
    name: TrackerName = key(MISSING, "wandb or none; chosen by the group")
    mode: WandbMode = key(WandbMode.auto, "auto: online if logged in, else offline; WANDB_MODE goes before")
    project: str = key("nst", "W&B project")
    entity: str | None = key(None, "W&B user or team; null: the account's own")
    group: str | None = key(None, "W&B group; null: the sweep's folder")
    tags: list[str] = key([], "W&B tags, added to mode and backbone")
    loss_every: int = key(10, "steps between two lines of losses.csv", at_least=1)
    image_every: int = key(100, "steps between two progress pictures", at_least=1)


@dataclass
class Teacher:
    """A real network that slim learns from."""

    weights: str | None = key(None, "a weights file; null: torchvision's official one")
    layers: dict[str, str] = key({}, "layer of the teacher → layer of slim that learns it")
    pad: int = key(0, "pixels of reflection around each image, to line up a network that pads less", at_least=0)
    content: str | None = key(None, "the layer that keeps the content; of mode=fidelity")
    every: int = key(1, "one in so many images of a batch is shown to it", at_least=1)


@dataclass
class Distill:
    """How slim's weights are made."""

    teachers: dict[str, Teacher] = key({}, "backbone → what is learnt from it")
    photos: str = key(MISSING, "folder of photographs of 128 px a side or more")
    lr: float = key(7e-4, "AdamW's step size, reached after 200 steps and falling to 0", above=0)
    batch: int = key(8, "crops a step", at_least=2)
    crop: int = key(112, "pixels a side of a crop", at_least=64)
    on_policy: float = key(0.5, "share of each batch that slim and its teachers painted", at_least=0, at_most=0.9)
    guidance: float = key(1.0, "factor of the error of where a style loss leads", at_least=0)
    compile: bool = key(False, "compile the step: minutes at the start, then 1.5 times as fast; needs a C++ compiler")


@dataclass
class Fidelity:
    """How slim is measured against real networks."""

    teachers: dict[str, Teacher] = key({}, "backbone → the layers whose style is compared with slim's")
    pairs: list[list[str]] = key([], "[content,style] of each transfer")
    photos: str | None = key(None, "folder of photographs: measures the variance that slim does not explain, too")
    paintings: str | None = key(None, "folder of paintings to measure that on as well; null: the bundled ones")
    painted: str | None = key(None, "an earlier measurement's folder: its teachers' pictures are not painted anew")


@dataclass
class Config:
    mode: Mode = key(
        MISSING, "transfer, reconstruct, texture, train, stylize, export, distill or fidelity; chosen by the group"
    )
    content: str | None = key("chelsea", "content image: a path, or the name of a sample")
    style: str | None = key("swirl", "style image: a path, or the name of a sample")
    pair: list[str] | None = key(
        None, "[content,style] in one, in place of both: a sweep over pairs is a list and not a product"
    )
    content_layers: list[str] = key([], "layers whose features are kept")
    style_layers: list[str] = key([], "layers whose Gram matrices are matched")
    content_weight: float = key(1.0, "factor of the content loss", at_least=0)
    style_weight: float = key(1e6, "factor of the style loss", at_least=0)
    tv_weight: float = key(5.0, "factor of the total variation, which removes pixel noise", at_least=0)
    range_weight: float = key(10.0, "factor of what keeps pixels near [0, 1]; 0: only clamped at the end", at_least=0)
    style_loss: StyleLoss = key(StyleLoss, "how style is compared")
    init: str = key("content", "where the image starts: noise, content, style or a path")
    steps: int = key(100, "optimiser steps", at_least=1, at_most=1_000_000)
    epochs: int | None = key(
        None, "passes over the images that a generator is trained on, in place of steps", at_least=1
    )
    size: int | None = key(384, "longest side of the result, pixels; null: the image's own", at_least=1, at_most=16384)
    levels: int | None = key(
        None,
        "of transfer, texture and reconstruct: sizes painted at, each half the next, for equal shares of the steps; "
        "at most what the layers fit; null: 2, or 1 if the smaller size would be under 192 px",
        at_least=1,
        at_most=8,
    )
    strip: int | None = key(
        None,
        "of transfer, texture and reconstruct: rows of the image that are seen at a time, for less memory and the same "
        "result; null: all that the memory holds",
        at_least=LEAST_STRIP,
    )
    style_size: int | None = key(
        None, "longest side of the style image, pixels; null: as size", at_least=1, at_most=16384
    )
    alpha: str = key("white", "colour put behind transparent images: a name or #rrggbb")
    seed: int = key(0, "of the noise, and of all else that is drawn", at_least=0, at_most=2**32 - 1)
    question: str | None = key(None, "what an experiment asks; it heads the report")
    minimise: Figure = key(Figure.total, "what a sweeper that searches, such as Optuna, is told of each run")
    resume: str | None = key(None, "a run's folder, or a sweep's, to go on with; its config is taken from there")
    rerun: str | None = key(None, "a run's folder, or a result.png by itself, to make again from its own record")
    backbone: Backbone = key(Backbone, "the frozen network that sees the images")
    optimizer: Optimizer = key(Optimizer, "how the loss is minimised")
    generator: Generator | None = key(None, "of mode=train only: the network that is trained")
    data: Data | None = key(None, "of mode=train only: what it is trained on")
    checkpoint: str | None = key(None, "of stylize and export: a trained generator, its file or its run's folder")
    colours: Colours = key(Colours.style, "of stylize: style, or content to keep the content's own")
    tile: int = key(2048, "of stylize: longest side painted at once; larger images are painted in tiles", at_least=1)
    trainer: Trainer = key(Trainer, "where it runs")
    tracking: Tracking = key(Tracking, "what is told to whom")
    distill: Distill | None = key(None, "of mode=distill only")
    fidelity: Fidelity | None = key(None, "of mode=fidelity only")


@dataclass(frozen=True)
class Key:
    """A key that can be set: its dotted name, its meaning and its default, and whose it is, of a group's options."""

    name: str
    meaning: str
    default: Any
    option: str = ""


def all_keys(schema: type = Config, prefix: str = "", option: str = "") -> Iterator[Key]:
    """Every key of the schema, all optimisers' among them. NAME stands for what a mapping's keys may be."""
    defaults, inherited = (
        schema(),
        {item.name for base in schema.__bases__ if is_dataclass(base) for item in fields(base)},
    )
    for item in fields(schema):
        if item.name in inherited:
            continue
        name = f"{prefix}{item.name}"
        yield Key(name, item.metadata.get("doc", ""), getattr(defaults, item.name), option)
        inside = f"{name}.NAME." if get_origin(item.type) is dict else f"{name}."
        for nested in (item.type, *get_args(item.type)):
            if isinstance(nested, type) and is_dataclass(nested):
                yield from all_keys(nested, inside)
                for variant in nested.__subclasses__():
                    yield from all_keys(variant, inside, variant.__name__.lower())


def register() -> None:
    """Put the schema where conf/config.yaml and conf/optimizer/*.yaml find it."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config, provider="nst")
    store.store(group="schema/optimizer", name="lbfgs", node=Lbfgs, provider="nst")
    store.store(group="schema/optimizer", name="adam", node=Adam, provider="nst")


def check(config: Config) -> None:
    """Raise InputError for a number that is outside its range or not finite, and for a name given past its group."""
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

    if config.optimizer.name != type(config.optimizer).__name__.lower():
        raise InputError(f"optimizer.name={config.optimizer.name}: the optimiser is chosen with optimizer=NAME")


def settle(config: Config, given: Collection[str]) -> None:
    """Decide between keys that say the same: `pair` or content and style, `epochs` or steps.

    given: the keys that were set by hand, which go before those of an experiment. Raises InputError if `pair` is not
    two images, or if one of them was set by hand too.
    """
    if "steps" in given and "epochs" not in given:
        config.epochs = None
    if config.pair is None:
        return
    pair = f"pair=[{','.join(config.pair)}]"
    if len(config.pair) != 2:
        raise InputError(f"{pair}: must be [content,style]")
    for role in ("content", "style"):
        if role in given:
            raise InputError(f"{pair}: sets the {role} already; leave out {role}=, or the pair with pair=null")
    config.content, config.style = config.pair


def _numbers(config: Any, prefix: str = "") -> Iterator[tuple[str, float, Any]]:
    for item in fields(config):
        value, name = getattr(config, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, int | float):
            yield name, value, item.metadata
