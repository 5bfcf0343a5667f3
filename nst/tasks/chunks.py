"""Steps in chunks, so that Lightning, logging and device synchronisation happen once a chunk, not once a step."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from nst.errors import InputError

Row = dict[str, float]
"""One line of the record: step, seconds since the first step began, and named figures."""


def stops(steps: int, *every: int) -> list[int]:
    """The steps at which chunks end: every multiple of each of `every` below `steps`, and `steps`."""
    return sorted({stop for period in every for stop in range(period, steps, period)} | {steps})


class ChunkedTask(LightningModule):
    """A task whose `training_step` runs all steps up to the next stop.

    Counts steps and seconds, which a checkpoint carries on. Subclasses implement `run_chunk`.
    """

    strict_loading = False  # a checkpoint holds what is optimised, not the frozen networks

    def __init__(self, stops: list[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stops = stops
        self.step = 0
        self.seconds = 0.0
        """Since the first step began, of this run and of those it goes on from."""
        self.stop_requested = False
        self._clock: float | None = None

    def run_chunk(self, steps: int) -> Mapping[str, Tensor | float]:
        """Take `steps` steps. Returns named figures, as they were before the first of them."""
        raise NotImplementedError

    def figures(self) -> dict[str, float]:
        """The same figures, as they are now."""
        raise NotImplementedError

    def picture(self) -> Tensor | None:
        """The image so far, (1, 3, H, W) in [0, 1], if the task makes one."""
        return None

    def files(self) -> Mapping[str, bytes]:
        """What else the task made, by file name."""
        return {}

    def finite(self, figures: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Figures as numbers, for which the device is waited for. Raises InputError if one is infinite or no number."""
        numbers = {name: float(value) for name, value in figures.items()}
        if not all(map(math.isfinite, numbers.values())):
            raise InputError(f"the loss is not finite at step {self.step}: lower the weights or the learning rate")
        return numbers

    def train_dataloader(self) -> Iterable[int]:
        return _Remaining(self)

    def training_step(self, stop: int, index: int) -> Row:
        if self._clock is None:
            self._clock = time.perf_counter() - self.seconds
        row = {"step": self.step, "seconds": time.perf_counter() - self._clock}
        figures = self.run_chunk(stop - self.step)
        row |= self.finite(figures)
        self.step = stop
        self.seconds = time.perf_counter() - self._clock
        return row

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["progress"] = {"step": self.step, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["progress"]["step"]
        self.seconds = checkpoint["progress"]["seconds"]


class _Remaining:
    """The stops that are left, whenever asked."""

    def __init__(self, task: ChunkedTask) -> None:
        self.task = task

    def __iter__(self) -> Iterator[int]:
        return iter([stop for stop in self.task.stops if stop > self.task.step])
