"""Where a run begins: what its folder holds already, and the checkpoint to continue from."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst.cli.previous import MACHINE, present
from nst.engine.checkpoints import find_checkpoint
from nst.engine.task import Task
from nst.errors import InputError
from nst.files import refuse_links
from nst.modes.parts import Experiment
from nst.record.files import CHECKPOINT, read_record, refuse_another, refuse_changed, settings
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
    """Where a run begins: what the folder's record held before, and the checkpoint to continue from."""

    held: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None


def look_into_folder(request: Request, experiment: Experiment) -> Start:
    """What the folder holds, if the run may go there. Raises InputError if another run is there, or is finished."""
    folder, previous = request.folder, request.previous
    held = read_record(folder)
    if held and not request.labels.sweep and not request.in_its_folder:
        raise InputError(f"{folder} holds a run already; choose another folder with hydra.run.dir=FOLDER")
    refuse_links(folder)
    if "config" in held:
        where = previous.where if previous and request.in_its_folder else f"hydra.sweep.dir: {folder}"
        longer = request.in_its_folder and isinstance(experiment.work, Task)
        may_differ = (*MAY_DIFFER, *LENGTH) if longer else MAY_DIFFER
        refuse_another(where, present(settings(held)), request.plain_config() | experiment.decided, may_differ)
        refuse_changed(where, held, _files(experiment))
        if held["status"] == "finished" and request.labels.sweep:
            return Start(held)
        if held["status"] == "finished":
            _refuse_no_more(where, request, experiment)
    return Start(held, checkpoint_of(request, experiment, held))


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


def checkpoint_of(request: Request, experiment: Experiment, held: dict[str, Any]) -> Path | None:
    """The checkpoint to continue from: the folder's own, or that of `resume`."""
    own = "config" in held and (request.folder / CHECKPOINT).exists()
    given = request.folder if own else request.config.resume
    if given is None or not isinstance(experiment.work, Task):
        return None
    config = request.plain_config() | experiment.decided
    last = experiment.work.report_steps[-1]
    if not own or held["status"] == "finished":  # a run that was killed after its last step has its files to write
        last -= 1
    return find_checkpoint(Path(given), config, _files(experiment), last, (*MAY_DIFFER, *LENGTH))


def _files(experiment: Experiment) -> dict[str, list[dict[str, str]]]:
    """Role or network → the files that the run is made from."""
    return experiment.inputs | {network: [file] for network, file in experiment.weights.items()}
