"""Running a request, from its config to its record."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import Any

from lightning_fabric import Fabric, seed_everything

from nst import devices, modes, tracking
from nst.cli.arguments import remove_empty
from nst.engine.fabric import Hardware, make_fabric
from nst.engine.loop import optimize
from nst.engine.signals import ignore_signals
from nst.engine.task import Task
from nst.errors import InputError
from nst.files import locked
from nst.memory.system import explaining_out_of_memory
from nst.modes.parts import SMALLER, Experiment, Setting
from nst.record.files import read_record
from nst.runner.dry import foresee
from nst.runner.output import check_output
from nst.runner.recorded import RecordedRun
from nst.runner.request import Request
from nst.runner.start import look_into_folder, take_up_checkpoint
from nst.session import Session
from nst.text import say

__all__ = ["Request", "execute"]


def execute(request: Request, session: Session) -> dict[str, Any]:
    """Run a request and leave its record in its folder. Returns the final losses and timings.

    A sweep's job whose folder holds it already continues from its checkpoint, or is kept if it is finished: the same
    command in the same folder completes a sweep.
    Raises InputError, with nothing written, for what cannot work; Diverged and Stopped after closing the record,
    Stopped with the picture so far.
    """
    config, mode = request.config, request.mode
    check_output(request)
    tracked = tracking.tracks(config.tracking)
    fabric = make_fabric(_hardware(request))
    seed_everything(config.seed, verbose=False)
    if tracked and fabric.is_global_zero and not config.sweep.dry_run:
        tracking.prepare(config.tracking)
    devices.reset_peak_memory(fabric.device)
    with explaining_out_of_memory(SMALLER):
        experiment = _build(Setting(config, mode, session, fabric.device, fabric.world_size))
    if config.sweep.dry_run:
        foresee(request, experiment, session)
        return {}
    if not fabric.is_global_zero:
        return _follow(request, experiment, fabric)
    with _settled(request) as request:
        start = look_into_folder(request, experiment)
        if start.is_kept:
            say(f"kept     {os.path.relpath(request.folder)}, finished before")
            return dict(start.held.get("losses", {}) | start.held.get("timings", {}))
        return RecordedRun(request, experiment, fabric, session, start).execute()


@contextmanager
def _settled(request: Request) -> Iterator[Request]:
    """Lock the folder; if its name is the time and another run has it, one of that name with the next free number."""
    folder = request.folder
    for number in count(2):
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
                taken = request.named_by_time and bool(read_record(folder))
            except InputError:
                if not request.named_by_time:
                    raise
                taken = True
            if not taken:
                yield replace(request, folder=folder)
                return
        folder = request.folder.with_name(f"{request.folder.name}-{number}")
        folder.mkdir(exist_ok=True)


def _hardware(request: Request) -> Hardware:
    """What the config asks for. Raises InputError for what the mode cannot use."""
    trainer, mode = request.config.trainer, request.mode
    hardware = Hardware(trainer.accelerator.value, trainer.devices, trainer.num_nodes, trainer.precision.value)
    if hardware.several and not mode.several_processes:
        able = " and ".join(f"mode={each.name}" for each in modes.all_modes().values() if each.several_processes)
        raise InputError(f"mode={mode.name}: takes one process; only {able} takes several")
    if hardware.precision != "float32" and not mode.optimizes:
        raise InputError(f"mode={mode.name}: takes float32; only modes that optimize take other precisions")
    if hardware.several and request.labels.sweep:
        raise InputError("trainer=ddp: not in a sweep, whose jobs take one process each; run them one by one")
    return hardware


def _build(setting: Setting) -> Experiment:
    module, _, function = setting.mode.build.partition(":")
    experiment: Experiment = getattr(import_module(module), function)(setting)
    return experiment


def _follow(request: Request, experiment: Experiment, fabric: Fabric) -> dict[str, Any]:
    """What every rank but the first does: the same steps, without a record."""
    ignore_signals()
    assert isinstance(experiment.work, Task)
    rows = take_up_checkpoint(request, experiment, read_record(request.folder))
    fabric.launch()
    optimize(experiment.work, fabric, None, rows)
    remove_empty(request.folder)
    return {}
