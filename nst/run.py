"""The entry point: compose a config, check it, run it, record it.

python -m nst.run mode=transfer style_weight=1e6
"""

import atexit
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import nst
from nst import metrics, modes, schema, session
from nst.cli import arguments, expand, foreign, help, once, previous, spelling, sweeps
from nst.cli.arguments import Labels
from nst.cli.messages import complain, is_of_composing, refuse_unknown
from nst.cli.previous import PreviousRun
from nst.engine.signals import SIGNALS
from nst.errors import DIVERGED, FAILED, REFUSED, STOPPED, Diverged, InputError, Stopped, one_line
from nst.files import as_path, refuse_no_folder, write_whole
from nst.imports import uncollected
from nst.record.files import STOP
from nst.session import Session
from nst.text import open_streams, say

ERROR_LOG = "error.log"
"""The traceback of a job that broke, in its folder."""
FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's environment variable: 1 shows tracebacks."""

schema.register()


def main() -> None:
    """The console script `nst`."""
    open_streams()
    status = 0
    full_error = os.environ.get(FULL_ERROR)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)  # Ctrl-C as Python ends would show a traceback
    handlers = {number: signal.signal(number, _stop) for number in SIGNALS}
    os.environ[FULL_ERROR] = "1"  # Hydra then raises its errors instead of printing them
    here = session.start()
    try:
        refuse_no_folder()
        words = previous.sweep_arguments(sys.argv[1:])
        words = spelling.respelled([*expand.implied(words), *words])
        arguments.note_command(words)
        if "--version" in words:
            print(f"nst {nst.__version__}")
        elif {"-h", "--help"} & set(words):  # Hydra's own help takes a second and has no meanings
            print(help.text(arguments.typed_mode(), whole="all" in words), flush=True)
        else:
            arguments.refuse_renamed(words)
            sys.argv[1:] = spelling.flags_first([*previous.implied_mode(words), *words])
            _with_hydra(here)
    except KeyboardInterrupt as stop:
        status = STOPPED + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except BrokenPipeError:  # `nst --help | head`: the reader has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        # a search fails without any result, but its jobs have already said why there is none
        said = here.sweeps and sweeps.all_refused(here.sweeps[-1])
        if not here.stopped and not said and (full_error == "1" or not complain(error)):
            raise
        status = STOPPED + here.stopped if here.stopped else REFUSED
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ[FULL_ERROR] = full_error or "0"
        concluded = sweeps.conclude(here.sweeps.pop(), here) if here.sweeps else 0
    sys.exit(status or (REFUSED if here.refused else concluded) or (FAILED if here.left_out else 0))


def _with_hydra(here: Session) -> None:
    """Let Hydra compose the config and call the job; of a sweep, each job."""
    once.compose_once()
    expand.install()

    @hydra.main(version_base="1.3", config_path=str(schema.CONF), config_name="config")
    def job(composed: DictConfig) -> float | None:
        return run_job(composed, here)

    job()


def run_job(composed: DictConfig, here: Session) -> float | None:
    """One run of a composed config. Returns the number that a search minimizes; nothing for a job that failed."""
    began = time.perf_counter()
    foreign.guard()  # a launcher may have started another process
    here.take_timings()  # of a job before this one that was kept or refused
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    labels = arguments.job_labels(hydra_config)
    try:
        arguments.refuse_idle_launcher(hydra_config)
        schema.refuse_references(composed)
        refuse_unknown(composed)
        before: PreviousRun | None = None
        if composed.resume or composed.rerun:
            folder, before, composed = _take_up(composed, labels, folder)
        swept = [modes.get(name) for name in arguments.swept_modes(hydra_config, modes.all_modes())]
        modes.refuse_unused(modes.get(composed.mode), arguments.typed_keys(), swept)
        config = schema.checked(composed, labels.overridden)
        if labels.sweep and (labels.sweep / STOP).exists():
            raise Stopped
        if labels.sweep and (reason := sweeps.why_left_out(labels.sweep, config.sweep.minutes, config.sweep.fail_fast)):
            _leave_out(reason, labels, folder)
            return None
        # torch and the rest: only now, so that refusals answer at once
        with here.timed("imports"), uncollected(for_good=True):
            from nst.runner import Request, execute

        by_time = not labels.sweep and not (before and before.continues) and not arguments.names_folder(hydra_config)
        summary = execute(Request(config, folder, labels, began, before, by_time), here)
    except KeyboardInterrupt:
        arguments.remove_empty(folder)
        raise
    except Exception as error:
        if here.stopped:  # C code may have made an error of its own of what the signal's handler raised
            arguments.remove_empty(folder)
            raise Stopped(here.stopped) from None
        if isinstance(error, InputError | Diverged) or is_of_composing(error):
            _refuse(error, labels, folder, here)
        else:
            _fail(error, labels, folder)
        return None
    return metrics.cost(config.optimized_metric, summary)


