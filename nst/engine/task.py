"""What a run optimizes: a LightningModule that takes steps, and shows what it has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_fabric import Fabric
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from nst.errors import Diverged

SMALLER_STEPS = 0.1
"""Factor of the step size with which a run that went wrong is tried once more."""
Row = dict[str, float]
"""One line of the record: step, seconds since the first step began, and metrics by name."""


def report_steps(steps: int, *every: int) -> list[int]:
    """The steps to report at: every multiple of each of `every` below `steps`, and `steps`."""
    return sorted({step for period in every for step in range(period, steps, period)} | {steps})


def all_finite(metrics: Mapping[str, float]) -> bool:
    """Whether all metrics are finite numbers."""
    return all(map(math.isfinite, metrics.values()))


class Task(LightningModule):
    """Takes optimizer steps when the loop (nst/engine/loop.py) asks for them.

    report_steps: ascending; the last one ends the run. The loop sets `optimizer`, counts `step` and `seconds` (since
    the first step began, over all parts of a resumed run), and puts the module on its device.
    """

    optimizer: Optimizer
    extends_optimizer = True
    """Whether a finished run that gets more steps goes on with its optimizer's state, not with a new optimizer."""

    def __init__(self, report_steps: Sequence[int]) -> None:
        super().__init__()
        self.report_steps = list(report_steps)
        self.step = 0
        self.seconds = 0.0

    def configure_optimizers(self) -> Optimizer:
        raise NotImplementedError

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Restore the optimizer from a checkpoint. Raises an error for a state that is not one of this optimizer."""
        self.optimizer.load_state_dict(state)

    def forward_on(self, fabric: Fabric) -> None:
        """Let Fabric wrap the module, for several processes. Called once, on every rank."""

    def start(self) -> None:
        """Called once, before the clock starts: the module is on its device, and a checkpoint has been loaded."""

    def next_stop(self) -> int:
        """The step that the next call of `advance` goes to. A run can be stopped, and saved, only there."""
        return next(step for step in self.report_steps if step > self.step)

    def before_chunk(self) -> None:
        """Called before each `advance`. Does nothing: a hook for tests that inject faults."""

    def advance(self, steps: int) -> Mapping[str, Tensor | float]:
        """Take `steps` steps. Returns metrics as they were before the first, or nothing where none are due."""
        raise NotImplementedError

    def end(self) -> None:
        """Called once on every rank, after the last step."""

    def close(self) -> None:
        """Called once after the steps, also when an error ended them: release what only steps need."""

    def metrics(self) -> Mapping[str, float]:
        """Metrics by name, as they are now; `loss/…` are kept in the record."""
        return {}

    def picture(self) -> Tensor | None:
        """The image so far, (1, 3, H, W) in [0, 1], if the task makes one."""
        return None

    def files(self) -> Mapping[str, bytes]:
        """What else the task made, by file name."""
        return {}

    def data_facts(self) -> dict[str, Any]:
        """What the record says, after the run, of the data that the task used."""
        return {}

    def left_out(self) -> int:
        """How many images of a folder could not be used."""
        return 0

    def timings(self) -> dict[str, float]:
        """What the record says of the task's speed, besides seconds per step."""
        return {}

    def estimate(self) -> float | None:
        """About how many seconds all steps take, by trying some of them; None: it is not known."""
        return None

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides step, seconds and the optimizer: tensors and plain values."""
        raise NotImplementedError

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned. `step` and `seconds` are set already.

        The checkpoint may be a stranger's: raises an error for a state that is not one of this task.
        """
        raise NotImplementedError

    def finite(self, metrics: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Metrics as numbers, which synchronizes the device. Raises Diverged if one is not finite."""
        numbers = {name: float(value) for name, value in metrics.items()}
        if not all_finite(numbers):
            raise Diverged(f"the loss is not finite at step {self.step}: lower the weights or optimizer.lr")
        return numbers
