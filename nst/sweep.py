"""A sweep from outside its jobs: where it is, what a job that failed leaves, and what is done when it has ended.

All of it goes by the files in the sweep's folder: a launcher may run the jobs in other processes, on other machines.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from nst import commandline
from nst.commandline import Labels
from nst.errors import FAILED, REFUSED, InputError
from nst.files import write_whole

log = logging.getLogger(__name__)
begun: list[Path] = []
"""The folders of sweeps that this process has begun and not concluded."""


class Begin(Callback):
    """Hydra calls it, by conf/config.yaml, where the sweep is started: with most launchers not where the jobs run."""

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        folder = commandline.sweep_folder(config.hydra)
        if any(folder.glob("*/record.json")):
            commandline.complain(
                InputError(f"{folder} holds a sweep already; choose another folder with hydra.sweep.dir=FOLDER")
            )
            sys.exit(REFUSED)
        begun.append(folder)


def leave_failure(folder: Path, labels: Labels, status: str, error: str) -> None:
    """Leave a record of a job that did not get as far as its own."""
    path = folder / "record.json"
    if not path.exists():
        facts = {"status": status, "command": labels.command, "overrides": labels.overrides, "name": labels.name}
        write_whole(path, json.dumps(facts | {"error": error}, indent=2).encode() + b"\n")


def conclude(folder: Path) -> int:
    """Report on a sweep that has ended, and return its exit status.

    A sweep of which all jobs were refused leaves nothing.
    """
    statuses = {path.parent: json.loads(path.read_text())["status"] for path in folder.glob("*/record.json")}
    if set(statuses.values()) <= {"refused"}:
        _remove(folder, list(statuses))
        return REFUSED
    try:
        _report(folder)
    except Exception:
        log.exception("the runs are intact, but no report could be made of %s", folder)
        return FAILED
    if set(statuses.values()) == {"finished"}:
        return 0
    return REFUSED if set(statuses.values()) == {"finished", "refused"} else FAILED


def _remove(folder: Path, jobs: list[Path]) -> None:
    for job in jobs:
        (job / "record.json").unlink()
        commandline.remove_empty(job)
    if folder.is_dir() and [path.name for path in folder.iterdir()] == ["multirun.yaml"]:
        (folder / "multirun.yaml").unlink()
        commandline.remove_empty(folder)


def _report(folder: Path) -> None:
    # jinja, matplotlib and wandb: not before they are needed
    from nst.report import write_report
    from nst.report.runs import read
    from nst.tracking import WandbTracker

    sweep = read(folder)
    files = write_report(sweep)
    for name, path in files.items():
        print(f"{name:8} {os.path.relpath(path)}")
    tracked = next((run.record for run in sweep.runs if run.record.get("wandb")), None)
    if tracked is None:
        return
    settings = tracked["config"]["tracking"]
    tracker = WandbTracker(
        settings["mode"],
        folder,
        project=settings["project"],
        entity=settings["entity"],
        config={"command": tracked["command"], "keys": sweep.keys},
        name="report",
        job_type="report",
        tags=["report", *settings["tags"]],
        group=tracked["wandb"]["group"],
    )
    tracker.log_report(files["sheet"], *sweep.table(pictures=True))
    tracker.finish({"runs": len(sweep.runs), "finished": sum(run.status == "finished" for run in sweep.runs)})
