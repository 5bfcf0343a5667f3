"""Progress in a terminal or a notebook: a bar; elsewhere, a few lines."""

import sys

from tqdm import tqdm

from nst.engine.task import Row
from nst.text import say

LINES = 6
"""Lines printed over a whole run where there is no terminal."""


class Progress:
    """Shows step, losses, seconds per step and the time left."""

    def __init__(self) -> None:
        self._bar = tqdm(disable=True)  # until the number of steps is known
        self._notebook = _is_notebook()

    def start(self, step: int, seconds: float, steps: int) -> None:
        """Begin at a step; seconds: of the steps before it."""
        self._first, self._total, self._next_line = (step, seconds), steps, 0.0
        self._bar = tqdm(
            total=steps,
            initial=step,
            bar_format="{percentage:3.0f}% |{bar:20}| {n}/{total} steps, {remaining} left{postfix}",
            disable=not (self._notebook or sys.stderr.isatty()),
            file=sys.stdout if self._notebook else sys.stderr,
            dynamic_ncols=True,
            leave=False,
        )

    def show(self, row: Row, step: int, seconds: float) -> None:
        """Show a row of metrics; step, seconds: how far the run is now."""
        pace = (seconds - self._first[1]) / max(step - self._first[0], 1)
        news = "  ".join(each for each in (_losses(row), f"{pace:.3g} s/step") if each)
        if not self._bar.disable:
            self._bar.set_postfix_str(news, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step >= self._next_line and step < self._total:
            say(f"step {row['step']:.0f}/{self._total}  {news}, {pace * (self._total - step):.0f} s left")
            self._next_line += self._total / LINES

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def _is_notebook() -> bool:
    """Whether a notebook's kernel runs this; ipykernel may have been imported elsewhere, too."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


def _losses(row: Row) -> str:
    terms = {name.removeprefix("loss/"): value for name, value in row.items() if name.startswith("loss/")}
    return "  ".join(f"{name} {value:.3g}" for name, value in list(terms.items())[:4])
