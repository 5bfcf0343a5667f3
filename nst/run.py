"""The only door: compose a config, build what it describes, run it, record it.

python -m nst.run mode=transfer style_weight=1e6
"""

import os
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import commandline, config
from nst.errors import InputError

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE.parent / "conf", HERE / "conf") if (folder / "config.yaml").is_file())
"""The checkout's conf/ if there is one, else the copy inside the wheel."""

REFUSED, INTERRUPTED = 2, 130
"""Exit statuses for input that cannot be used, and for Ctrl-C or a kill."""

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Hydra's environment variable: 1 shows the traceback of what Hydra refuses."""

_refused: list[Path] = []  # the jobs' folders: an exit inside a job would end a whole sweep

config.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """One run of a composed config; a sweep calls it once a job."""
    began = time.perf_counter()
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    try:
        commandline.refuse_unknown(composed)
        checked = OmegaConf.to_object(composed)
        assert isinstance(checked, config.Config)
        config.check(checked)
        # torch and the rest: not before they are needed
        from nst.execute import execute

        execute(checked, folder, commandline.job_labels(settings), began)
    except (InputError, OmegaConfBaseException) as error:
        commandline.complain(error)
        _refused.append(folder)
        commandline.remove_empty(folder)


def main() -> None:
    """The console script `nst`."""
    sys.argv[1:] = map(commandline.quote_path, sys.argv[1:])
    asked = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # Hydra lets errors through to here
    try:
        job()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `nst --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if asked == "1" or not commandline.complain(error):
            raise
        sys.exit(REFUSED)
    finally:
        os.environ[FULL_ERROR] = asked or "0"
    for sweep in {folder.parent for folder in _refused}:
        commandline.remove_refused_sweep(sweep)
    sys.exit(REFUSED if _refused else 0)


if __name__ == "__main__":
    main()
