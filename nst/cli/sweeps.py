"""A sweep, seen from outside its jobs: its folder, the records of jobs that failed, and its report.

Everything is read from the sweep's folder: a launcher may run the jobs in other processes, or on other machines.
"""

import logging
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from nst import session, tracking
from nst.cli.arguments import COMMAND, Labels, command_in, remove_empty, sweep_folder
from nst.cli.expand import BASIC_SWEEPER, expand
from nst.cli.messages import complain
from nst.errors import FAILED, REFUSED, InputError, one_line
from nst.files import locked, refuse_links, write_json
from nst.record.files import NOTE, STOP, UNREADABLE, read_record
from nst.record.paths import working_folder
from nst.schema import refuse_references
from nst.session import Session
from nst.text import duration, say

if TYPE_CHECKING:
    from nst.report.sweep import Sweep

log = logging.getLogger(__name__)

BEGAN = "NST_SWEEP_BEGAN"
"""Environment variable: when this sweep was started, in seconds since the epoch. Launchers pass it on to the jobs."""
SAVING = 60.0
"""Most seconds to wait for jobs that save."""


class Begin(Callback):
    """Hydra calls it, by conf/config.yaml, where the sweep starts; with most launchers the jobs run elsewhere."""

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        here = session.current()
        folder = sweep_folder(config.hydra)
        try:
            if (folder / "record.json").exists():
                raise InputError(f"hydra.sweep.dir={folder}: a single run is there; choose another folder")
            refuse_references(config)
            expand(config)
            _refuse_dry(config)
            refuse_links(folder)
            folder.mkdir(parents=True, exist_ok=True)
            here.locks.enter_context(locked(folder))
            (folder / STOP).unlink(missing_ok=True)
            if not config.sweep.dry_run:
                write_json(folder / NOTE, {"command": os.environ[COMMAND], **working_folder(folder)})
        except Exception as error:  # Hydra would only warn
            remove_empty(folder)
            if complain(error) is None:
                traceback.print_exc()
                sys.exit(FAILED)
            sys.exit(REFUSED)
        here.sweeps.append(folder)
        here.launches = config.hydra.runtime.choices.get("hydra/launcher", "basic") != "basic"
        os.environ[BEGAN] = str(time.time())


def _refuse_dry(config: Any) -> None:
    """Raise InputError for a dry run of jobs that are not known here, or that run elsewhere."""
    if config.sweep.dry_run and config.hydra.sweeper._target_ != BASIC_SWEEPER:
        raise InputError("sweep.dry_run: a search chooses its jobs by results; leave out hydra/sweeper=")
    if config.sweep.dry_run and config.hydra.runtime.choices.get("hydra/launcher", "basic") != "basic":
        raise InputError("sweep.dry_run: tries each job here; leave out hydra/launcher=")


def why_left_out(sweep: Path, minutes: float | None, fail_fast: bool) -> str:
    """Why a job that is about to start is left out, by `sweep.minutes` and `sweep.fail_fast`; empty: it is not."""
    began = float(os.environ.get(BEGAN, "0"))
    if minutes is not None and time.time() > began + 60 * minutes:
        return f"sweep.minutes={minutes:g} are over"
    for path in sorted(sweep.glob("*/record.json")) if fail_fast else ():
        status = read_record(path.parent).get("status")
        if status in ("failed", "refused", "diverged", UNREADABLE) and path.stat().st_mtime >= began:
            return f"job {path.parent.name} {status}, and sweep.fail_fast=true"
    return ""


def holds_run(folder: Path) -> bool:
    """Whether a run began in a job's folder, now or when the sweep ran before; or one whose record cannot be read."""
    record = read_record(folder)
    return "config" in record or record.get("status") == UNREADABLE


def leave_failure(folder: Path, labels: Labels, status: str, error: str) -> None:
    """Leave a record for a job that did not write its own."""
    if not holds_run(folder):
        facts = {"status": status, "command": labels.command, "overrides": labels.overrides, "name": labels.name}
        write_json(folder / "record.json", facts | {"error": error})


