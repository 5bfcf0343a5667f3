"""Experiments that optimise the pixels of an image."""

import os
from pathlib import Path

import torch
from torch import Tensor

from nst import samples
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
    network_of,
    objective_of,
    style_of,
)
from nst.config import Config
from nst.errors import InputError
from nst.files import version
from nst.image import noise
from nst.imagefile import load, load_cover
from nst.tasks.task import stops
from nst.tasks.transfer import Transfer


def build_transfer(config: Config, device: torch.device) -> Experiment:
    """mode=transfer, and reconstruct and texture, which use one of its two terms."""
    terms = TERMS[config.mode]
    check_terms(config)
    paths = {
        role: samples.find(role, name)
        for role, name in (("content", config.content), ("style", config.style))
        if name is not None and (role in terms or config.init == role)
    }
    sizes = {"content": config.size, "style": config.style_size or config.size}
    read = {role: Read(version(path), sizes[role], config.alpha) for role, path in paths.items()}
    images = {role: load_image(image).to(device) for role, image in read.items()}
    base = terms[0]  # the result has the shape of the content, a texture that of its style
    canvas = images[base] if sizes[base] == config.size else load(paths[base], config.size, config.alpha).to(device)
    if config.init not in ("noise", "content", "style"):
        paths["init"] = _init_path(config.init)
    pixels = canvas if config.init == base else _start(config, paths, *canvas.shape[2:])
    network, backbone = network_of(config, device)
    for role, image in {**images, "image": pixels}.items():
        check_size(role, image, backbone)
    gram = config.style_loss.gram.value
    content = content_of(network, read["content"], tuple(config.content_layers)) if "content" in terms else {}
    style = style_of(network, read["style"], tuple(config.style_layers), gram) if "style" in terms else {}
    task = Transfer(
        pixels.to(device),
        objective_of(config, backbone, content, style),
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
