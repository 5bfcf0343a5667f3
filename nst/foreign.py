"""A config is data: what in one would have Hydra run code, or write outside a run's folder, is refused.

Hydra builds whatever object a `_target_` names, and logging whatever a handler does. Configs come from other people.
"""

import re
from collections.abc import Iterator
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from nst.errors import InputError

TARGETS = re.compile(
    r"hydra_plugins\.hydra_\w+_(launcher|sweeper)\.\w+\.\w+|hydra\._internal\.core_plugins\.\w+\.\w+"
    r"|optuna\.samplers\.\w+|nst\.sweep\.Begin"
)
"""What Hydra may build: launchers, sweepers, and our own callback."""
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
SHELL = ("setup", "python", "srun_args", "additional_parameters", "qos", "comment")
"""Keys of Slurm's launcher that become a part of a shell script."""


def guard() -> None:
    """Have every config that Hydra composes looked through, before Hydra acts on it; and none see the environment."""
    OmegaConf.clear_resolver("oc.env")  # a run's record holds its config, and is handed on
    load = ConfigLoaderImpl.load_configuration

    def load_configuration(self: ConfigLoaderImpl, *args: Any, **options: Any) -> DictConfig:
        config = load(self, *args, **options)
        refuse_foreign(config)
        return config

    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign]


def refuse_foreign(config: DictConfig) -> None:
    """Raise InputError for a composed config that is more than data. Interpolations are looked at as they are."""
    held: Any = OmegaConf.to_container(config, resolve=False)
    typed = [override.partition("=")[0] for override in held["hydra"]["overrides"]["hydra"]]
    for key, value in _values(held):
        name, logs = key.rpartition(".")[2], key.startswith(("hydra.job_logging.", "hydra.hydra_logging."))
        if name == "_target_" and not TARGETS.fullmatch(str(value)):
            raise InputError(f"{key}={value}: a config cannot name code to run")
        if logs and (name == "()" or (name == "class" and value not in HANDLERS)):
            raise InputError(f"{key}={value}: logs go to the terminal only")
        if logs and isinstance(value, str) and ("${" in value or ("://" in value and value not in STREAMS)):
            raise InputError(f"{key}={value}: logs go to the terminal only")
        if key.startswith("hydra.job.env_set."):
            raise InputError(f"{key}: a config cannot set the environment; set it in the shell")
        if key == "hydra.sweep.subdir" and re.search(r"^[/~\\]|\.\.", str(value)):
            raise InputError(f"{key}={value}: must be a folder in that of the sweep")
        if key.startswith("hydra.launcher.") and key.split(".")[2] in SHELL and value and key not in typed:
            raise InputError(f"{key}: becomes a part of a shell script; give it on the command line")


def _values(held: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(held, dict | list):
        for name, value in held.items() if isinstance(held, dict) else enumerate(held):
            yield from _values(value, f"{prefix}{name}.")
    else:
        yield prefix[:-1], held
