"""Builds the work of mode=distill and mode=fidelity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from nst.backbones import Backbone
from nst.backbones.layers import resolve
from nst.backbones.weights import find, reached
from nst.config import Config
from nst.engine.fabric import Hardware, make_fabric
from nst.engine.loop import optimize
from nst.engine.task import report_steps
from nst.errors import InputError
from nst.files import as_path
from nst.images import samples
from nst.images.files import load
from nst.images.noise import noise
from nst.losses.targets import Features
from nst.losses.transfer import Layers, transfer_objective
from nst.modes.method import losses_of
from nst.modes.parts import Experiment, Setting, file_facts, optimizer_of
from nst.modes.pixels.descent import Descent, Scale
from nst.modes.pixels.task import Pixels
from nst.record.files import read_record, refuse_another, refuse_changed
from nst.slim.config import Distill as DistillConfig
from nst.slim.config import Fidelity as FidelityConfig
from nst.slim.distill import HELD_OUT_SIDE, Data, Distill, Recipe
from nst.slim.fidelity import RESULTS, SLIM, TEACHER, Measurement, Paint, Pair, measure
from nst.slim.photos import as_bytes, center, load_folder
from nst.slim.student import of_slim, taught

LEAST_PHOTOS = 24
"""The number of photographs to train on that a folder must hold."""
MEASURED_SIDE = 192
"""Side, in pixels, of the images on which the unexplained variance is measured."""
FITTED, NOISES = 200, 16
"""About how many photographs the linear maps are fitted to, and how many images of white noise are measured."""
PAINTS = (
    *("size", "steps", "optimizer", "style_loss", "content_loss"),
    *("content_weight", "style_weight", "tv_weight", "range_weight"),
)
"""Keys and sections that decide what the teacher paints, besides its own."""


def build_distillation(setting: Setting) -> Experiment:
    """The work of mode=distill. Raises InputError for what cannot work."""
    config = setting.config
    section: DistillConfig | None = getattr(config, "distill", None)
    if section is None:
        raise InputError("mode=distill needs distill.layers, which conf/mode/distill.yaml gives")
    known = taught()
    if not section.layers or section.layers != known[: len(section.layers)]:
        raise InputError(f"distill.layers=[{','.join(section.layers)}]: must be the first of [{','.join(known)}]")
    smallest = max(section.crop, HELD_OUT_SIDE)
    photos = load_folder(as_path("distill.photos", section.photos), smallest, LEAST_PHOTOS, "distill.photos")
    paintings = None
    if section.paintings:
        paintings = load_folder(as_path("distill.paintings", section.paintings), smallest, 1, "distill.paintings")
    teacher = Backbone(TEACHER, section.layers, section.weights, padding="reflect")
    recipe = Recipe(
        lr=section.lr,
        batch=section.batch,
        crop=section.crop,
        on_policy=section.on_policy,
        guidance=section.guidance,
    )
    data = Data(photos, paintings.trained if paintings else [])
    return Experiment(
        Distill(teacher, data, recipe, report_steps(config.steps, config.tracking.loss_every)).to(setting.device),
        weights={TEACHER: file_facts(teacher.weights)},
        lighter=f"distill.batch={max(2, section.batch // 2)} or distill.crop={max(64, section.crop // 2)}",
        data={"photos": len(photos.trained), "paintings": len(data.paintings), "held_out": len(photos.held_out)},
    )


def build_fidelity(setting: Setting) -> Experiment:
    """The work of mode=fidelity. Raises InputError for what cannot work."""
    config, device = setting.config, setting.device
    section: FidelityConfig | None = getattr(config, "fidelity", None)
    if section is None or not section.pairs:
        raise InputError("mode=fidelity needs fidelity.pairs: a list of [content,style]")
    asked = resolve([*section.layers, section.content], taught(), TEACHER)
    layers = reached(TEACHER, asked[: len(section.layers)], find(TEACHER, section.weights))
    if not layers:
        raise InputError(f"fidelity.layers=[{','.join(section.layers)}]: the weights reach none of them")
    teacher = Backbone(TEACHER, ["relu1_1", *layers, section.content], section.weights, padding="reflect").to(device)
    wanted = ["conv1_1", *config.content_layers, *config.style_layers, *map(of_slim, layers)]
    backbone = Backbone(SLIM, wanted, config.backbone.weights, padding="reflect").to(device)
    painters = {
        TEACHER: Layers([section.content], layers),
        SLIM: Layers(backbone.canonical(config.content_layers), backbone.canonical(config.style_layers)),
    }
    pairs = _pairs(section.pairs)
    images = [file_facts(path) for path in dict.fromkeys(path for each in pairs for path in (each.content, each.style))]
    weights = {TEACHER: file_facts(teacher.weights)}
    pictures_of = partial(_pictures_of, config=config, images=images, weights=weights)
    measurement = Measurement(
        slim=backbone,
        teacher=teacher,
        layers=painters,
        loss=losses_of(config).style,
        pairs=pairs,
        size=config.size,
        paint=_painter(config, device),
        device=device,
        images=_measured_on(section.photos, section.paintings) if section.photos else {},
        painted=pictures_of("fidelity.painted", section.painted) if section.painted else None,
        resumed=pictures_of("resume", config.resume) if config.resume else None,
    )
    return Experiment(
        partial(measure, measurement),
        inputs={"image": images},
        weights=weights | {SLIM: file_facts(backbone.weights)},
        decided={
            "content_layers": list(painters[SLIM].content),
            "style_layers": list(painters[SLIM].style),
        },
    )


def _pairs(given: Sequence[Sequence[str]]) -> list[Pair]:
    pairs: dict[str, Pair] = {}
    for pair in given:
        if len(pair) != 2:
            raise InputError(f"fidelity.pairs: [{','.join(pair)}] must be [content,style]")
        content, style = (samples.find("fidelity.pairs", each) for each in pair)
        name = f"{content.stem}_{style.stem}"
        if name in pairs:
            raise InputError(f"fidelity.pairs: two pairs are named {name}; their pictures need different names")
        pairs[name] = Pair(name, content, style)
    return list(pairs.values())


def _painter(config: Config, device: torch.device) -> Paint:
    """How every network paints: a transfer at one scale that starts from the content."""
    losses, make_optimizer = losses_of(config), optimizer_of(config)[0]
    fabric = make_fabric(Hardware(device.type))

    def paint(network: Features, layers: Layers, content: Tensor, style: Tensor) -> Tensor:
        objective = transfer_objective(network, content, style, replace(layers, by_positions=True), losses)
        scale = Scale((content.shape[2], content.shape[3]), objective, config.steps)
        picture = optimize(Pixels(content, [scale], Descent(make_optimizer, config.range_weight)), fabric, None).picture
        assert picture is not None
        return picture

    return paint


def _pictures_of(
    key: str, given: str, config: Config, images: Iterable[Mapping[str, str]], weights: Mapping[str, Mapping[str, str]]
) -> Path:
    """The folder of pictures of an earlier run of mode=fidelity; `given` as `key`.

    images, weights: {"path", "sha256"} of the files that are used now. Raises InputError if the earlier run's teacher
    painted with other settings or other files.
    """
    path, where = as_path(key, given), f"{key}={given}"
    folder = path if path.is_dir() else path.parent
    record = read_record(folder)
    if not isinstance(record.get("config", {}).get("fidelity"), dict):
        raise InputError(f"{where}: not the folder of a run of mode=fidelity")
    now: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    refuse_another(where, _paints(record["config"]), _paints(now))
    held = record.get("weights", {})
    before = {file["path"]: [file] for several in record.get("inputs", {}).values() for file in several}
    files = {file["path"]: [file] for file in images} | {name: [file] for name, file in weights.items()}
    used_before = {name: several for name, several in files.items() if name in before or name in held}
    refuse_changed(where, {"inputs": before, "weights": held}, used_before)
    return folder / RESULTS


def _paints(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that decides what the teacher paints."""
    teacher = {f"fidelity.{key}": config["fidelity"].get(key) for key in ("layers", "content")}
    return teacher | {key: config.get(key) for key in PAINTS}


def _measured_on(photos: str, paintings: str | None) -> dict[str, list[Tensor]]:
    """Kind → images (1, 3, MEASURED_SIDE, MEASURED_SIDE); of folders, those that mode=distill holds out."""
    split = load_folder(as_path("fidelity.photos", photos), MEASURED_SIDE, LEAST_PHOTOS, "fidelity.photos")
    if paintings:
        painted = load_folder(as_path("fidelity.paintings", paintings), MEASURED_SIDE, 0, "fidelity.paintings").held_out
    else:
        painted = [as_bytes(load(samples.find("style", name), 2 * MEASURED_SIDE)) for name in samples.PAINTINGS]
    return {
        "fitted": [_square(photo) for photo in split.trained[:: max(1, len(split.trained) // FITTED)]],
        "photographs": [_square(photo) for photo in split.held_out],
        "paintings": [_square(painting) for painting in painted],
        "noise": [noise(MEASURED_SIDE, MEASURED_SIDE, seed) for seed in range(NOISES)],
    }


def _square(photo: Tensor) -> Tensor:
    return center(photo, MEASURED_SIDE)[None]
