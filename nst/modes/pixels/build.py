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
from nst.modes.method import Method, method_of
from nst.modes.parts import (
    Experiment,
    Setting,
    check_size,
    check_terms,
    file_facts,
    input_paths,
    optimizer_of,
)
from nst.modes.pixels.descent import Descent, Scale, last_steps, most_scales
from nst.modes.pixels.task import Pixels
from nst.modes.shared import Read, Shared
from nst.text import gigabytes

LARGEST_STYLE = 16384
"""Pixels of the style's longest side, as `style_size` has it."""
MOST_SCALES = 16
LARGEST_SHARE = 1e9
"""Of the steps, relative to the other scales' shares."""


@dataclass
class Scene:
    """The images of one scale."""

    reads: dict[str, list[Read]]
    images: dict[str, list[Tensor]]
    """Role → images (1, 3, H, W) in [0, 1]."""
    canvas: Tensor
    """An image of the result's shape: the content, or for a texture the style."""

    @property
    def smallest(self) -> tuple[str, tuple[int, int]]:
        """The role and the size (H, W) of the image with the shortest side; the canvas is an image."""
        images = [("image", self.canvas), *((role, each) for role in self.images for each in self.images[role])]
        role, image = min(images, key=lambda each: min(each[1].shape[2:]))
        return role, (image.shape[2], image.shape[3])


def build(setting: Setting) -> Experiment:
    """Read the images, encode the targets and put the task together. Raises InputError for what cannot work."""
    config, terms = setting.config, setting.mode.terms
    check_terms(setting)
    paths = _paths(setting)
    method = method_of(setting)
    scenes = _scenes(setting, method, paths)
    plan = _plan(setting, method, scenes[-1])
    shared = Shared(setting.session)
    kept = method.content_layers, method.losses.content
    matched = method.style_layers, method.losses.style
    shares, scales = _shares(config, len(scenes)), []
    for scene, until in zip(scenes, last_steps(config.steps, len(scenes), shares), strict=True):
        content = (
            shared.content(method.network, scene.reads["content"][0], kept, plan.rows) if "content" in terms else {}
        )
        style = (
            shared.style(method.network, tuple(scene.reads["style"]), matched, plan.rows) if "style" in terms else {}
        )
        size = (scene.canvas.shape[2], scene.canvas.shape[3])
        objective = method.objective(content, style, cut(method.backbone.receptive_fields, size[0], plan.rows))
        scales.append(Scale(size, objective, until))
    task = Pixels(
        _start(config, paths, scenes[0].canvas, canvas_role=terms[0]).to(setting.device),
        scales,
        Descent(optimizer_of(config)[0], config.range_weight, config.average),
        report_steps(config.steps, config.tracking.loss_every, config.tracking.image_every),
    )
    height, width = scenes[-1].canvas.shape[2:]
    return Experiment(
        task,
        inputs={role: [file_facts(path) for path in several] for role, several in paths.items()},
        weights=method.facts,
        originals={role: scenes[-1].images[role] for role in terms},
        decided=method.decided | {"scales": len(scenes), "scale_steps": shares, "strip": plan.rows},
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


def _scenes(setting: Setting, method: Method, paths: dict[str, list[Path]]) -> list[Scene]:
    """The images of each scale, from coarse to fine. Raises InputError if there cannot be as many as are asked for."""
    config, side = setting.config, method.backbone.smallest_side
    if config.style_size and config.style_scale != 1:
        raise InputError(
            f"style_size={config.style_size} style_scale={config.style_scale:g}: both say how large the style is; "
            "leave out one"
        )
    if config.size and config.style_scale * config.size > LARGEST_STYLE:
        raise InputError(f"style_scale={config.style_scale:g}: makes the style larger than {LARGEST_STYLE} px a side")
    finest = _scene(setting, paths, shrink=1)
    raise_style = "style_size" if config.style_scale == 1 else "style_scale"
    for role, several in {**finest.images, "image": [finest.canvas]}.items():
        for image in several:
            check_size(role, image, method.backbone, raise_key=raise_style if role == "style" else "size")
    if config.scales and config.scales > config.steps:
        raise InputError(f"scales={config.scales}: there are only {config.steps} steps")
    wanted = config.scales or most_scales(max(finest.canvas.shape[2:]), config.smallest_scale, config.scale_factor)
    scenes = [finest]
    while len(scenes) < min(wanted, config.steps, MOST_SCALES):
        coarser = _scene(setting, paths, shrink=config.scale_factor ** len(scenes))
        if min(coarser.smallest[1]) < side:
            break
        scenes.insert(0, coarser)
    if config.scales and len(scenes) < config.scales:
        role, (height, width) = _scene(setting, paths, shrink=config.scale_factor ** (config.scales - 1)).smallest
        raise InputError(
            f"scales={config.scales}: the smallest {role} would be {width}×{height} pixels, and "
            f"{method.backbone.deepest} needs {side} a side; take scales={len(scenes)}"
        )
    return scenes


def _scene(setting: Setting, paths: dict[str, list[Path]], shrink: float) -> Scene:
    """The images of the scale whose sides are those of the result, divided by `shrink`."""
    config, shared = setting.config, Shared(setting.session)

    def read(path: Path, size: float | None) -> Read:
        return Read(version(path), None if size is None else max(1, round(size)), config.background)

    base = paths[setting.mode.terms[0]][0]
    canvas = read(base, config.size)
    if shrink != 1:
        canvas = read(base, max(shared.image(canvas).shape[2:]) / shrink)
    longest = max(shared.image(canvas).shape[2:])
    sizes = {
        "content": canvas.size,
        "style": config.style_size / shrink if config.style_size else config.style_scale * longest,
    }
    reads = {role: [read(path, sizes[role]) for path in paths[role]] for role in paths if role in sizes}
    images = {role: [shared.image(each) for each in several] for role, several in reads.items()}
    return Scene(reads, images, shared.image(canvas))


def _shares(config: Config, scales: int) -> list[float] | None:
    """The scales' shares of the steps that are used; None: equal ones. Raises InputError for what cannot be shares."""
    shares = config.scale_steps
    if shares is None:
        return None
    numbers = all(type(share) in (int, float) for share in shares)
    shown = f"scale_steps=[{','.join(f'{share:g}' if numbers else str(share) for share in shares)}]"
    if not numbers or not all(0 <= share <= LARGEST_SHARE for share in shares) or not any(shares):
        raise InputError(f"{shown}: must be numbers from 0 to {LARGEST_SHARE:g}, with one above 0, such as [2,1]")
    if config.scales and len(shares) > config.scales:
        raise InputError(f"{shown}: has {len(shares)} shares, and there are {config.scales} scales")
    if not any(shares[:scales]):
        raise InputError(f"{shown}: the shares of the {scales} scales are 0; one must be above 0")
    return shares[:scales]


def _plan(setting: Setting, method: Method, scene: Scene) -> Plan:
    """The strips that the config asks for, or the fewest that fit into memory.

    Raises InputError for an image that does not fit in any strips.
    """
    height, width = scene.canvas.shape[2:]
    styles = sum(style.shape[2] * style.shape[3] for style in scene.images.get("style", [])) / (height * width)
    fields = method.backbone.receptive_fields
    memory = Shared(setting.session).step_memory(method.network, optimizer_of(setting.config)[1])
    memory = memory.keeping(method.style_layers, method.losses.style.copies * (1 + styles))
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
