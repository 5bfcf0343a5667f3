"""Builds the work of mode=stylize."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.choices import Colors
from nst.errors import InputError
from nst.files import as_path, sha256
from nst.generators import onnx, tiles
from nst.generators.data import find_images
from nst.generators.files import load as load_generator
from nst.generators.networks import check_size
from nst.images import samples
from nst.images.files import load
from nst.judges import Look, Place, Reference
from nst.modes.judging import LARGEST as JUDGED
from nst.modes.judging import Judging, judging
from nst.modes.parts import Experiment, Setting, file_facts, generator_file
from nst.modes.stylize.paint import Painting, paint_folder, paint_one, results_of


def build(setting: Setting) -> Experiment:
    """Work for a file or for a folder. Raises InputError for what cannot work."""
    config = setting.config
    if config.colors is Colors.matched:
        raise InputError("colors=matched: a trained generator has its style's colors; take colors=content or style")
    path = generator_file(setting)
    paint, description = _painter(path, config.tile, setting.device)
    if config.content is None:
        raise InputError("mode=stylize needs content=: a file, a folder or the name of a sample")
    painting = Painting(paint, config.size, config.background, config.colors is Colors.content)
    weights = {"generator": file_facts(path)}
    data: dict[str, Any] = {"generator": description}
    lighter = f"tile={config.tile // 2}"
    folder = as_path("content", config.content)
    if not folder.is_dir():
        content = samples.find("content", config.content)
        original = load(content, config.size, config.background)
        check_size(original)
        reference = partial(_reference, setting, content, max(original.shape[2:]), description)
        return Experiment(
            partial(paint_one, painting, content),
            inputs={"content": [file_facts(content)]},
            weights=weights,
            originals={"content": [original]},
            judging=judging(setting, reference),
            lighter=lighter,
            data=data,
        )
    if config.output:
        raise InputError(f"output={config.output}: a folder has many pictures; they go to results/ in the run's folder")
    images, others = find_images(folder)
    if not images:
        raise InputError(f"content={config.content}: no image among its {others} files")
    judge = judge_one = None
    if config.judge.name != "auto":  # judging takes ten times as long as painting
        judge = judging(setting, partial(_reference, setting, images[0], JUDGED, description))
    if judge:
        judge_one = partial(_figures, judge, setting, description)
    return Experiment(
        partial(paint_folder, painting, results_of(folder, images), judge_one),
        weights=weights,
        judging=judge,
        lighter=lighter,
        data=data | {"images": len(images), "not_images": others},
    )


def _figures(
    judge: Judging, setting: Setting, description: dict[str, Any], path: Path, picture: Tensor
) -> dict[str, float]:
    """The judge's figures of one picture of a folder. path: its content."""
    of = partial(_reference, setting, path, max(picture.shape[2:]), description)
    return replace(judge, reference=of).figures(picture)


def _reference(setting: Setting, content: Path, size: int, description: dict[str, Any]) -> Reference:
    """The content, and the styles that the generator was trained in if they still are where they were."""
    size, background = min(size, JUDGED), setting.config.background
    known = [each for each in description.get("styles", []) if len(each) == 2]
    there = [Path(each["path"]) for each in known if Path(each["path"]).is_file()]
    styles = there if [sha256(path) for path in there] == [each["sha256"] for each in known] else []
    looks = [Look(load(path, size).to(setting.device)) for path in styles]
    return Reference(load(content, size, background).to(setting.device), [Place(looks)] if looks else [])


def _painter(path: Path, tile: int, device: torch.device) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Image (1, 3, H, W) → painted, by the generator in a file; and its description."""
    if path.suffix == ".onnx":
        return onnx.load(path)
    generator, description = load_generator(path)
    generator.to(device)
    return lambda image: tiles.paint(generator, image, tile), description
