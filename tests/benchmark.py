"""What Lightning, the record and W&B cost a run: `python -m tests.benchmark [SIZE] [STEPS]`.

The same L-BFGS on the same objective, in a bare loop and as `python -m nst.run` does it, by turns in one process;
prints seconds per step and the median of the ratios; and what a run takes beyond its steps when it is not the first of
its process, as a job of a sweep.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from nst.builders import build
from nst.commandline import Labels
from nst.config import Backbone, BackboneName, Config, Lbfgs, Mode, Padding, TrackerName, Tracking
from nst.execute import execute
from nst.losses import range_loss
from nst.tasks.transfer import Transfer

ROUNDS = 5


def config(size: int, steps: int) -> Config:
    return Config(
        mode=Mode.transfer,
        content_layers=["conv_4"],
        style_layers=[f"conv_{block}" for block in range(1, 6)],
        backbone=Backbone(name=BackboneName.slim, padding=Padding.reflect),
        optimizer=Lbfgs(),
        tracking=Tracking(name=TrackerName.wandb),
        size=size,
        steps=steps,
    )


def bare(size: int, steps: int) -> float:
    """Seconds per step of a loop that does nothing but optimise."""
    task = build(config(size, steps), torch.device("cpu")).task
    assert isinstance(task, Transfer)
    optimizer = task.configure_optimizers()
    optimizer.param_groups[0].update(max_iter=steps, max_eval=100 * steps)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = task.objective(task.pixels)["total"] + task.range_factor * range_loss(task.pixels)
        total.backward()
        return total

    began = time.perf_counter()
    optimizer.step(closure)  # type: ignore[arg-type]
    return (time.perf_counter() - began) / steps


def whole(size: int, steps: int, folder: Path) -> tuple[float, float]:
    """Seconds per step of a recorded and tracked run, pictures and losses included; seconds beyond the steps."""
    folder.mkdir()
    began = time.perf_counter()
    execute(config(size, steps), folder, Labels("", [], "", None), began)
    seconds = time.perf_counter() - began
    timings = json.loads((folder / "record.json").read_text())["timings"]
    return (seconds - timings["setup_seconds"]) / steps, seconds - timings["steps_seconds"]


def main(size: int = 256, steps: int = 100) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare(size, 5)  # warms caches and threads
        rounds = [(bare(size, steps), whole(size, steps, Path(folder) / str(index))) for index in range(ROUNDS)]
    for alone, (run, beyond) in rounds:
        ratio = run / alone
        print(f"bare {alone:.4f} s/step   whole run {run:.4f} s/step   ratio {ratio:.3f}   other {beyond:.2f} s")
    print(f"median ratio {statistics.median(run / alone for alone, (run, _) in rounds):.3f}")
    print(f"median beyond its steps {statistics.median(beyond for _, (_, beyond) in rounds[1:]):.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
