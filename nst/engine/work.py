"""What a run's work is, and how it reports: to the run's folder, to a tracker and to the terminal."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from nst import devices
from nst.engine.progress import Progress
from nst.engine.signals import StopRequest
from nst.engine.task import Row
from nst.record.record import Record
from nst.tracking import Tracker


@dataclass(frozen=True)
class Outcome:
    """What work made."""

    steps: int
    seconds: float
    """Of the steps, or of the whole work where there are none."""
    picture: Tensor | None = None
    """(1, 3, H, W) in [0, 1], or with opacity as a fourth channel."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    """For the record: the data that was used."""
    timings: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    """A judge's, where there are several pictures: means."""
    left_out: int = 0
    """Images of a folder that could not be used."""
    finished: bool = True
    """False if a stop request ended it early."""


@dataclass(frozen=True)
class Schedule:
    """How often a run shows and saves what it has. image_every: steps between two progress pictures."""

    image_every: int
    checkpoint_seconds: float


class Reporter:
    """Where work reports what it does. Only rank 0 has one."""

    def __init__(
        self, record: Record, tracker: Tracker, schedule: Schedule, stop: StopRequest, progress: Progress
    ) -> None:
        self.record, self.tracker, self.schedule, self.stop = record, tracker, schedule, stop
        self._progress = progress
        self._shown: tuple[int, Tensor] | None = None
        self._saved_at = time.monotonic()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.record.folder

    def start(self, step: int, seconds: float, steps: int) -> None:
        """Begin at a step, with the seconds that the steps before it took, of so many steps in all."""
        self._progress.start(step, seconds, steps)
        self._saved_at = time.monotonic()

    def row(self, row: Row, step: int, seconds: float) -> None:
        """Log a row, after the progress picture that waits; step, seconds: how far the work is now."""
        self.write_picture()
        self._log(row)
        self._progress.show(row, step, seconds)

    def step(self, done: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Log that one more part of the work is done. Raises Stopped if the user asked for that."""
        self.row({"step": done, "seconds": seconds, **metrics}, done, seconds)
        self.stop.raise_if_requested()

    def final(self, row: Row, picture: Tensor | None) -> None:
        """Log the last row and the picture as it is saved."""
        self.write_picture()
        self._log(row)
        if picture is not None:
            self._write(int(row["step"]), picture)

    def add_file(self, name: str, data: bytes) -> None:
        """Write a file at once, by its path in the run's folder."""
        self.record.add_file(name, data)

    def show_picture(self, step: int, picture: Tensor | None) -> None:
        """Copy a progress picture while steps go on: it has arrived when a later row is logged, and is written then."""
        self.write_picture()
        if picture is not None:
            self._shown = step, devices.copy_to_cpu(picture)

    def write_picture(self) -> None:
        """Write the progress picture that waits, if there is one."""
        if self._shown:
            self._write(*self._shown)
            self._shown = None

    @property
    def save_is_due(self) -> bool:
        """Whether to save a checkpoint now."""
        return time.monotonic() - self._saved_at > self.schedule.checkpoint_seconds

    def saved(self) -> None:
        """A checkpoint was saved."""
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Remove the progress bar."""
        self._progress.close()

    def _log(self, row: Row) -> None:
        self.record.add_row(row)
        self.tracker.log(int(row["step"]), {name: value for name, value in row.items() if name != "step"})

    def _write(self, step: int, picture: Tensor) -> None:
        path = self.record.add_picture(step, picture)
        self.tracker.log(step, {}, {"result": path, **self.record.shown_inputs})


Work = Callable[[Reporter], Outcome]
"""Work that takes no optimizer steps: a plain function. It may start in a folder that holds a part of its results."""
