"""The experiments that make the embedded backbone and that measure it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from nst import samples
from nst.backbones import Backbone
from nst.backbones.networks import slim
from nst.backbones.weights import OFFICIAL, find, reached
from nst.builders.parts import HELD_OUT_EVERY, Experiment, file_facts, make_optimizer, objective_of
from nst.config import Config
from nst.config import Teacher as TeacherConfig
from nst.distillation import Teacher
from nst.errors import InputError
from nst.files import read_record, refuse_another, refuse_changed
from nst.image import noise
from nst.imagefile import load
from nst.layers import resolve
from nst.objective import Features, content_targets, style_targets
from nst.photos import centre, find_images, load_folder
from nst.tasks.distill import HELD_OUT_SIDE, Distill
from nst.tasks.fidelity import Fidelity, Pair
from nst.tasks.task import stops
from nst.tasks.transfer import Level, Transfer

MEASURED_SIDE = 192
"""Pixels a side of the images on which the variance that slim does not explain is measured."""
PAINTS = (
    *("size", "steps", "optimizer", "style_loss"),
    *("content_weight", "style_weight", "tv_weight", "range_weight"),
)
"""Keys and groups that decide what a teacher paints, beside those of the teacher."""
FITTED, NOISES = 200, 16
"""Photographs to which the maps from slim's layers are fitted, and images of white noise they are measured on."""


def build_distillation(config: Config) -> Experiment:
    """mode=distill."""
    settings = config.distill
    if settings is None:
        raise InputError("mode=distill needs distill.teachers, which conf/mode/distill.yaml gives")
    _check("distill", settings.teachers)
    photos = load_folder(Path(settings.photos).expanduser(), smallest=max(settings.crop, HELD_OUT_SIDE))
    teachers = {name: _teacher(name, each, each.layers) for name, each in settings.teachers.items()}
    trained, held_out = _split(photos)
    task = Distill(
        teachers,
        photos=trained,
        held_out=held_out,
        stops=stops(config.steps, config.tracking.loss_every),
        lr=settings.lr,
        batch=settings.batch,
        crop=settings.crop,
        on_policy=settings.on_policy,
        guidance=settings.guidance,
        compiled=settings.compile,
    )
    return Experiment(task, weights={name: file_facts(teacher.backbone.weights) for name, teacher in teachers.items()})


def build_fidelity(config: Config, device: torch.device) -> Experiment:
    """mode=fidelity."""
    settings = config.fidelity
    if settings is None or not settings.pairs:
        raise InputError("mode=fidelity needs fidelity.pairs: a list of [content,style]")
    _check("fidelity", settings.teachers)
    teachers: dict[str, Teacher] = {}
    keeps: dict[str, str] = {}
    learnt: dict[str, None] = {}
    for name, each in settings.teachers.items():
        if each.content is None:
            raise InputError(f"fidelity.teachers.{name}.content: must be the layer that keeps the content")
        keeps[name] = each.content
        teachers[name] = _teacher(name, each, reached(name, each.layers, find(name, each.weights)), each.content)
        learnt |= dict.fromkeys(teachers[name].pairs.values())
    backbone = Backbone(
        "slim", [*config.content_layers, *config.style_layers, *learnt], config.backbone.weights, padding="reflect"
    ).to(device)
    pairs: list[Pair] = []
    inputs: dict[str, dict[str, str]] = {}
    for pair in settings.pairs:
        if len(pair) != 2:
            raise InputError(f"fidelity.pairs: [{','.join(pair)}] must be [content,style]")
        content, style = (samples.find("fidelity.pairs", each) for each in pair)
        pairs.append((f"{content.stem}_{style.stem}", content, style))
        inputs |= {str(path): file_facts(path) for path in (content, style)}

    def paint(
        network: Features, content: Tensor, style: Tensor, content_layers: Sequence[str], style_layers: Sequence[str]
    ) -> Tensor:
        kept = content_targets(network, content, content_layers)
        matched = style_targets(network, style, style_layers, config.style_loss.gram.value)
        objective = objective_of(config, network, kept, matched)
        level = Level((content.shape[2], content.shape[3]), objective, config.steps)
        transfer = Transfer(content, [level], make_optimizer(config.optimizer), config.range_weight).to(device)
        transfer.advance(transfer.configure_optimizers(), config.steps)
        return transfer.picture()

    images = _measured_on(settings.photos, settings.paintings) if settings.photos else {}
    layers = backbone.canonical(config.content_layers), backbone.canonical(config.style_layers)
    weights = {name: file_facts(teacher.backbone.weights) for name, teacher in teachers.items()}
    painted = _painted(Path(settings.painted).expanduser(), config, inputs | weights) if settings.painted else None
    task = Fidelity(teachers, keeps, backbone, *layers, pairs, config.size, paint, images, painted)
    return Experiment(task, inputs=inputs, weights=weights | {"slim": file_facts(backbone.weights)})


