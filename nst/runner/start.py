"""Where a run begins: what its folder holds already, and the checkpoint to continue from."""

import os
from dataclasses import dataclass, field
from typing import Any

from nst.cli.previous import MACHINE, present
from nst.engine.checkpoints import read_checkpoint, take_up
from nst.engine.task import Row, Task
from nst.errors import InputError
from nst.files import refuse_links
from nst.modes.parts import Experiment
from nst.record.files import (
    CHECKPOINT,
    UNREADABLE,
    files_by_name,
    read_record,
    refuse_another,
    refuse_changed,
    settings,
)
from nst.runner.request import Request

LENGTH = ("steps", "epochs")
MAY_DIFFER = (
    *MACHINE,
    *("resume", "rerun", "tracking", "optimized_metric", "judge", "output", "strip", "trainer.checkpoint_seconds"),
    *("question", "title", "finding", "labels", "captions", "repeats", "zip", "sweep"),
)
"""Keys and sections that do not change a run's result. A run that is resumed may also be longer."""


@dataclass(frozen=True)
class Start:
    """Where a run begins: what the folder's record held before, and the rows of a checkpoint that was taken up."""

    held: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] | None = None
    is_kept: bool = False
    """Whether it is a finished job of a sweep, which is left as it is."""


def look_into_folder(request: Request, experiment: Experiment) -> Start:
    """What the folder holds, if the run may go there. Raises InputError if another run is there, or is finished."""
    folder, previous = request.folder, request.previous
    held = read_record(folder)
    if held and not request.labels.sweep and not request.in_its_folder:
        raise InputError(f"{folder} holds a run already; choose another folder with hydra.run.dir=FOLDER")
    if held.get("status") == UNREADABLE:
        raise InputError(f"{held['error']}; move it away, or choose another folder")
    refuse_links(folder)
    if "config" in held:
        where = previous.where if previous and request.in_its_folder else f"hydra.sweep.dir: {folder}"
        longer = request.in_its_folder and isinstance(experiment.work, Task)
        may_differ = (*MAY_DIFFER, *LENGTH) if longer else MAY_DIFFER
        files = _files(experiment)
        known = set(files_by_name(held)) & set(files)
        before, now = present(settings(held)), request.plain_config() | experiment.decided
        refuse_another(where, before, now, may_differ, known)
        refuse_changed(where, held, files)
        if held["status"] == "finished" and not all((folder / name).is_file() for name in held.get("results", [])):
            held["status"] = "running"  # its last checkpoint has what is gone
        if held["status"] == "finished" and request.labels.sweep:
            return Start(held, is_kept=True)
        if held["status"] == "finished":
            _refuse_no_more(where, request, experiment)
    return Start(held, take_up_checkpoint(request, experiment, held))


def _refuse_no_more(where: str, request: Request, experiment: Experiment) -> None:
    """Raise InputError for a finished run that is not given more steps, or has no checkpoint to go on from."""
    again = f"that run has finished; rerun={os.path.relpath(request.folder)} makes it again"
    if not isinstance(experiment.work, Task):
        raise InputError(f"{where}: {again}")
    steps = experiment.work.report_steps[-1]
    if not set(LENGTH) & set(request.labels.overridden):
        raise InputError(f"{where}: {again}, and steps={2 * steps} beside resume= lets it go on to that step")
    if not (request.folder / CHECKPOINT).exists():
        raise InputError(f"{where}: {again}; without its {CHECKPOINT} it cannot go on")


def take_up_checkpoint(request: Request, experiment: Experiment, held: dict[str, Any]) -> list[Row] | None:
    """Put the task into the state of the folder's own checkpoint, or of that of `resume`, and return its rows.

    None: there is none, and the run begins. Raises InputError for a checkpoint that does not fit.
    """
    own = "config" in held and (request.folder / CHECKPOINT).exists()
    given = str(request.folder) if own else request.config.resume
    if given is None or not isinstance(experiment.work, Task):
        return None
    config = request.plain_config() | experiment.decided
    last = experiment.work.report_steps[-1]
    if not own or held["status"] == "finished":  # a run that was killed after its last step has its files to write
        last -= 1
    saved = read_checkpoint(given, config, _files(experiment), last, (*MAY_DIFFER, *LENGTH))
    take_up(experiment.work, saved)
    return list(saved["rows"])


def _files(experiment: Experiment) -> dict[str, list[dict[str, str]]]:
    """Role or network → the files that the run is made from."""
    return experiment.inputs | {network: [file] for network, file in experiment.weights.items()}
