"""The experiment that makes the embedded backbone."""

from pathlib import Path

from nst.backbones import Backbone
from nst.backbones.networks import slim
from nst.backbones.weights import OFFICIAL
from nst.builders.parts import HELD_OUT_EVERY, Experiment, file_facts
from nst.config import Config
from nst.distillation import Teacher
from nst.errors import InputError
from nst.layers import resolve
from nst.photos import load_folder
from nst.tasks.distill import HELD_OUT_SIDE, Distill
from nst.tasks.task import stops


def build_distillation(config: Config) -> Experiment:
    """mode=distill."""
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
