"""The only door: compose a config, build what it describes, run it, record it.

python -m nst.run mode=transfer style_weight=1e6
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import clock, commandline, config, earlier, foreign, sweep, usage
from nst.commandline import Labels
from nst.earlier import Earlier
from nst.errors import DIVERGED, REFUSED, STOPPED, Diverged, InputError, Stopped, one_line
from nst.files import write_whole

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE.parent / "conf", HERE / "conf") if (folder / "config.yaml").is_file())
"""The checkout's conf/ if there is one, else the copy inside the wheel."""

ERROR_LOG = "error.log"
"""The traceback of what broke, in the run's folder."""
FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's environment variable: 1 shows the traceback of what Hydra refuses."""

config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float | None:
    """One run of a composed config; a sweep calls it once a job. Returns what a sweeper that searches minimises."""
    again: Earlier | None = None
    began = time.perf_counter()
    foreign.guard()  # where a launcher has brought it to another process, too
    clock.spent()  # by a job before this one that was kept or refused
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    labels = commandline.job_labels(settings)
    try:
        commandline.refuse_unknown(composed)
        if composed.resume or composed.rerun:
            folder, again, composed = _take_up(composed, labels, folder)
        checked = OmegaConf.to_object(composed)
        assert isinstance(checked, config.Config)
        config.check(checked)
        config.settle(checked, [override.partition("=")[0] for override in labels.overrides])
        with clock.spending("imports"):  # torch and the rest: not before they are needed
            from nst.execute import execute

        summary = execute(checked, folder, labels, began, again)
    except (InputError, Diverged, OmegaConfBaseException) as error:
        if not labels.sweep:
            commandline.complain(error)
            commandline.remove_empty(folder)
            # in a job of a sweep it would end the others too
            sys.exit(DIVERGED if isinstance(error, Diverged) else REFUSED)
        if isinstance(error, Diverged):
            commandline.complain(error)
            return None
        if sweep.holds_run(folder):
            raise  # Hydra passes it on when the other jobs have ended; the run that is there is not marked
        sweep.leave_failure(folder, labels, "refused", commandline.complain(error) or "")
        return None
    except Exception as error:
        if labels.sweep or sweep.holds_run(folder):
            write_whole(folder / ERROR_LOG, traceback.format_exc().encode())
        if not labels.sweep:
            raise
        traceback.print_exc()  # of each job; Hydra would show the first one's only
        sweep.leave_failure(folder, labels, "failed", one_line(error))
        return None
    return summary.get(checked.minimise.value)


def _take_up(composed: DictConfig, labels: Labels, folder: Path) -> tuple[Path, Earlier | None, DictConfig]:
    """What `resume` or `rerun` means: where the run is to be, the earlier one, and the config."""
    if composed.resume and composed.rerun:
        raise InputError("resume= goes on with a run, and rerun= makes one anew: give one of them")
    typed = [each.lstrip("+~").partition("=")[0] for each in labels.overrides]
    if composed.rerun:
        found = earlier.find("rerun", composed.rerun)
        taken = found.config(composed, typed, [*earlier.MACHINE, "tracking"])
        earlier.refuse_gone(found, taken)
        taken.resume = None  # it is made from its beginning
        return folder, found, taken
    start = Path(composed.resume).expanduser()
    if start.is_file() and not (start.parent / "record.json").exists():
        return folder, None, composed  # a checkpoint by itself: the config must be its own
    found = earlier.find("resume", composed.resume)
    # whole options on the command line: the config must be the run's, too
    taken = composed.copy() if set(typed) & set(earlier.MANY) else found.config(composed, typed, earlier.MACHINE)
    elsewhere = any(override.startswith("hydra.run.dir=") for override in HydraConfig.get().overrides.hydra)
    if labels.sweep or (elsewhere and folder.resolve() != start.resolve()):
        taken.resume = composed.resume
        return folder, found, taken
    commandline.remove_empty(folder)
    taken.resume = found.record["config"].get("resume")
    return found.folder.resolve(), found, taken


def _stop(number: int, frame: object) -> None:
    raise Stopped(number)


def main() -> None:
    """The console script `nst`."""
    sys.argv[1:] = map(commandline.quote_path, earlier.sweep_again(sys.argv[1:]))
    commandline.note_command()
    status = 0
    asked = os.environ.get(FULL_ERROR)
    terminated = signal.signal(signal.SIGTERM, _stop)
    os.environ[FULL_ERROR] = "1"  # Hydra lets errors through to here
    try:
        if {"-h", "--help"} & set(sys.argv[1:]):  # Hydra's own takes a second and tells no meanings
            print(usage.text(CONF), flush=True)
        else:
            job()
    except KeyboardInterrupt as stop:
        status = STOPPED + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except BrokenPipeError:  # `nst --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        # a sweeper that searches cannot do without any result, but the jobs have said why there is none
        said = sweep.begun and sweep.all_refused(sweep.begun[-1])
        if not said and (asked == "1" or not commandline.complain(error)):
            raise
        status = REFUSED
    finally:
        signal.signal(signal.SIGTERM, terminated)
        os.environ[FULL_ERROR] = asked or "0"
        concluded = sweep.conclude(sweep.begun.pop()) if sweep.begun else 0
    sys.exit(status or concluded)


if __name__ == "__main__":
    main()
