"""Builds the work of mode=transfer, reconstruct and texture."""

import gc
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from nst.choices import Colors, Propagation
from nst.config import LEAST_STRIP, Config
from nst.engine.task import report_steps
from nst.errors import InputError
from nst.files import as_path, version
from nst.images.colors import with_colors_of
from nst.images.files import load
from nst.judges import Reference
from nst.losses.objective import Objective
from nst.losses.terms import Goal, Structure
from nst.memory.estimate import Plan, fewest_strips, plan_strips
from nst.memory.strips import cut
from nst.memory.system import free_bytes
from nst.modes.judging import LARGEST as JUDGED
from nst.modes.judging import judging
from nst.modes.method import Method, method_of
from nst.modes.parts import (
    Experiment,
    Setting,
    check_size,
    check_terms,
    file_facts,
    input_paths,
    optimizer_of,
    refuse_two_sizes,
    style_size_key,
)
from nst.modes.pixels.descent import Descent, Scale, last_steps, most_scales
from nst.modes.pixels.goals import goals_of, painted_within
from nst.modes.pixels.judged import reference_of
from nst.modes.pixels.scene import Scene
from nst.modes.pixels.start import init_role, start
from nst.modes.pixels.task import Pixels
from nst.modes.regions import Region, files_of, listed, masked, masks_at, refuse_empty, whole
from nst.modes.shared import Read, Shared
from nst.text import gigabytes

LARGEST_STYLE = 16384
"""Pixels of the style's longest side, as `style_size` has it."""
MOST_SCALES = 16
LARGEST_SHARE = 1e9
"""Of the steps, relative to the other scales' shares."""


def build(setting: Setting) -> Experiment:
    """Read the images, encode the targets and put the task together. Raises InputError for what cannot work."""
    config = setting.config
    check_terms(setting)
    regions = _regions(setting)
    paths = _paths(setting, regions)
    method = method_of(setting)
    scenes = _scenes(setting, method, paths, regions)
    plan = _plan(setting, method, scenes[-1])
    shares = _shares(config, len(scenes))
    ends = last_steps(config.steps, len(scenes), shares)
    task = Pixels(
        start(config.init, scenes[0], paths, config.seed, config.background).to(setting.device),
        [_scale(setting, method, scene, plan.rows, until) for scene, until in zip(scenes, ends, strict=True)],
        Descent(optimizer_of(config)[0], config.range_weight, config.average),
        report_steps(config.steps, config.tracking.loss_every, config.tracking.image_every),
    )
    height, width = scenes[-1].size
    used = {*method.content_layers, *method.style_layers}
    return Experiment(
        task,
        inputs={role: [file_facts(path) for path in several] for role, several in paths.items()},
        weights=method.facts,
        originals=_originals(setting, scenes[-1], paths),
        decided=method.decided | {"scales": len(scenes), "scale_steps": shares, "strip": plan.rows},
        plan=plan,
        judging=judging(setting, partial(_reference, setting, paths, regions, scenes[-1]), method.network.name, used),
        lighter=f"size={max(height, width) // 2} or strip={max(LEAST_STRIP, (plan.rows or height) // 4)}",
    )


def _reference(setting: Setting, paths: dict[str, list[Path]], regions: list[Region], finest: Scene) -> Reference:
    """What the picture is judged against."""
    shrink = max(1.0, max(finest.size) / JUDGED)
    scene = finest if shrink == 1 else _scene(setting, paths, regions, shrink)
    return reference_of(scene, setting.mode.terms, setting.device)


def _scale(setting: Setting, method: Method, scene: Scene, rows: int | None, until: int) -> Scale:
    """What is minimized at one scale, up to step `until`. rows: of its strips."""
    config, terms, shared = setting.config, setting.mode.terms, Shared(setting.session)
    kept = method.content_layers, method.losses.content
    content = shared.content(method.network, scene.reads["content"][0], kept, rows) if "content" in terms else {}
    inside = config.mask_propagation is Propagation.inside
    goals = goals_of(shared, method, scene, rows, inside) if "style" in terms else [Goal({})]
    canvas, covered = scene.canvas.to(setting.device), scene.covered
    compared = method.losses.terms(content, *goals)
    if config.structure_weight and _is_transfer(setting):
        compared["structure"] = Structure(config.structure_weight, canvas)
    shown = None if covered is None else partial(painted_within, content=canvas, covered=covered.to(setting.device))
    strips = cut(method.backbone.receptive_fields, scene.size[0], rows)
    finish = partial(with_colors_of, content=canvas) if config.colors is Colors.content else None
    return Scale(scene.size, Objective(method.backbone, compared, strips, shown), until, finish)


def _is_transfer(setting: Setting) -> bool:
    """Whether the mode has a content and a style."""
    return len(setting.mode.terms) == 2


def _originals(setting: Setting, scene: Scene, paths: dict[str, list[Path]]) -> dict[str, list[Tensor]]:
    """Role → the images that the record keeps: of the terms, and of masks, in the result's size."""
    images = {role: list(scene.images[role]) for role in setting.mode.terms}
    masks = [load(path, max(scene.size), "black") for path in paths.get("mask", [])]
    return images | ({"mask": masks} if masks else {})


