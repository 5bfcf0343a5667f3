"""The only door: compose a config, build what it describes, run it, record it.

python -m nst.run mode=transfer style_weight=1e6
"""

import os
import sys
import time
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import clock, commandline, config, sweep, usage
from nst.errors import INTERRUPTED, REFUSED, InputError, one_line

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE.parent / "conf", HERE / "conf") if (folder / "config.yaml").is_file())
"""The checkout's conf/ if there is one, else the copy inside the wheel."""

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's environment variable: 1 shows the traceback of what Hydra refuses."""

config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> float | None:
    """One run of a composed config; a sweep calls it once a job. Returns what a sweeper that searches minimises."""
    began = time.perf_counter()
    clock.spent()  # by a job before this one that was kept or refused
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    labels = commandline.job_labels(settings)
    try:
        commandline.refuse_unknown(composed)
        checked = OmegaConf.to_object(composed)
        assert isinstance(checked, config.Config)
        config.check(checked)
        config.settle(checked, [override.partition("=")[0] for override in labels.overrides])
        with clock.spending("imports"):  # torch and the rest: not before they are needed
            from nst.execute import execute

        summary = execute(checked, folder, labels, began)
    except (InputError, OmegaConfBaseException) as error:
        if not labels.sweep:
            commandline.complain(error)
            commandline.remove_empty(folder)
            sys.exit(REFUSED)  # in a job of a sweep it would end the others too
        if sweep.holds_run(folder):
            raise  # Hydra passes it on when the other jobs have ended; the run that is there is not marked
        sweep.leave_failure(folder, labels, "refused", commandline.complain(error) or "")
        return None
    except Exception as error:
        if not labels.sweep:
            raise
        traceback.print_exc()  # of each job; Hydra would show the first one's only
        sweep.leave_failure(folder, labels, "failed", one_line(error))
        return None
    return summary.get(checked.minimise.value)


def main() -> None:
    """The console script `nst`."""
    sys.argv[1:] = map(commandline.quote_path, sys.argv[1:])
    commandline.note_command()
    status = 0
    asked = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # Hydra lets errors through to here
    try:
        if {"-h", "--help"} & set(sys.argv[1:]):  # Hydra's own takes a second and tells no meanings
            print(usage.text(CONF), flush=True)
        else:
            job()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:  # `nst --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        # a sweeper that searches cannot do without any result, but the jobs have said why there is none
        said = sweep.begun and sweep.all_refused(sweep.begun[-1])
        if not said and (asked == "1" or not commandline.complain(error)):
            raise
        status = REFUSED
    finally:
        os.environ[FULL_ERROR] = asked or "0"
        concluded = sweep.conclude(sweep.begun.pop()) if sweep.begun else 0
    sys.exit(status or concluded)


if __name__ == "__main__":
    main()
