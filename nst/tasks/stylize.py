"""Painting with a trained generator: one step is one image."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from nst.errors import InputError
from nst.generator import check_size
from nst.image import with_colours_of
from nst.imagefile import encode_as, load, load_opacity
from nst.tasks.task import Lazily, Row, Task
from nst.text import say

KEPT_FORMATS = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes that a painted image keeps; another gets .png behind its own."""


class Stylize(Task):
    """Paints image files one after the other.

    paint: (1, 3, H, W) in [0, 1] → the same, painted. sources: name of the result → file; a name is a relative path.
    One that cannot be read is passed over, and said. size: longest side in pixels; None: as it is. own_colours: with
    the colours of the content instead of the style's.
    """

    def __init__(
        self,
        paint: Callable[[Tensor], Tensor],
        sources: Mapping[str, Path],
        size: int | None = None,
        alpha: str = "white",
        own_colours: bool = False,
        alone: bool = False,
    ) -> None:
        super().__init__(list(range(1, len(sources) + 1)))
        self._paint = paint
        self.sources = list(sources.items())
        self.size, self.alpha, self.own_colours, self.alone = size, alpha, own_colours, alone
        self.milliseconds: list[float] = []
        self.passed_over: list[str] = []
        self._painted: Tensor | None = None
        self._fresh: dict[str, bytes] = {}

    def on_train_start(self) -> None:
        self._paint(torch.zeros(1, 3, 64, 64))  # what is set up once is not the first image's time

    def train_dataloader(self) -> Iterable[int]:
        return Lazily(lambda: iter(range(self.step, len(self.sources))))

    def training_step(self, place: int, index: int) -> Row:
        began = time.perf_counter()
        row = {"step": self.step, "seconds": self.seconds}
        name, path = self.sources[self.step]
        try:
            self._stylize(name, path)
        except InputError as error:
            if self.alone:
                raise
            say(f"passed over: {error}")
            self.passed_over.append(name)
        self.step += 1
        self.seconds += time.perf_counter() - began
        return row

    @torch.no_grad()
    def _stylize(self, name: str, path: Path) -> None:
        image = load(path, self.size, self.alpha)
        check_size(image)
        began = time.perf_counter()
        painted = self._paint(image)
        self.milliseconds.append(1000 * (time.perf_counter() - began))
        if self.own_colours:
            painted = with_colours_of(painted, image)
        opacity = load_opacity(path, self.size)
        self._painted = painted if opacity is None else torch.cat([painted, opacity], dim=1)
        if not self.alone:
            self._fresh[name] = encode_as(PurePath(name).suffix, self._painted)

    def picture(self) -> Tensor | None:
        """The one image that was painted, (1, 3 or 4, H, W): where it was transparent it is so again."""
        return self._painted if self.alone else None

    def made(self) -> dict[str, bytes]:
        fresh, self._fresh = self._fresh, {}
        return fresh

    def timings(self) -> dict[str, float]:
        return {"median_milliseconds": statistics.median(self.milliseconds)} if self.milliseconds else {}

    def data_facts(self) -> dict[str, Any]:
        return {"painted": len(self.milliseconds), "passed_over": self.passed_over}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint |= {"state_dict": {}, "milliseconds": self.milliseconds, "passed_over": self.passed_over}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.milliseconds, self.passed_over = checkpoint["milliseconds"], checkpoint["passed_over"]


def results_of(folder: Path, images: Sequence[Path]) -> dict[str, Path]:
    """Name of the result → image, for images in a folder: their own relative paths."""
    names = {f"results/{path.relative_to(folder).as_posix()}": path for path in images}
    kept = {name: path for name, path in names.items() if path.suffix.lower() in KEPT_FORMATS}
    for name, path in names.items():
        if name not in kept:
            while (name := f"{name}.png") in kept:
                pass
            kept[name] = path
    return kept
