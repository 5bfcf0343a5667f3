"""The one loop: chunks of steps, reports, checkpoints, and stopping; on Lightning Fabric.

Between two reports nothing logs or allocates, and only a style loss that must (`wasserstein`) synchronizes the device.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from lightning_fabric import Fabric

from nst.engine.fabric import mixed_precision
from nst.engine.task import Row, Task, all_finite
from nst.engine.work import Outcome, Reporter
from nst.errors import InputError, one_line
from nst.files import make_durable
from nst.record.files import VERSION

AGREE_EVERY = 10
"""Steps after which several processes agree whether to stop."""


def optimize(task: Task, fabric: Fabric, reporter: Reporter | None, rows: Sequence[Row] | None = None) -> Outcome:
    """Take all steps of a task, or those that are left after a checkpoint was taken up. `fabric` has been launched.

    reporter: of rank 0; the other ranks have none. rows: those of the steps before; None: the task begins. Raises
    Diverged, and InputError for a disk that is full.
    """
    _begin(task, fabric, reporter, rows)
    try:
        _take_steps(task, fabric, reporter)
    finally:
        task.close()
    finished = task.step >= task.report_steps[-1]
    if finished:
        with mixed_precision(fabric):
            task.end()
    if reporter:
        metrics = task.metrics()
        if not finished and not all_finite(metrics):
            return so_far(task)
        metrics = task.finite(metrics)
        if finished:  # with more steps, a finished run can go on
            _save(task, fabric, reporter, optimizer=task.extends_optimizer)
        # a run that goes on from here has no picture of a step at which it was stopped
        reporter.final({"step": task.step, "seconds": task.seconds} | metrics, task.picture() if finished else None)
    return outcome(task, finished)


def _begin(task: Task, fabric: Fabric, reporter: Reporter | None, rows: Sequence[Row] | None) -> None:
    """Put the task on its device."""
    fabric.to_device(task)
    if rows is None:
        task.optimizer = task.configure_optimizers()
    if reporter:
        reporter.record.rows = list(rows or [])
        reporter.start(task.step, task.seconds, task.report_steps[-1])
    task.forward_on(fabric)
    with mixed_precision(fabric):
        task.start()


def _take_steps(task: Task, fabric: Fabric, reporter: Reporter | None) -> None:
    """Take chunks of steps until the last one, or until the user asks to stop."""
    clock = time.perf_counter() - task.seconds
    stopping = False
    while task.step < task.report_steps[-1] and not stopping:
        row: Row = {"step": task.step, "seconds": time.perf_counter() - clock}
        until = task.next_stop()
        task.before_chunk()
        with mixed_precision(fabric):
            metrics = task.finite(task.advance(until - task.step))
        task.step, task.seconds = until, time.perf_counter() - clock

        if reporter:
            if metrics:
                reporter.row(row | metrics, task.step, task.seconds)
            if task.step % reporter.schedule.image_every == 0 and task.step < task.report_steps[-1]:
                reporter.show_picture(task.step, task.picture())
        stopping = _agree_to_stop(fabric, reporter, task.step)
        if reporter and (stopping or reporter.save_is_due):
            _save(task, fabric, reporter)


def so_far(task: Task) -> Outcome:
    """What a task that was stopped has made; nothing if that is not finite, which resuming takes back."""
    if all_finite(task.metrics()):
        return outcome(task, finished=False)
    return Outcome(task.step, task.seconds, finished=False)


def outcome(task: Task, finished: bool) -> Outcome:
    """What a task has made."""
    return Outcome(
        steps=task.step,
        seconds=task.seconds,
        picture=task.picture(),
        files=task.files(),
        data=task.data_facts(),
        timings=task.timings(),
        left_out=task.left_out(),
        finished=finished,
    )


def _agree_to_stop(fabric: Fabric, reporter: Reporter | None, step: int) -> bool:
    """Whether rank 0 was asked to stop. Several processes ask it only now and then, all after the same step."""
    asked = reporter.stop.requested if reporter else False
    if fabric.world_size == 1:
        return asked
    return fabric.broadcast(asked) if step % AGREE_EVERY == 0 else False


def _save(task: Task, fabric: Fabric, reporter: Reporter, optimizer: bool = True) -> None:
    """Save a checkpoint, whole or not at all. optimizer: with the optimizer's state.

    Fabric.save would wait for the other ranks, which do not know that it is time.
    """
    facts = reporter.record.facts
    state: dict[str, Any] = {
        "version": VERSION,
        "task": task.state(),
        "optimizer": task.optimizer.state_dict() if optimizer else None,
        "progress": {"step": task.step, "seconds": task.seconds},
        "rows": reporter.record.rows,
        "config": facts["config"] | facts["decided"],
        "made_from": {"inputs": facts["inputs"], "weights": facts["weights"]},
    }
    path = reporter.record.checkpoint
    partial = path.with_suffix(".part")
    try:
        partial.unlink(missing_ok=True)
        fabric.strategy.checkpoint_io.save_checkpoint(state, partial)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {one_line(error)}") from None
    reporter.write_picture()  # a run that continues from here does not make it again
    make_durable(partial, reporter.folder / "record.json")
    os.replace(partial, path)
    make_durable(reporter.folder)
    reporter.saved()
