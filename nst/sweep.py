"""A sweep from outside its jobs: where it is, what a job that failed leaves, and what is done when it has ended.

All of it goes by the files in the sweep's folder: a launcher may run the jobs in other processes, on other machines.
"""

import json
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from nst import commandline
from nst.commandline import Labels
from nst.errors import FAILED, REFUSED, InputError, one_line
from nst.files import alone_in, read_record, write_whole
from nst.text import say

if TYPE_CHECKING:
    from nst.report.runs import Sweep

log = logging.getLogger(__name__)
held = ExitStack()
"""The lock of the sweep that this process has begun."""
begun: list[Path] = []
"""The folders of sweeps that this process has begun and not concluded."""


class Begin(Callback):
    """Hydra calls it, by conf/config.yaml, where the sweep is started: with most launchers not where the jobs run."""

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        folder = commandline.sweep_folder(config.hydra)
        if (folder / "record.json").exists():
            commandline.complain(InputError(f"hydra.sweep.dir={folder}: a single run is there; choose another folder"))
            sys.exit(REFUSED)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held.enter_context(alone_in(folder))
        except InputError as error:
            commandline.complain(error)
            sys.exit(REFUSED)
        begun.append(folder)


def holds_run(folder: Path) -> bool:
    """Whether a run began in a job's folder, now or when the sweep was started before."""
    return "config" in read_record(folder)


def leave_failure(folder: Path, labels: Labels, status: str, error: str) -> None:
    """Leave a record of a job that did not get as far as its own."""
    if not holds_run(folder):
        facts = {"status": status, "command": labels.command, "overrides": labels.overrides, "name": labels.name}
        write_whole(folder / "record.json", json.dumps(facts | {"error": error}, indent=2).encode() + b"\n")


def all_refused(folder: Path) -> bool:
    """Whether no job of a sweep could begin, each having said why."""
    records = [read_record(path.parent) for path in folder.glob("*/record.json")]
    return bool(records) and all(record.get("status") == "refused" for record in records)


def conclude(folder: Path) -> int:
    """Report on a sweep that has ended, and return its exit status.

    A sweep of which all jobs were refused leaves nothing.
    """
    held.close()
    # jinja and matplotlib: not before they are needed
    from nst.report import write_report
    from nst.report.runs import read

    try:
        sweep = read(folder)
    except InputError:  # refused as a whole
        _remove(folder)
        return REFUSED
    if all_refused(folder):
        for run in sweep.runs:
            (run.folder / "record.json").unlink()
            commandline.remove_empty(run.folder)
        _remove(folder)
        return REFUSED
    try:
        files = write_report(sweep)
    except Exception:
        log.exception("the runs are intact, but no report could be made of %s", folder)
        return FAILED
    for name, path in files.items():
        say(f"{name:8} {os.path.relpath(path)}")
    try:
        _track(sweep, files["sheet"])
    except Exception as error:
        log.warning("the report is not in W&B: %s", one_line(error))
    statuses = {run.status for run in sweep.runs}
    if statuses == {"finished"}:
        return 0
    say(f"go on    {commandline.again_in(folder)}")
    return REFUSED if statuses == {"finished", "refused"} else FAILED


def _remove(folder: Path) -> None:
    """Remove a sweep's folder that holds nothing but Hydra's own note of it."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {"multirun.yaml"}:
        (folder / "multirun.yaml").unlink(missing_ok=True)
        commandline.remove_empty(folder)


def _track(sweep: "Sweep", sheet: Path) -> None:
    """One more run of the sweep's group in W&B, with the sheet and the table, if its jobs are tracked there."""
    tracked = next((run.record for run in sweep.runs if run.record.get("wandb")), None)
    if tracked is None:
        return
    from nst.tracking import WandbTracker

    settings = tracked["config"]["tracking"]
    tracker = WandbTracker(
        settings["mode"],
        sweep.folder,
        project=settings["project"],
        entity=settings["entity"],
        config={"command": tracked["command"], "keys": sweep.keys},
        name="report",
        job_type="report",
        tags=["report", *settings["tags"]],
        group=tracked["wandb"]["group"],
    )
    tracker.log_report(sheet, *sweep.table(pictures=True))
    tracker.finish({"runs": len(sweep.runs), "finished": sum(run.status == "finished" for run in sweep.runs)})
    for line in tracker.how_to_browse():
        say(line)
