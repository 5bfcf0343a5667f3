"""Builds the work of mode=train."""

import contextlib
import hashlib
import os
from pathlib import Path

import torch
from torch import Tensor

from nst.choices import Colors
from nst.config import MOST_STEPS, Data
from nst.engine.task import report_steps
from nst.errors import InputError
from nst.files import as_path, version
from nst.generators.data import CropDataset, find_images
from nst.generators.networks import GENERATORS, Generator
from nst.images import samples
from nst.images.files import load_cover
from nst.losses.objective import Objective
from nst.losses.terms import Goal
from nst.modes.method import method_of
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
from nst.modes.regions import whole
from nst.modes.shared import Read, Shared, looks_of
from nst.modes.train.task import SHOWN, Aim, Train, TrainingData

HELD_OUT_EVERY = 24
"""One image in so many is held out of training."""
MOST_HELD_OUT = 16
"""About as many images are held out at most: they are painted at every report."""


def build(setting: Setting) -> Experiment:
    """Find the images, encode the style and put the task together. Raises InputError for what cannot work."""
    config = setting.config
    data, generator = config.data, config.generator
    if data is None or generator is None:
        raise InputError("mode=train needs data and generator, which conf/mode/train.yaml gives")
    if generator.name not in GENERATORS:
        raise InputError(f"generator.name={generator.name}: expected one of [{', '.join(GENERATORS)}]")
    check_terms(setting)
    if data.batch % setting.processes:
        raise InputError(
            f"data.batch={data.batch}: must be a multiple of the {setting.processes} processes that share it"
        )
    kept, held_out, others = _training_images(data)
    steps = max(1, config.epochs * data.crops * len(kept) // data.batch) if config.epochs else config.steps
    if steps > MOST_STEPS:
        raise InputError(f"epochs={config.epochs}: makes {steps} steps; at most {MOST_STEPS} are possible")
    input_paths(setting, [])  # refuses a style that is missing
    (region,) = whole(config.style, config.style_mix)
    method, shared = method_of(setting), Shared(setting.session)
    shown, readable = _readable(held_out, data.size)
    refuse_two_sizes(config)
    side = config.style_size or max(1, round(config.style_scale * data.size))
    photos = [Read(version(path), data.size, config.background) for path in readable]
    colors_of = tuple(photos) if config.colors is Colors.matched else ()
    how = side, config.background, colors_of, config.color_match.value
    looks = looks_of(region, {path: Read(version(path), *how) for path in region.styles})
    shown = shown.to(setting.device)
    for image in (shared.image(look.read) for look in looks):
        check_size("style", image, method.backbone, raise_key=style_size_key(config))
    check_size("crop", shown, method.backbone, raise_key="data.size")
    styles = shared.styles(method.network, looks, (method.style_layers, method.losses.style))
    goals = [Goal(targets, share) for share, targets in styles]
    style_facts = [file_facts(path) for path in region.styles]
    facts = {"style": style_facts[0], "styles": style_facts}
    task = Train(
        Generator(generator.name, generator.width, generator.blocks).to(setting.device),
        Aim(
            Objective(method.backbone, method.losses.terms({}, *goals)),
            method.content_layers,
            method.losses.content,
            content_colors=config.colors is Colors.content,
        ),
        TrainingData(CropDataset(kept, data.size, config.seed), shown, data.batch, data.workers, facts),
        optimizer_of(config)[0],
        report_steps(steps, config.tracking.loss_every, config.tracking.image_every),
    )
    return Experiment(
        task,
        inputs={"style": style_facts, "list of images": [_list_facts(data, kept)]},
        weights=method.facts,
        originals={
            "content": [torch.cat(torch.split(shown[:SHOWN], 1), dim=3)],
            "style": [shared.image(look.read) for look in looks],
        },
        decided=method.decided | {"steps": steps},
        lighter=f"data.batch={max(1, data.batch // 2)} or data.size={data.size // 2}",
        data={"images": len(kept), "held_out": [str(path) for path in held_out], "not_images": others},
    )


def _list_facts(data: Data, kept: list[Path]) -> dict[str, str]:
    """Where the training images are, and a hash of their names."""
    names = os.fsencode("\n".join(path.name for path in kept))
    return {"path": data.dir or "the bundled photographs", "sha256": hashlib.sha256(names).hexdigest()}


def _readable(paths: list[Path], side: int) -> tuple[Tensor, list[Path]]:
    """Images (N, 3, side, side) in [0, 1], and their files. Files that cannot be read completely are skipped."""
    images, readable = [], []
    for path in paths:
        with contextlib.suppress(InputError):
            images.append(load_cover(path, side, side))
            readable.append(path)
    if not images:
        raise InputError(f"none of the images held out of training can be read, such as {paths[0]}")
    return torch.cat(images), readable


def _training_images(data: Data) -> tuple[list[Path], list[Path], int]:
    """Images to train on, images held out, and the number of other files in the folder."""
    if data.dir is None:
        paths, others = [samples.find("data.dir", name) for name in samples.PHOTOGRAPHS], 0
    else:
        folder = as_path("data.dir", data.dir)
        if not folder.is_dir():
            raise InputError(f"data.dir={data.dir}: no such folder")
        paths, others = find_images(folder)
        if len(paths) < 2:
            raise InputError(
                f"data.dir={data.dir}: {len(paths)} images among {len(paths) + others} files; at least 2 are needed, "
                "one of them to be held out"
            )
    held_out = paths[:: max(HELD_OUT_EVERY, len(paths) // MOST_HELD_OUT)]
    return sorted(set(paths) - set(held_out)), held_out, others
