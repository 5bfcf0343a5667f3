"""Builds the work of mode=distill and mode=fidelity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from nst.backbones import NETWORKS, Backbone
from nst.backbones.layers import resolve
from nst.backbones.networks.slim import slim
from nst.backbones.weights import find, reached
from nst.config import Config
from nst.engine.task import report_steps
from nst.errors import InputError
from nst.generators.data import find_images
from nst.images import samples
from nst.images.files import load
from nst.images.noise import noise
from nst.losses.objective import Objective
from nst.losses.targets import Features, content_targets, style_targets
from nst.losses.terms import Goal
from nst.memory.strips import WHOLE
from nst.modes.method import losses_of
from nst.modes.parts import Experiment, Setting, file_facts, optimizer_of
from nst.modes.pixels.descent import Descent, Scale
from nst.modes.pixels.task import Pixels
from nst.record.files import read_record, refuse_another, refuse_changed
from nst.slim.config import Distill as DistillConfig
from nst.slim.config import Fidelity as FidelityConfig
from nst.slim.config import Teacher as TeacherConfig
from nst.slim.distill import HELD_OUT_SIDE, Distill, Photos, Recipe
from nst.slim.fidelity import RESULTS, SLIM, Layers, Measurement, Paint, Pair, measure
from nst.slim.photos import center, load_folder
from nst.slim.teacher import Teacher

HELD_OUT_EVERY = 24
"""One photograph in so many is held out of training, to measure on."""
MEASURED_SIDE = 192
"""Side, in pixels, of the images on which the unexplained variance is measured."""
FITTED, NOISES = 200, 16
"""About how many photographs the linear maps are fitted to, and how many images of white noise are measured."""
PAINTS = (
    *("size", "steps", "optimizer", "style_loss", "content_loss"),
    *("content_weight", "style_weight", "tv_weight", "range_weight"),
)
"""Keys and sections that decide what a teacher paints, besides the teacher's own."""


def build_distillation(setting: Setting) -> Experiment:
    """The work of mode=distill. Raises InputError for what cannot work."""
    config = setting.config
    section: DistillConfig | None = getattr(config, "distill", None)
    if section is None:
        raise InputError("mode=distill needs distill.teachers, which conf/mode/distill.yaml gives")
    _check("distill", section.teachers)
    photos = _split(load_folder(Path(section.photos).expanduser(), smallest=max(section.crop, HELD_OUT_SIDE)))
    teachers = {name: _teacher(name, each, each.layers) for name, each in section.teachers.items()}
    recipe = Recipe(
        lr=section.lr,
        batch=section.batch,
        crop=section.crop,
        on_policy=section.on_policy,
        guidance=section.guidance,
        compiled=section.compile,
    )
    return Experiment(
        Distill(teachers, photos, recipe, report_steps(config.steps, config.tracking.loss_every)),
        weights={name: file_facts(teacher.backbone.weights) for name, teacher in teachers.items()},
        lighter=f"distill.batch={max(2, section.batch // 2)} or distill.crop={max(64, section.crop // 2)}",
    )


def build_fidelity(setting: Setting) -> Experiment:
    """The work of mode=fidelity. Raises InputError for what cannot work."""
    config, device = setting.config, setting.device
    section: FidelityConfig | None = getattr(config, "fidelity", None)
    if section is None or not section.pairs:
        raise InputError("mode=fidelity needs fidelity.pairs: a list of [content,style]")
    _check("fidelity", section.teachers)
    teachers: dict[str, Teacher] = {}
    layers: dict[str, Layers] = {}
    for name, each in section.teachers.items():
        if each.content is None:
            raise InputError(f"fidelity.teachers.{name}.content: must be the layer for the content loss")
        teachers[name] = _teacher(name, each, reached(name, each.layers, find(name, each.weights)), each.content)
        teachers[name].backbone.to(device)
        layers[name] = Layers([each.content], list(teachers[name].pairs))
    learned = dict.fromkeys(layer for teacher in teachers.values() for layer in teacher.pairs.values())
    wanted = [*config.content_layers, *config.style_layers, *learned]
    backbone = Backbone(SLIM, wanted, config.backbone.weights, padding="reflect").to(device)
    layers[SLIM] = Layers(backbone.canonical(config.content_layers), backbone.canonical(config.style_layers))
    pairs = _pairs(section.pairs)
    images = [file_facts(path) for path in dict.fromkeys(path for each in pairs for path in (each.content, each.style))]
    weights = {name: file_facts(teacher.backbone.weights) for name, teacher in teachers.items()}
    pictures_of = partial(_pictures_of, config=config, images=images, weights=weights)
    measurement = Measurement(
        backbone,
        teachers,
        layers,
        pairs,
        config.size,
        _painter(config, device),
        device,
        images=_measured_on(section.photos, section.paintings) if section.photos else {},
        painted=pictures_of("fidelity.painted", section.painted) if section.painted else None,
        resumed=pictures_of("resume", config.resume) if config.resume else None,
    )
    return Experiment(
        partial(measure, measurement),
        inputs={"image": images},
        weights=weights | {SLIM: file_facts(backbone.weights)},
        decided={"content_layers": list(layers[SLIM].content), "style_layers": list(layers[SLIM].style)},
    )