def all_refused(folder: Path) -> bool:
    """Whether every job of a sweep was refused before it began."""
    records = [read_record(path.parent) for path in folder.glob("*/record.json")]
    return bool(records) and all(record.get("status") == "refused" and "config" not in record for record in records)


def stop_jobs(folder: Path) -> None:
    """Let the jobs in other processes save and stop, and wait for them: joblib would kill them at once."""
    (folder / STOP).touch()
    until = time.monotonic() + SAVING
    while time.monotonic() < until and any(map(_is_at_work, folder.glob("*/record.json"))):
        time.sleep(0.1)


def _is_at_work(record: Path) -> bool:
    began = float(os.environ.get(BEGAN, "0"))
    return record.stat().st_mtime >= began and read_record(record.parent).get("status") == "running"


def conclude(folder: Path, session: Session) -> int:
    """Report on a sweep that has ended, and return its exit status.

    A sweep whose jobs were all refused leaves nothing.
    """
    session.locks.close()
    (folder / STOP).unlink(missing_ok=True)
    if session.foreseen:
        known = [seconds for seconds in session.foreseen if seconds is not None]
        say(f"{len(session.foreseen)} jobs   {duration(sum(known) if known else None)} in all, one after the other")
        session.foreseen.clear()
        _remove(folder)
        return 0
    # jinja and matplotlib are slow to import
    from nst.report import write_report
    from nst.report.sweep import read

    try:
        sweep = read(folder)
    except InputError:  # refused as a whole
        _remove(folder)
        return REFUSED
    if all_refused(folder):
        for run in sweep.runs:
            (run.folder / "record.json").unlink()
            remove_empty(run.folder)
        _remove(folder)
        return REFUSED
    try:
        files = write_report(sweep)
    except InputError as error:  # such as a disk that is full
        complain(error)
        return FAILED
    except Exception:
        log.exception("the runs are complete, but making the report of %s failed", folder)
        return FAILED
    for name, path in files.items():
        say(f"{name:8} {os.path.relpath(path)}")
    try:
        _track(sweep, files["sheet"], session)
    except Exception as error:
        log.warning("the report could not be logged: %s", one_line(error))
    statuses = {run.status for run in sweep.runs}
    if statuses == {"finished"}:
        return FAILED if any(run.record.get("left_out") for run in sweep.runs) else 0
    say(f"continue {command_in(folder)}")
    return REFUSED if statuses == {"finished", "refused"} else FAILED


def _remove(folder: Path) -> None:
    """Remove a sweep's folder if it holds nothing but Hydra's own note and ours."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {"multirun.yaml", NOTE}:
        for name in ("multirun.yaml", NOTE):
            (folder / name).unlink(missing_ok=True)
        remove_empty(folder)


def _track(sweep: "Sweep", sheet: Path, session: Session) -> None:
    """Log the sheet and the table with the tracker of the sweep's runs, in their group."""
    tracked = next((run.record for run in sweep.runs if run.record.get("tracker")), None)
    if tracked is None:
        return
    from nst.report.table import Spread, build

    options = tracking.from_record(tracked["config"]["tracking"])
    described = tracking.TrackedRun(
        sweep.folder,
        name="report",
        kind="report",
        config={"command": tracked["command"], "keys": sweep.keys},
        tags=["report"],
        sweep=sweep.folder,
    )
    tracker = tracking.start(options, described, session)
    columns, rows = build(sweep, pictures=True)
    plain = [[str(cell) if isinstance(cell, Spread) else cell for cell in row] for row in rows]
    tracker.log_report(sheet, columns, plain)
    tracker.log_results([sheet])
    tracker.finish({"runs": len(sweep.runs), "finished": sum(run.status == "finished" for run in sweep.runs)})
    for line in tracker.how_to_browse():
        say(line)