def _regions(setting: Setting) -> list[Region]:
    """The styles, and where they are to be; none for a mode without a style term."""
    config = setting.config
    if "style" not in setting.mode.terms:
        return []
    if config.regions is not None:
        return listed(config.regions)
    input_paths(setting, [])  # refuses a style that is missing
    if config.mask is not None:
        return masked(config.style, config.style_mix, config.mask, config.mask_outside.value)
    return whole(config.style, config.style_mix)


def _paths(setting: Setting, regions: list[Region]) -> dict[str, list[Path]]:
    """Role → image files: of the terms' targets, of masks, and of the image to start from."""
    config, mode = setting.config, setting.mode
    started = init_role(config.init)
    for role in {"content", "style"} - {*mode.terms, started}:
        if getattr(config, role) is not None:
            raise InputError(f"{role}={getattr(config, role)}: mode={mode.name} uses it only with init={role}")
    paths = input_paths(setting, ({*mode.terms, started} & {"content", "style"}) - ({"style"} if regions else set()))
    paths |= files_of(regions)
    if started == "init":
        paths["init"] = [as_path("init", config.init)]
    return paths


def _scenes(setting: Setting, method: Method, paths: dict[str, list[Path]], regions: list[Region]) -> list[Scene]:
    """The images of each scale, from coarse to fine. Raises InputError if there cannot be as many as are asked for."""
    config, side = setting.config, method.backbone.smallest_side
    refuse_two_sizes(config)
    if config.size and config.style_scale * config.size > LARGEST_STYLE:
        raise InputError(f"style_scale={config.style_scale:g}: makes the style larger than {LARGEST_STYLE} px a side")
    scene_of = partial(_scene, setting, paths, regions)
    finest = scene_of(shrink=1)
    refuse_empty(regions, finest.masks)
    for role, several in {**finest.images, "image": [finest.canvas]}.items():
        for image in several:
            check_size(role, image, method.backbone, raise_key=style_size_key(config) if role == "style" else "size")
    if config.scales and config.scales > config.steps:
        raise InputError(f"scales={config.scales}: there are only {config.steps} steps")
    wanted = config.scales or most_scales(max(finest.size), config.smallest_scale, config.scale_factor)
    scenes = [finest]
    while len(scenes) < min(wanted, config.steps, MOST_SCALES):
        coarser = scene_of(shrink=config.scale_factor ** len(scenes))
        if min(coarser.smallest[1]) < side:
            break
        scenes.insert(0, coarser)
    if config.scales and len(scenes) < config.scales:
        role, (height, width) = scene_of(shrink=config.scale_factor ** (config.scales - 1)).smallest
        raise InputError(
            f"scales={config.scales}: the smallest {role} would be {width}×{height} pixels, and "
            f"{method.backbone.deepest} needs {side} a side; take scales={len(scenes)}"
        )
    return scenes


def _scene(setting: Setting, paths: dict[str, list[Path]], regions: list[Region], shrink: float) -> Scene:
    """The images of the scale whose sides are those of the result, divided by `shrink`."""
    config, shared = setting.config, Shared(setting.session)

    def read(path: Path, size: float | None, *colors_of: Read) -> Read:
        rounded = None if size is None else max(1, round(size))
        return Read(version(path), rounded, config.background, colors_of, config.color_match.value)

    base = paths[setting.mode.terms[0]][0]
    canvas = read(base, config.size)
    if shrink != 1:
        canvas = read(base, max(shared.image(canvas).shape[2:]) / shrink)
    image = shared.image(canvas)
    style_side = config.style_size / shrink if config.style_size else config.style_scale * max(image.shape[2:])
    matched = [canvas] if config.colors is Colors.matched else []
    reads: dict[str, list[Read]] = {
        role: [read(path, style_side, *matched) if role == "style" else read(path, canvas.size) for path in paths[role]]
        for role in ("content", "style")
        if role in paths
    }
    images = {role: [shared.image(each) for each in several] for role, several in reads.items()}
    masks = masks_at(regions, (image.shape[2], image.shape[3]), config.mask_feather / shrink)
    return Scene(reads, images, image, regions, masks, finest=shrink == 1)


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
    height, width = scene.size
    sizes = [style.shape[2] * style.shape[3] for style in scene.images.get("style", [])]
    styles = sum(sizes) / (height * width)
    fields = method.backbone.receptive_fields
    memory = Shared(setting.session).step_memory(method.network, optimizer_of(setting.config)[1])
    loss = method.losses.style
    goals = 1 if loss.additive else sum(len(region.styles) for region in scene.regions)
    regions = sum(mask is not None for mask in scene.masks)  # each keeps its weighted features for the gradient
    memory = memory.keeping(method.style_layers, loss.copies * (goals + styles) + regions)
    encoding = memory.encoding(max(sizes, default=0))
    if setting.config.strip:
        found = plan_strips(memory, fields, height, width, setting.config.strip)
        return replace(found, bytes=max(found.bytes, encoding))
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
    return replace(found, bytes=max(found.bytes, encoding))