def _check(mode: str, teachers: Mapping[str, TeacherConfig]) -> None:
    if not teachers:
        raise InputError(f"mode={mode} needs {mode}.teachers")
    for name, each in teachers.items():
        if name not in OFFICIAL:
            raise InputError(f"{mode}.teachers.{name}: a teacher is one of {', '.join(OFFICIAL)}")
        resolve(each.layers.values(), slim().reads, "slim")


def _teacher(name: str, given: TeacherConfig, layers: Iterable[str], *others: str) -> Teacher:
    """A teacher with those of its layers that slim's are paired with, and others that are read too."""
    pairs = {layer: given.layers[layer] for layer in layers}
    backbone = Backbone(name, [*pairs, *others], given.weights, padding="reflect")
    return Teacher(backbone, pairs, given.pad, given.every)


def _painted(folder: Path, config: Config, files: Mapping[str, dict[str, str]]) -> Path:
    """Where the pictures of an earlier measurement are, if its teachers painted with the same keys and files."""
    record = read_record(folder)
    if not record.get("config", {}).get("fidelity"):
        raise InputError(f"fidelity.painted={folder}: no measurement's folder")
    resolved: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    where, held = f"fidelity.painted={folder}", record["inputs"] | record["weights"]
    teachers = resolved["fidelity"]["teachers"]
    refuse_another(where, _paints(record["config"], teachers), _paints(resolved, teachers))
    refuse_changed(where, record, {role: file for role, file in files.items() if role in held})
    return folder / "results"


def _paints(config: dict[str, Any], teachers: Iterable[str]) -> dict[str, Any]:
    """What of a config decides teachers' pictures: of the layers their names, not which of slim's stand for them."""
    held = config["fidelity"]["teachers"]
    painters = {
        name: {"layers": list(held[name]["layers"]), "content": held[name]["content"], "pad": held[name]["pad"]}
        for name in teachers
        if name in held
    }
    return {"fidelity": {"teachers": painters}} | {key: config[key] for key in PAINTS}


def _measured_on(photos: str, paintings: str | None) -> dict[str, list[Tensor]]:
    """What → images of MEASURED_SIDE a side; photographs are those that mode=distill holds out of training."""
    trained, held_out = _split(load_folder(Path(photos).expanduser(), smallest=MEASURED_SIDE))
    files = find_images(Path(paintings).expanduser())[0] if paintings else []
    painted = files or [samples.find("style", name) for name in samples.PAINTINGS]
    return {
        "fitted": [_square(photo) for photo in trained[:: max(1, len(trained) // FITTED)]],
        "photographs": [_square(photo) for photo in held_out],
        "paintings": [_square(load(path, 2 * MEASURED_SIDE)[0].mul(255).round().byte()) for path in painted],
        "noise": [noise(MEASURED_SIDE, MEASURED_SIDE, seed) for seed in range(NOISES)],
    }


def _split(photos: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Those that slim is trained on, and those that are held out."""
    return [photo for index, photo in enumerate(photos) if index % HELD_OUT_EVERY], list(photos[::HELD_OUT_EVERY])


def _square(photo: Tensor) -> Tensor:
    return centre(photo, MEASURED_SIDE)[None]
