"""What a run does: a LightningModule that owns what is optimised, counts its steps and shows what it has."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from nst.errors import Diverged

SLOWER = 0.1
"""Factor of the step size with which a run that went wrong is tried once more."""
Row = dict[str, float]
"""One line of the record: step, seconds since the first step began, and named figures."""


def stops(steps: int, *every: int) -> list[int]:
    """The steps at which a run is looked at: every multiple of each of `every` below `steps`, and `steps`."""
    return sorted({stop for period in every for stop in range(period, steps, period)} | {steps})


class Lazily:
    """What a function gives, whenever it is iterated over: what is left of a run, once it is known where it goes on."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


class Task(LightningModule):
    """Counts steps and seconds, which a checkpoint carries on.

    `training_step` returns a Row of figures as they were after so many steps, or nothing where none is due.
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

    def configure_optimizers(self) -> Any:
        """None, of a task that optimises nothing."""
        return None

    def figures(self) -> dict[str, float]:
        """Named figures as they are now; `loss/…` are kept in the record."""
        return {}

    def picture(self) -> Tensor | None:
        """The image so far, (1, 3, H, W) in [0, 1], or with opacity as a fourth channel, if the task makes one."""
        return None

    def files(self) -> Mapping[str, bytes]:
        """What else the task made, by file name."""
        return {}

    def made(self) -> Mapping[str, bytes]:
        """Files that were finished since it was last asked, by relative path."""
        return {}

    def data_facts(self) -> dict[str, Any]:
        """What the record says, when the run has ended, of the data it went through."""
        return {}

    def timings(self) -> dict[str, float]:
        """What the record says of the task's speed besides seconds per step."""
        return {}

    def finite(self, figures: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Figures as numbers, for which the device is waited for. Raises Diverged if one is infinite or no number."""
        numbers = {name: float(value) for name, value in figures.items()}
        if not all(map(math.isfinite, numbers.values())):
            raise Diverged(f"the loss is not finite at step {self.step}: lower the weights or optimizer.lr")
        return numbers

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["progress"] = {"step": self.step, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["progress"]["step"]
        self.seconds = checkpoint["progress"]["seconds"]
