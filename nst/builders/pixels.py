"""Experiments that optimise the pixels of an image."""

import gc
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst import samples
from nst.backbones import Backbone
from nst.builders.parts import (
    TERMS,
    Experiment,
    Read,
    check_size,
    check_terms,
    content_of,
    file_facts,
    load_image,
    make_optimizer,
    need_of,
    network_of,
    objective_of,
    remembered,
    style_of,
)
from nst.config import LEAST_STRIP, Config
from nst.errors import InputError
from nst.files import version
from nst.image import noise
from nst.imagefile import load_cover
from nst.memory import Need, Plan, free, plan, planned
from nst.strips import cut
from nst.tasks.task import stops
from nst.tasks.transfer import Level, Transfer
from nst.text import gigabytes

COARSEST = 192
"""Pixels of the longest side that a level of its own is worth: at half of 256 px a style runs over faces."""


def build_transfer(config: Config, device: torch.device) -> Experiment:
    """mode=transfer, and reconstruct and texture, which use one of its two terms."""
    terms = TERMS[config.mode]
    check_terms(config)
    paths = {
        role: samples.find(role, name)
        for role, name in (("content", config.content), ("style", config.style))
        if name is not None and (role in terms or config.init == role)
    }
    if config.init not in ("noise", "content", "style"):
        paths["init"] = _init_path(config.init)
    network, backbone = network_of(config, device)
    scenes = [_scene(config, paths, terms)]
    for role, image in {**scenes[0].images, "image": scenes[0].canvas}.items():
        check_size(role, image, backbone)
    levels = config.levels or (2 if max(scenes[0].canvas.shape) >= 2 * COARSEST else 1)
    while len(scenes) < min(levels, config.steps):
        coarser = _scene(config, paths, terms, halvings=len(scenes))
        shown = (coarser.canvas, *coarser.images.values())
        if min(min(image.shape[2:]) for image in shown) < backbone.smallest_side:
            break
        scenes.insert(0, coarser)
    config.levels = len(scenes)
    height, width = scenes[-1].canvas.shape[2:]
    seen = _plan(config, need_of(network, remembered(config.optimizer)), backbone, height, width, device)
    config.strip = rows = seen.rows
    gram, layers = config.style_loss.gram.value, (tuple(config.content_layers), tuple(config.style_layers))
    painted = []
    for number, scene in enumerate(scenes, 1):
        content = content_of(network, scene.read["content"], layers[0], rows) if "content" in terms else {}
        style = style_of(network, scene.read["style"], layers[1], gram, rows) if "style" in terms else {}
        size = (scene.canvas.shape[2], scene.canvas.shape[3])
        objective = objective_of(config, backbone, content, style, cut(backbone.reach, size[0], rows))
        painted.append(Level(size, objective, until=config.steps * number // len(scenes)))
    first = scenes[0]
    pixels = first.canvas if config.init == terms[0] else _start(config, paths, *first.canvas.shape[2:])
    task = Transfer(
        pixels.to(device),
        painted,
        make_optimizer(config.optimizer),
        config.range_weight,
        stops(config.steps, config.tracking.loss_every, config.tracking.image_every),
    )
    return Experiment(
        task,
        inputs={role: file_facts(path) for role, path in paths.items()},
        weights={config.backbone.name.value: file_facts(backbone.weights)},
        plan=seen,
        lighter=f"size={max(height, width) // 2} or strip={max(LEAST_STRIP, (rows or height) // 4)}",
        originals={role: scenes[-1].images[role] for role in terms},
    )


def _plan(config: Config, need: Need, backbone: Backbone, height: int, width: int, device: torch.device) -> Plan:
    """How the image is seen: as the config says, or as the memory asks for.

    Raises InputError for an image that does not fit in any strips.
    """
    if config.strip:
        return planned(need, backbone.reach, height, width, config.strip)
    found = plan(need, backbone.reach, height, width, available := free(device))
    if found.strips > 1:
        gc.collect()  # what a job before this one left
        found = plan(need, backbone.reach, height, width, available := free(device))
    if (least := found.bytes) > available:
        fits = longest = max(height, width)
        while found.bytes > available and fits > backbone.smallest_side:
            fits = int(0.95 * fits)
            found = plan(need, backbone.reach, height * fits // longest, width * fits // longest, available)
        raise InputError(
            f"size: {width}×{height} pixels take {gigabytes(least)} even in strips, and {gigabytes(available)} "
            f"are free; take size={fits}"
        )
    return found


@dataclass
class Scene:
    """What one level is painted from."""

    read: dict[str, Read]
    images: dict[str, Tensor]
    """Role → (1, 3, H, W) in [0, 1]."""
    canvas: Tensor
    """An image of the result's shape: the content, or for a texture the style."""


def _scene(config: Config, paths: dict[str, Path], terms: tuple[str, ...], halvings: int = 0) -> Scene:
    def read(role: str, size: int | None) -> Read:
        image = Read(version(paths[role]), size, config.alpha)
        if not halvings:
            return image
        longest = size or max(load_image(image).shape[2:])
        return Read(image.file, max(1, longest >> halvings), config.alpha)

    sizes = {"content": config.size, "style": config.style_size or config.size}
    reads = {role: read(role, sizes[role]) for role in paths if role in sizes}
    images = {role: load_image(each) for role, each in reads.items()}
    base = terms[0]
    return Scene(reads, images, images[base] if sizes[base] == config.size else load_image(read(base, config.size)))


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
