"""Steps in chunks, so that Lightning, logging and device synchronisation happen once a chunk, not once a step."""

import time
from collections.abc import Iterable, Mapping

from torch import Tensor

from nst.tasks.task import Lazily, Row, Task


class ChunkedTask(Task):
    """A task whose `training_step` runs all steps up to the next stop. Subclasses implement `run_chunk`."""

    def __init__(self, stops: list[int]) -> None:
        super().__init__(stops)
        self._clock: float | None = None

    def run_chunk(self, steps: int) -> Mapping[str, Tensor | float]:
        """Take `steps` steps. Returns named figures, as they were before the first of them."""
        raise NotImplementedError

    def train_dataloader(self) -> Iterable[int]:
        return Lazily(lambda: iter([stop for stop in self.stops if stop > self.step]))

    def training_step(self, stop: int, index: int) -> Row:
        if self._clock is None:
            self._clock = time.perf_counter() - self.seconds
        row = {"step": self.step, "seconds": time.perf_counter() - self._clock}
        figures = self.run_chunk(stop - self.step)
        row |= self.finite(figures)
        self.step = stop
        self.seconds = time.perf_counter() - self._clock
        return row