def _check(mode: str, teachers: Mapping[str, TeacherConfig]) -> None:
    """Raise InputError if there are no teachers, or for one that is no teacher or names layers that slim lacks."""
    if not teachers:
        raise InputError(f"mode={mode} needs {mode}.teachers")
    known = [name for name, network in NETWORKS.items() if network.official]
    for name, each in teachers.items():
        if name not in known:
            raise InputError(f"{mode}.teachers.{name}: a teacher is one of {', '.join(known)}")
        resolve(each.layers.values(), slim().reads, SLIM)


def _teacher(name: str, given: TeacherConfig, layers: Iterable[str], *others: str) -> Teacher:
    """A teacher with those of its layers that slim learns; `others` can be read, too."""
    pairs = {layer: given.layers[layer] for layer in layers}
    backbone = Backbone(name, [*pairs, *others], given.weights, padding="reflect")
    return Teacher(backbone, pairs, given.pad, given.every)


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

    def paint(network: Features, layers: Layers, content: Tensor, style: Tensor) -> Tensor:
        kept = content_targets(network, (content, WHOLE), layers.content, losses.content)
        matched = style_targets(network, [(style, WHOLE)], layers.style, losses.style)
        features = network(content)
        positions = tuple(float(features[layer][0, 0].numel()) for layer in layers.style)
        objective = Objective(network, replace(losses, layer_weights=positions).terms(kept, Goal(matched)))
        scale = Scale((content.shape[2], content.shape[3]), objective, config.steps)
        task = Pixels(content, [scale], Descent(make_optimizer, config.range_weight)).to(device)
        task.optimizer = task.configure_optimizers()
        while task.step < config.steps:
            until = task.next_stop()
            task.advance(until - task.step)
            task.step = until
        return task.picture()

    return paint


def _pictures_of(
    key: str, given: str, config: Config, images: Iterable[Mapping[str, str]], weights: Mapping[str, Mapping[str, str]]
) -> Path:
    """The folder of pictures of an earlier run of mode=fidelity; `given` as `key`.

    images, weights: {"path", "sha256"} of the files that are used now. Raises InputError if the earlier run's teachers
    painted with other settings or other files.
    """
    path, where = Path(given).expanduser(), f"{key}={given}"
    folder = path if path.is_dir() else path.parent
    record = read_record(folder)
    if not record.get("config", {}).get("fidelity"):
        raise InputError(f"{where}: not the folder of a run of mode=fidelity")
    now: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    teachers = now["fidelity"]["teachers"]
    refuse_another(where, _paints(record["config"], teachers), _paints(now, teachers))
    before = {file["path"]: [file] for several in record["inputs"].values() for file in several}
    files = {file["path"]: [file] for file in images} | {name: [file] for name, file in weights.items()}
    used_before = {name: several for name, several in files.items() if name in before or name in record["weights"]}
    refuse_changed(where, {"inputs": before, "weights": record["weights"]}, used_before)
    return folder / RESULTS


def _paints(config: Mapping[str, Any], teachers: Iterable[str]) -> dict[str, Any]:
    """The part of a config that decides what teachers paint; which layers of slim learn theirs makes no difference."""
    held = config["fidelity"]["teachers"]
    painters = {
        name: {"layers": list(held[name]["layers"]), "content": held[name]["content"], "pad": held[name]["pad"]}
        for name in teachers
        if name in held
    }
    return {"fidelity": {"teachers": painters}} | {key: config.get(key) for key in PAINTS}


def _measured_on(photos: str, paintings: str | None) -> dict[str, list[Tensor]]:
    """Kind → images (1, 3, MEASURED_SIDE, MEASURED_SIDE). The photographs are those that mode=distill holds out."""
    split = _split(load_folder(Path(photos).expanduser(), MEASURED_SIDE, "fidelity.photos"))
    files = find_images(Path(paintings).expanduser())[0] if paintings else []
    painted = files or [samples.find("style", name) for name in samples.PAINTINGS]
    return {
        "fitted": [_square(photo) for photo in split.trained[:: max(1, len(split.trained) // FITTED)]],
        "photographs": [_square(photo) for photo in split.held_out],
        "paintings": [_square(load(path, 2 * MEASURED_SIDE)[0].mul(255).round().byte()) for path in painted],
        "noise": [noise(MEASURED_SIDE, MEASURED_SIDE, seed) for seed in range(NOISES)],
    }


def _split(photos: Sequence[Tensor]) -> Photos:
    trained = [photo for index, photo in enumerate(photos) if index % HELD_OUT_EVERY]
    return Photos(trained, photos[::HELD_OUT_EVERY])


def _square(photo: Tensor) -> Tensor:
    return center(photo, MEASURED_SIDE)[None]
