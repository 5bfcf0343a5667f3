"""Builds the work of mode=transfer, reconstruct and texture."""

import gc
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nst.config import LEAST_STRIP, Config
from nst.engine.task import report_steps
from nst.errors import InputError
from nst.files import version
from nst.images.files import load_cover
from nst.images.noise import noise
from nst.memory.estimate import Plan, fewest_strips, plan_strips
from nst.memory.strips import cut
from nst.memory.system import free_bytes
from nst.modes.parts import (
    Experiment,
    Method,
    Setting,
    check_size,
    check_terms,
    file_facts,
    input_paths,
    method_of,
    optimizer_of,
)
from nst.modes.pixels.task import Pixels, Scale
from nst.modes.shared import Read, Shared
from nst.text import gigabytes

SMALLEST_SCALE = 192
"""Longest side, in pixels, that is worth a scale of its own: at half of 256 px the style's strokes cover faces."""


@dataclass
class Scene:
    """The images of one scale."""

    reads: dict[str, list[Read]]
    images: dict[str, list[Tensor]]
    """Role → images (1, 3, H, W) in [0, 1]."""
    canvas: Tensor
    """An image of the result's shape: the content, or for a texture the style."""


def build(setting: Setting) -> Experiment:
    """Read the images, encode the targets and put the task together. Raises InputError for what cannot work."""
    config, terms = setting.config, setting.mode.terms
    check_terms(setting)
    paths = _paths(setting)
    method = method_of(setting)
    scenes, notes = _scenes(setting, method, paths)
    plan = _plan(setting, method, scenes[-1].canvas)
    shared = Shared(setting.session)
    scales = []
    for number, scene in enumerate(scenes, 1):
        content = (
            shared.content(method.network, scene.reads["content"][0], method.content_layers, plan.rows)
            if "content" in terms
            else {}
        )
        style = (
            shared.style(method.network, tuple(scene.reads["style"]), method.style_layers, method.loss, plan.rows)
            if "style" in terms
            else {}
        )
        size = (scene.canvas.shape[2], scene.canvas.shape[3])
        objective = method.objective(content, style, cut(method.backbone.receptive_fields, size[0], plan.rows))
        scales.append(Scale(size, objective, until=config.steps * number // len(scenes)))
    task = Pixels(
        _start(config, paths, scenes[0].canvas, canvas_role=terms[0]).to(setting.device),
        scales,
        optimizer_of(config)[0],
        config.range_weight,
        report_steps(config.steps, config.tracking.loss_every, config.tracking.image_every),
    )
    height, width = scenes[-1].canvas.shape[2:]
    return Experiment(
        task,
        inputs={role: [file_facts(path) for path in several] for role, several in paths.items()},
        weights=method.facts,
        originals={role: scenes[-1].images[role] for role in terms},
        decided=method.decided | {"scales": len(scenes), "strip": plan.rows},
        notes=notes,
        plan=plan,
        lighter=f"size={max(height, width) // 2} or strip={max(LEAST_STRIP, (plan.rows or height) // 4)}",
    )


def _paths(setting: Setting) -> dict[str, list[Path]]:
    """Role → image files: of the terms' targets, and of the image to start from."""
    config, mode = setting.config, setting.mode
    for role in {"content", "style"} - {*mode.terms, config.init}:
        if getattr(config, role) is not None:
            raise InputError(f"{role}={getattr(config, role)}: mode={mode.name} uses it only with init={role}")
    paths = input_paths(setting, {*mode.terms, config.init} & {"content", "style"})
    if config.init not in ("noise", "content", "style"):
        paths["init"] = [_init_path(config.init)]
    return paths


def _scenes(setting: Setting, method: Method, paths: dict[str, list[Path]]) -> tuple[list[Scene], list[str]]:
    """The images of each scale, from coarse to fine, and a line for the user if there are fewer than asked for."""
    config = setting.config
    scenes = [_scene(setting, paths, halvings=0)]
    finest = scenes[0]
    for role, several in {**finest.images, "image": [finest.canvas]}.items():
        for image in several:
            check_size(role, image, method.backbone, raise_key="style_size" if role == "style" else "size")
    asked = config.scales or (2 if max(finest.canvas.shape) >= 2 * SMALLEST_SCALE else 1)
    why = f"there are {config.steps} steps"
    while len(scenes) < min(asked, config.steps):
        coarser = _scene(setting, paths, halvings=len(scenes))
        shown = [coarser.canvas, *(image for several in coarser.images.values() for image in several)]
        if min(min(image.shape[2:]) for image in shown) < method.backbone.smallest_side:
            why = f"{method.backbone.deepest} needs images of {method.backbone.smallest_side} px a side"
            break
        scenes.insert(0, coarser)
    fewer = config.scales is not None and len(scenes) < config.scales
    return scenes, [f"scales   {len(scenes)}, not {config.scales}: {why}"] if fewer else []


def _scene(setting: Setting, paths: dict[str, list[Path]], halvings: int) -> Scene:
    config, shared = setting.config, Shared(setting.session)

    def read(path: Path, size: int | None) -> Read:
        image = Read(version(path), size, config.background)
        if not halvings:
            return image
        longest = size or max(shared.image(image).shape[2:])
        return Read(image.file, max(1, longest >> halvings), config.background)

    sizes = {"content": config.size, "style": config.style_size or config.size}
    reads = {role: [read(path, sizes[role]) for path in paths[role]] for role in paths if role in sizes}
    images = {role: [shared.image(each) for each in several] for role, several in reads.items()}
    base = setting.mode.terms[0]
    same = sizes[base] == config.size
    return Scene(reads, images, images[base][0] if same else shared.image(read(paths[base][0], config.size)))


def _plan(setting: Setting, method: Method, canvas: Tensor) -> Plan:
    """The strips that the config asks for, or the fewest that fit into memory.

    Raises InputError for an image that does not fit in any strips.
    """
    height, width = canvas.shape[2:]
    fields = method.backbone.receptive_fields
    memory = Shared(setting.session).step_memory(method.network, optimizer_of(setting.config)[1])
    if setting.config.strip:
        return plan_strips(memory, fields, height, width, setting.config.strip)
    found = fewest_strips(memory, fields, height, width, available := free_bytes(setting.device))
    if found.strips > 1:
        gc.collect()  # what a job before this one left
        found = fewest_strips(memory, fields, height, width, available := free_bytes(setting.device))
    if (least := found.bytes) > available:
        fits = longest = max(height, width)
        while found.bytes > available and fits > method.backbone.smallest_side:
            fits = int(0.95 * fits)
            found = fewest_strips(memory, fields, height * fits // longest, width * fits // longest, available)
        raise InputError(
            f"size: {width}×{height} pixels take {gigabytes(least)} even in strips, and {gigabytes(available)} "
            f"are free; take size={fits}"
        )
    return found


def _start(config: Config, paths: dict[str, list[Path]], canvas: Tensor, canvas_role: str) -> Tensor:
    """The image to start from, (1, 3, H, W) like the canvas of the first scale."""
    if config.init == canvas_role:
        return canvas
    height, width = canvas.shape[2:]
    if config.init == "noise":
        return noise(height, width, config.seed)
    role = config.init if config.init in ("content", "style") else "init"
    if role not in paths:
        raise InputError(f"init={role}: {role} is null; give {role}=, or init=noise")
    return load_cover(paths[role][0], height, width, config.background)


def _init_path(init: str) -> Path:
    path = os.path.expanduser(init)
    if not os.path.isfile(path):
        raise InputError(f"init={init}: neither noise, content, style nor an image file")
    return Path(path)
