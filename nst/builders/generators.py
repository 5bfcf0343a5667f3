"""Experiments that train a generator, paint with it or export it."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst import onnx, samples, tiles
from nst.builders.parts import (
    HELD_OUT_EVERY,
    Experiment,
    Read,
    check_size,
    check_terms,
    file_facts,
    load_image,
    make_optimizer,
    network_of,
    objective_of,
    style_of,
)
from nst.config import Colours, Config
from nst.errors import InputError
from nst.files import CHECKPOINT, version
from nst.generator import Generator
from nst.generator import check_size as check_painted_size
from nst.generator import load as load_generator
from nst.imagefile import load, load_cover
from nst.photos import Draws, find_images
from nst.tasks.export import Export
from nst.tasks.stylize import Stylize, results_of
from nst.tasks.task import stops
from nst.tasks.train import SHOWN, Train

MOST_HELD_OUT = 16
"""Images held out of training a generator, at most or so: they are painted whenever losses are told."""


def build_training(config: Config, device: torch.device, processes: int) -> Experiment:
    """mode=train, shared by `processes`."""
    data, generator = config.data, config.generator
    if data is None or generator is None:
        raise InputError("mode=train needs data and generator, which conf/mode/train.yaml gives")
    check_terms(config)
    if data.batch % processes:
        raise InputError(f"data.batch={data.batch}: must be a multiple of the {processes} processes that share it")
    paths, others = _training_images(data.dir)
    held_out = paths[:: max(HELD_OUT_EVERY, len(paths) // MOST_HELD_OUT)]
    kept = sorted(set(paths) - set(held_out))
    if config.epochs:
        config.steps = max(1, config.epochs * data.crops * len(kept) // data.batch)
    style_path = samples.find("style", config.style or "")
    style_read = Read(version(style_path), config.style_size or data.size, config.alpha)
    network, backbone = network_of(config, device)
    shown = _readable(held_out, data.size).to(device)
    for role, image in {"style": load_image(style_read), "crop": shown}.items():
        check_size(role, image, backbone)
    style = style_of(network, style_read, tuple(config.style_layers), config.style_loss.gram.value)
    names = "\n".join(path.name for path in kept)
    listed = {"path": data.dir or "the bundled photographs", "sha256": hashlib.sha256(names.encode()).hexdigest()}
    inputs = {"style": file_facts(style_path), "list of images": listed}
    task = Train(
        Generator(generator.name.value, generator.width, generator.blocks).to(device),
        objective_of(config, backbone, {}, style),
        config.content_layers,
        Draws(kept, data.size, config.seed),
        shown,
        make_optimizer(config.optimizer),
        stops(config.steps, config.tracking.loss_every, config.tracking.image_every),
        batch=data.batch,
        workers=data.workers,
        facts={"style": inputs["style"]},
    )
    return Experiment(
        task,
        inputs=inputs,
        weights={config.backbone.name.value: file_facts(backbone.weights)},
        lighter=f"data.batch={max(1, data.batch // 2)} or data.size={data.size // 2}",
        originals={"content": torch.cat(torch.split(shown[:SHOWN], 1), dim=3), "style": load_image(style_read)},
        data={"images": len(kept), "held_out": [str(path) for path in held_out], "not_images": others},
    )


def _readable(paths: list[Path], side: int) -> Tensor:
    images = []
    for path in paths:
        with contextlib.suppress(InputError):  # cut short, which its first bytes did not show
            images.append(load_cover(path, side, side))
    if not images:
        raise InputError(f"none of the images held out of training can be read, such as {paths[0]}")
    return torch.cat(images)


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


def build_stylizing(config: Config, device: torch.device) -> Experiment:
    """mode=stylize, of a file or a folder."""
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
    lighter = f"tile={config.tile // 2}"
    folder = Path(config.content).expanduser()
    if not folder.is_dir():
        content = samples.find("content", config.content)
        original = load(content, config.size, config.alpha)
        check_painted_size(original)
        return Experiment(
            Stylize(paint, {"result.png": content}, *options, alone=True),
            inputs={"content": file_facts(content)},
            weights=weights,
            lighter=lighter,
            originals={"content": original},
            data=data,
        )
    images, others = find_images(folder)
    if not images:
        raise InputError(f"content={config.content}: no image among its {others} files")
    data |= {"images": len(images), "not_images": others}
    return Experiment(Stylize(paint, results_of(folder, images), *options), weights=weights, lighter=lighter, data=data)


def build_export(config: Config) -> Experiment:
    """mode=export."""
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
