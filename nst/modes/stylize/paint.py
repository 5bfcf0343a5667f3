"""Painting image files with a trained generator, one after the other: a plain function."""

import logging
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch
from torch import Tensor

from nst.engine.work import Outcome, Reporter
from nst.errors import InputError, one_line
from nst.files import encode_csv
from nst.generators.networks import check_size
from nst.images.colors import with_colors_of
from nst.images.files import WRITTEN, encode_as, load, load_opacity
from nst.text import say

log = logging.getLogger(__name__)
JudgeOne = Callable[[Path, Tensor], dict[str, float]]
"""An image file, and its painted picture → a judge's figures."""
LISTED = 1000
"""Most names of images that could not be used in the record."""
RESULTS = "results"
"""Folder of the pictures of a folder, inside the run's."""
WARM_UP_SIDE = 64
"""Side, in pixels, of an image that is painted before the clock starts."""


@dataclass(frozen=True)
class Painting:
    """How images are painted.

    paint: (1, 3, H, W) in [0, 1] → the same, painted. size: longest side in pixels; None: the image's own.
    background: color behind transparent images. content_colors: keep the colors of the content.
    """

    paint: Callable[[Tensor], Tensor]
    size: int | None = None
    background: str = "white"
    content_colors: bool = False

    @torch.no_grad()
    def __call__(self, path: Path) -> tuple[Tensor, float]:
        """An image file, painted, (1, 3 or 4, H, W): transparent where it was; and the milliseconds it took.

        Raises InputError for an image that cannot be read, or whose picture is not finite.
        """
        image = load(path, self.size, self.background)
        check_size(image)
        began = time.perf_counter()
        painted = self.paint(image)
        milliseconds = 1000 * (time.perf_counter() - began)
        if not painted.isfinite().all():  # it would be written black
            raise InputError(f"{path}: the generator makes no finite picture of it: train it again, or take another")
        if self.content_colors:
            painted = with_colors_of(painted, image)
        opacity = load_opacity(path, self.size)
        return painted if opacity is None else torch.cat([painted, opacity], dim=1), milliseconds


def paint_one(painting: Painting, path: Path, reporter: Reporter) -> Outcome:
    """One image. Raises InputError if it cannot be read or painted."""
    painting.paint(torch.zeros(1, 3, WARM_UP_SIDE, WARM_UP_SIDE))
    began = time.perf_counter()
    painted, milliseconds = painting(path)
    timings = {"median_milliseconds": milliseconds}
    return Outcome(1, time.perf_counter() - began, painted, data={"painted": 1, "passed_over": []}, timings=timings)


def paint_folder(
    painting: Painting, sources: Mapping[str, Path], judge: JudgeOne | None, reporter: Reporter
) -> Outcome:
    """Images, written one by one. sources: relative path of the result → image file.

    An image that cannot be read or painted is passed over, with a message. One whose result is there already, since
    the run continues an earlier part, is kept. The figures of each picture, as it was written, go to figures.csv.
    """
    figures = dict[str, dict[str, float]]()
    painting.paint(torch.zeros(1, 3, WARM_UP_SIDE, WARM_UP_SIDE))
    began = time.perf_counter()
    milliseconds, passed_over, kept = list[float](), list[str](), 0
    reporter.start(0, 0.0, len(sources))
    for done, (name, path) in enumerate(sources.items(), 1):
        if (reporter.folder / name).exists():
            kept += 1
        else:
            try:
                painted, took = painting(path)
                reporter.add_file(name, encode_as(PurePath(name).suffix, painted))
                milliseconds.append(took)
            except InputError as error:
                say(f"passed over: {error}")
                passed_over.append(name)
        if judge and (reporter.folder / name).exists():
            try:
                figures[name] = judge(path, load(reporter.folder / name))
            except Exception as error:  # such as too little memory: the picture is there
                log.warning("%s could not be judged: %s", name, one_line(error))
        reporter.step(done, {}, time.perf_counter() - began)
    say(f"results  {os.path.relpath(reporter.folder / RESULTS)}, {len(milliseconds) + kept} images")
    timings = {"median_milliseconds": statistics.median(milliseconds)} if milliseconds else {}
    data = {"painted": len(milliseconds) + kept, "passed_over": passed_over[:LISTED]}
    if means := _means(list(figures.values())):
        rows = [{"picture": name} | each for name, each in figures.items()]
        reporter.add_file("figures.csv", encode_csv(["picture", *means], rows))
    return Outcome(
        len(sources),
        time.perf_counter() - began,
        data=data,
        timings=timings,
        figures=means,
        left_out=len(passed_over),
    )


def _means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A small picture has fewer figures."""
    names = dict.fromkeys(name for each in figures for name in each)
    return {name: statistics.mean(each[name] for each in figures if name in each) for name in names}


def results_of(folder: Path, images: Sequence[Path]) -> dict[str, Path]:
    """Relative path of the result → image, for images in a folder: their own relative paths, in RESULTS.

    A suffix of another format than those written gets .png appended.
    """
    names = {f"{RESULTS}/{path.relative_to(folder).as_posix()}": path for path in images}
    kept = {name: path for name, path in names.items() if path.suffix.lower() in WRITTEN}
    for name, path in names.items():
        if name not in kept:
            while (name := f"{name}.png") in kept:
                pass
            kept[name] = path
    return kept
