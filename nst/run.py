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

CHECKOUT_CONF = Path(__file__).resolve().parent.parent / "conf"
CONF = str(CHECKOUT_CONF) if (CHECKOUT_CONF / "config.yaml").is_file() else "pkg://nst.conf"
"""The checkout's conf/ if there is one, else the copy inside the wheel."""

REFUSED, INTERRUPTED = 2, 130
"""Exit statuses for input that cannot be used, and for Ctrl-C or a kill."""

_refused: list[Path] = []  # the jobs' folders: an exit inside a job would end a whole sweep

config.register()


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def job(composed: DictConfig) -> None:
    """One run of a composed config; a sweep calls it once a job."""
    began = time.perf_counter()
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    try:
        commandline.refuse_unknown(composed)
        # torch and the rest: not before they are needed
        from nst.execute import execute

        checked = OmegaConf.to_object(composed)
        assert isinstance(checked, config.Config)
        execute(checked, folder, commandline.job_labels(settings), began)
    except (InputError, OmegaConfBaseException) as error:
        commandline.complain(error)
        _refused.append(folder)
        commandline.remove_empty(folder)


def main() -> None:
    """The console script `nst`."""
    full = os.environ.setdefault("HYDRA_FULL_ERROR", "nst")  # lets errors through to here
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = map(commandline.quote_path, sys.argv[1:])
    try:
        job()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if full == "1" or not commandline.complain(error):
            raise
        sys.exit(REFUSED)
    sys.exit(REFUSED if _refused else 0)


if __name__ == "__main__":
    main()