def _leave_out(reason: str, labels: Labels, folder: Path) -> None:
    say(f"skipped  {os.path.relpath(folder)}: {reason}")
    sweeps.leave_failure(folder, labels, "skipped", reason)


def _take_up(composed: DictConfig, labels: Labels, folder: Path) -> tuple[Path, PreviousRun | None, DictConfig]:
    """For `resume` or `rerun`: the folder that the run goes to, the previous run, and the config."""
    if composed.resume and composed.rerun:
        raise InputError("resume= continues a run, and rerun= makes one again: give one of them")
    implied = {"mode"} - set(arguments.typed_keys())
    typed = [key for key in labels.overridden if key not in implied]
    if composed.rerun:
        found = previous.find("rerun", composed.rerun)
        config = found.config(composed, typed, [*previous.MACHINE, "tracking"])
        found.refuse_missing_inputs(config)
        config.resume = None  # it starts from the beginning
        return folder, found, config
    start = as_path("resume", composed.resume)
    if start.is_file() and not (start.parent / "record.json").exists():
        return folder, None, composed  # a checkpoint alone: the command line must give the same config
    found = previous.find("resume", composed.resume)
    # a command line with whole groups must give the run's own config, too
    whole = set(typed) & set(previous.MANY)
    config = composed.copy() if whole else found.config(composed, typed, previous.MACHINE)
    elsewhere = arguments.names_folder(HydraConfig.get())
    if labels.sweep or (elsewhere and folder.resolve() != start.resolve()):
        config.resume = composed.resume
        return folder, found, config
    arguments.remove_empty(folder)
    config.resume = found.record["config"].get("resume")
    return found.folder.resolve(), found, config


def _refuse(error: Exception, labels: Labels, folder: Path, here: Session) -> None:
    """One line for input that cannot be used, or for a run that diverged. A sweep's other jobs go on."""
    if not labels.sweep:
        complain(error)
        arguments.remove_empty(folder)
        sys.exit(DIVERGED if isinstance(error, Diverged) else REFUSED)
    if isinstance(error, Diverged):
        complain(error)
        return
    if not sweeps.holds_run(folder):
        said = complain(error) or ""
        try:
            sweeps.leave_failure(folder, labels, "refused", said)
        except InputError:  # the disk is full
            here.refused = True
    elif here.sweeps:  # the run that is there is not touched
        complain(error)
        here.refused = True
    else:
        raise error  # from a launcher's process: Hydra raises it again after the other jobs


def _fail(error: Exception, labels: Labels, folder: Path) -> None:
    """Keep the traceback of an error of our own. A sweep's other jobs go on."""
    if labels.sweep or sweeps.holds_run(folder):
        write_whole(folder / ERROR_LOG, traceback.format_exc().encode())
    if not labels.sweep:
        raise error
    traceback.print_exc()  # Hydra would show only the first job's
    sweeps.leave_failure(folder, labels, "failed", one_line(error))


def _stop(number: int, frame: object) -> None:
    for each in SIGNALS:
        signal.signal(each, _stop_at_once)
    here = session.current()
    here.stopped = number
    if here.launches:
        sweeps.stop_jobs(here.sweeps[-1])
    raise Stopped(number)


def _stop_at_once(number: int, frame: object) -> None:
    raise Stopped(number)


if __name__ == "__main__":
    main()
