"""Config → objects. Below this module nobody sees a config."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nst import onnx, samples, tiles
from nst.backbones import Backbone
from nst.backbones.networks import slim
from nst.backbones.weights import OFFICIAL, find
from nst.config import Adam, Colours, Config, Lbfgs, LineSearch, Mode
from nst.distillation import Teacher
from nst.errors import InputError
from nst.files import CHECKPOINT, Version, sha256, version
from nst.generator import Generator
from nst.generator import load as load_generator
from nst.image import noise
from nst.imagefile import load, load_cover
from nst.layers import resolve
from nst.objective import Objective, Targets, content_targets, style_targets
from nst.photos import Draws, find_images, load_folder
from nst.tasks.distill import HELD_OUT_SIDE, Distill
from nst.tasks.export import Export
from nst.tasks.stylize import Stylize, results_of
from nst.tasks.task import Task, stops
from nst.tasks.train import SHOWN, Train
from nst.tasks.transfer import Transfer

MEGAPIXEL = 1_000_000
HELD_OUT_EVERY = 24
"""One photograph in so many is held out of training a network, to measure on."""
MOST_HELD_OUT = 16
"""Images held out of training a generator, at most or so: they are painted whenever losses are told."""
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
    data: dict[str, Any] = field(default_factory=dict)
    """What a network was trained on."""


def build(config: Config, device: torch.device, processes: int = 1) -> Experiment:
    """Read the images and the weights and put the task together on a device. Raises InputError for what cannot work.

    processes: how many train together.
    """
    if config.mode is Mode.train:
        return _train(config, device, processes)
    made_by = {Mode.distill: _distill, Mode.stylize: _stylize, Mode.export: _export}
    return made_by.get(config.mode, _transfer)(config, device)


def file_facts(path: Path) -> dict[str, str]:
    """What a record says of a file it was made from."""
    return {"path": str(path), "sha256": sha256(path)}


def _transfer(config: Config, device: torch.device) -> Experiment:
    terms = TERMS[config.mode]
    _check_terms(config, terms)
    paths = {
        role: samples.find(role, name)
        for role, name in (("content", config.content), ("style", config.style))
        if name is not None and (role in terms or config.init == role)
    }
    sizes = {"content": config.size, "style": config.style_size or config.size}
    read = {role: _Read(version(path), sizes[role], config.alpha) for role, path in paths.items()}
    images = {role: _load(image).to(device) for role, image in read.items()}
    base = terms[0]  # the result has the shape of the content, a texture that of its style
    canvas = images[base] if sizes[base] == config.size else load(paths[base], config.size, config.alpha).to(device)
    if config.init not in ("noise", "content", "style"):
        paths["init"] = _init_path(config.init)
    pixels = canvas if config.init == base else _start(config, paths, *canvas.shape[2:])
    network, backbone = _network(config, device)
    for role, image in {**images, "image": pixels}.items():
        _check_size(role, image, backbone)
    gram = config.style_loss.gram.value
    objective = Objective(
        backbone,
        _content(network, read["content"], tuple(config.content_layers)) if "content" in terms else {},
        _style(network, read["style"], tuple(config.style_layers), gram) if "style" in terms else {},
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        gram_normalize=gram,
    )
    task = Transfer(
        pixels.to(device),
        objective,
        make_optimizer(config.optimizer, canvas[0, 0].numel()),
        stops(config.steps, config.tracking.loss_every, config.tracking.image_every),
        config.range_weight,
    )
    return Experiment(
        task,
        inputs={role: file_facts(path) for role, path in paths.items()},
        weights={config.backbone.name.value: file_facts(backbone.weights)},
        originals={role: images[role] for role in terms},
    )


def _train(config: Config, device: torch.device, processes: int) -> Experiment:
    data, generator = config.data, config.generator
    if data is None or generator is None:
        raise InputError("mode=train needs data and generator, which conf/mode/train.yaml gives")
    _check_terms(config, TERMS[Mode.train])
    if data.batch % processes:
        raise InputError(f"data.batch={data.batch}: must be a multiple of the {processes} processes that share it")
    paths, others = _training_images(data.dir)
    held_out = paths[:: max(HELD_OUT_EVERY, len(paths) // MOST_HELD_OUT)]
    kept = [path for path in paths if path not in set(held_out)]
    if config.epochs:
        config.steps = max(1, config.epochs * data.crops * len(kept) // data.batch)
    style_path = samples.find("style", config.style or "")
    style_read = _Read(version(style_path), config.style_size or data.size, config.alpha)
    network, backbone = _network(config, device)
    shown: Tensor = torch.cat([load_cover(path, data.size, data.size) for path in held_out]).to(device)
    for role, image in {"style": _load(style_read), "crop": shown}.items():
        _check_size(role, image, backbone)
    gram = config.style_loss.gram.value
    objective = Objective(
        backbone,
        {},
        _style(network, style_read, tuple(config.style_layers), gram),
        content_weight=config.content_weight,
        style_weight=config.style_weight,
        tv_weight=config.tv_weight,
        gram_normalize=gram,
    )
    inputs = {"style": file_facts(style_path)}
    task = Train(
        Generator(generator.name.value, generator.width, generator.blocks).to(device),
        objective,
        config.content_layers,
        Draws(kept, data.size, config.seed),
        shown,
        make_optimizer(config.optimizer, data.size**2),
        stops(config.steps, config.tracking.loss_every, config.tracking.image_every),
        batch=data.batch,
        workers=data.workers,
        facts={"style": inputs["style"]},
    )
    return Experiment(
        task,
        inputs=inputs,
        weights={config.backbone.name.value: file_facts(backbone.weights)},
        originals={"content": torch.cat(torch.split(shown[:SHOWN], 1), dim=3), "style": _load(style_read)},
        data={"images": len(kept), "held_out": [str(path) for path in held_out], "not_images": others},
    )


def _stylize(config: Config, device: torch.device) -> Experiment:
    path = _generator_file(config)
    if path.suffix == ".onnx":
        paint, description = onnx.load(path)
    else:
        generator, description = load_generator(path)
        generator.to(device)

        def paint(image: Tensor) -> Tensor:
            return tiles.paint(generator, image, config.tile)

    if config.content is None:
        raise InputError("mode=stylize needs content=: a file, a folder or the name of a sample")
    options = config.size, config.alpha, config.colours is Colours.content
    weights = {"generator": file_facts(path)}
    data: dict[str, Any] = {"generator": description}
    folder = Path(config.content).expanduser()
    if not folder.is_dir():
        content = samples.find("content", config.content)
        return Experiment(
            Stylize(paint, {"result.png": content}, *options, alone=True),
            inputs={"content": file_facts(content)},
            weights=weights,
            originals={"content": load(content, config.size, config.alpha)},
            data=data,
        )
    images, others = find_images(folder)
    if not images:
        raise InputError(f"content={config.content}: no image among its {others} files")
    data |= {"images": len(images), "not_images": others}
    return Experiment(Stylize(paint, results_of(folder, images), *options), weights=weights, data=data)


def _export(config: Config, device: torch.device) -> Experiment:
    path = _generator_file(config)
    if path.suffix == ".onnx":
        raise InputError(f"checkpoint={path}: is ONNX already")
    onnx.require()
    generator, description = load_generator(path)
    return Experiment(Export(generator, description), weights={"generator": file_facts(path)})


def _generator_file(config: Config) -> Path:
    """The file that `checkpoint` means: itself, or what a run of mode=train left in its folder."""
    if config.checkpoint is None:
        raise InputError(f"mode={config.mode.value} needs checkpoint=: what mode=train made, or the folder of its run")
    path = Path(config.checkpoint).expanduser()
    if path.is_dir():
        names = ("generator.safetensors", CHECKPOINT, "generator.onnx")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    if not path.is_file():
        raise InputError(f"checkpoint={config.checkpoint}: no file {path}")
    return path


def _training_images(folder: str | None) -> tuple[list[Path], int]:
    if folder is None:
        return [samples.find("data.dir", name) for name in samples.PHOTOGRAPHS], 0
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(f"data.dir={folder}: no such folder")
    images, others = find_images(path)
    if len(images) < 2:
        raise InputError(
            f"data.dir={folder}: {len(images)} images among {len(images) + others} files; at least 2 are needed, "
            "one of them to be held out"
        )
    return images, others


def _network(config: Config, device: torch.device) -> tuple["_Network", Backbone]:
    """The backbone of a config; from here on the config, and so the record, has canonical layer names."""
    network = _Network(
        config.backbone.name.value,
        (*config.content_layers, *config.style_layers),
        version(find(config.backbone.name.value, config.backbone.weights)),
        config.backbone.pooling.value,
        config.backbone.padding.value,
        device,
    )
    backbone = _backbone(network)
    config.content_layers = backbone.canonical(config.content_layers)
    config.style_layers = backbone.canonical(config.style_layers)
    return network, backbone


@dataclass(frozen=True)
class _Read:
    """An image file, and how it is read."""

    file: Version
    size: int | None
    alpha: str


@dataclass(frozen=True)
class _Network:
    """What a backbone is made from, and where it is."""

    name: str
    layers: tuple[str, ...]
    weights: Version
    pooling: str
    padding: str
    device: torch.device


# The jobs of a sweep that runs in one process share what they have in common.


@lru_cache(maxsize=4)
def _load(image: _Read) -> Tensor:
    return load(image.file[0], image.size, image.alpha)


@lru_cache(maxsize=1)
def _backbone(of: _Network) -> Backbone:
    return Backbone(of.name, of.layers, str(of.weights[0]), of.pooling, of.padding).to(of.device)


@lru_cache(maxsize=4)
def _content(network: _Network, image: _Read, layers: tuple[str, ...]) -> Targets:
    return content_targets(_backbone(network), _load(image).to(network.device), layers)


@lru_cache(maxsize=4)
def _style(network: _Network, image: _Read, layers: tuple[str, ...], normalize: str) -> Targets:
    return style_targets(_backbone(network), _load(image).to(network.device), layers, normalize)


def _distill(config: Config, device: torch.device) -> Experiment:
    settings = config.distill
    if settings is None or not settings.teachers:
        raise InputError("mode=distill needs distill.teachers")
    for name, teacher in settings.teachers.items():
        if name not in OFFICIAL:
            raise InputError(f"distill.teachers.{name}: a teacher is one of {', '.join(OFFICIAL)}")
        for layer in teacher.layers.values():
            resolve([layer], slim().reads, "slim")
    teachers = {
        name: Teacher(
            Backbone(name, teacher.layers, teacher.weights, padding="reflect"), dict(teacher.layers), teacher.pad
        )
        for name, teacher in settings.teachers.items()
    }
    photos = load_folder(Path(settings.photos).expanduser(), smallest=max(settings.crop, HELD_OUT_SIDE))
    task = Distill(
        teachers,
        photos=[photo for index, photo in enumerate(photos) if index % HELD_OUT_EVERY],
        held_out=photos[::HELD_OUT_EVERY],
        stops=stops(config.steps, config.tracking.loss_every),
        lr=settings.lr,
        batch=settings.batch,
        crop=settings.crop,
        on_policy=settings.on_policy,
    )
    return Experiment(task, weights={name: file_facts(teacher.backbone.weights) for name, teacher in teachers.items()})


def make_optimizer(config: Any, pixels: int) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    """The optimiser a config describes, for an image of so many pixels, still without its parameters."""
    if isinstance(config, Lbfgs):
        history = min(config.history, 10) if pixels > MEGAPIXEL else config.history
        search = None if config.line_search is LineSearch.none else config.line_search.value
        return lambda parameters: torch.optim.LBFGS(
            parameters,
            lr=config.lr,
            history_size=history,
            line_search_fn=search,
            tolerance_grad=0,  # torch's defaults end a run from the content at once
            tolerance_change=0,
        )
    assert isinstance(config, Adam)
    return lambda parameters: torch.optim.Adam(parameters, lr=config.lr, betas=(config.beta1, config.beta2))


def _check_terms(config: Config, terms: tuple[str, ...]) -> None:
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


def _start(config: Config, paths: dict[str, Path], height: int, width: int) -> Tensor:
    """The image to start from, (1, 3, height, width), where that is not the canvas itself."""
    if config.init == "noise":
        return noise(height, width, config.seed)
    role = config.init if config.init in ("content", "style") else "init"
    if role not in paths:
        raise InputError(f"init={role}: {role} is null; give {role}=, or init=noise")
    return load_cover(paths[role], height, width, config.alpha)


def _init_path(init: str) -> Path:
    path = os.path.expanduser(init)
    if not os.path.isfile(path):
        raise InputError(f"init={init}: neither noise, content, style nor an image file")
    return Path(path)


def _check_size(role: str, image: Tensor, backbone: Backbone) -> None:
    height, width = image.shape[2:]
    if min(height, width) < backbone.smallest_side:
        key = "style_size" if role == "style" else "size"
        raise InputError(
            f"the {role} is {width}×{height} pixels at this size, and {backbone.deepest} needs "
            f"{backbone.smallest_side} a side: raise {key}, or ask for shallower layers"
        )
