"""The progress of a run, for the eye: a bar in a terminal, a few lines elsewhere."""

import sys
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from nst.tasks.task import Row, Task
from nst.text import say

LINES = 6
"""Lines printed over a whole run where there is no terminal."""


class Progress(Callback):
    """Step, losses, seconds per step and the time that is left, at each stop of a task."""

    def __init__(self) -> None:
        self._bar = tqdm(disable=True)  # until it is known how many steps there are

    def on_train_start(self, trainer: Trainer, task: LightningModule) -> None:
        assert isinstance(task, Task)
        self._first = task.step, task.seconds
        self._bar = tqdm(
            total=task.stops[-1],
            initial=task.step,
            bar_format="{percentage:3.0f}% |{bar:20}| {n}/{total} steps, {remaining} left{postfix}",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )
        self._next_line = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, task: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(task, Task)
        if not outputs:  # no row is due
            return
        total = task.stops[-1]
        pace = (task.seconds - self._first[1]) / (task.step - self._first[0])
        news = f"{_losses(outputs)}  {pace:.3g} s/step"
        if not self._bar.disable:
            self._bar.set_postfix_str(news, refresh=False)
            self._bar.update(task.step - self._bar.n)
        elif task.step >= self._next_line and task.step < total:
            say(f"step {outputs['step']:.0f}/{total}  {news}, {pace * (total - task.step):.0f} s left")
            self._next_line += total / LINES

    def on_train_end(self, trainer: Trainer, task: LightningModule) -> None:
        self._bar.close()

    def on_exception(self, trainer: Trainer, task: LightningModule, exception: BaseException) -> None:
        self._bar.close()


def _losses(row: Row) -> str:
    terms = {name.removeprefix("loss/"): value for name, value in row.items() if name.startswith("loss/")}
    return "  ".join(f"{name} {value:.3g}" for name, value in list(terms.items())[:4])
