"""A config is data: what in one would have Hydra run code, or write outside a run's folder, is refused.

Hydra builds whatever object a `_target_` names, and logging whatever a handler does. Configs come from other people.
"""

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from nst.commandline import COMMAND
from nst.errors import InputError

TARGETS = re.compile(
    r"hydra_plugins\.hydra_\w+_(launcher|sweeper)\.\w+\.\w+|hydra\._internal\.core_plugins\.\w+\.\w+"
    r"|optuna\.samplers\.\w+|nst\.sweep\.Begin"
)
"""What Hydra may build: launchers, sweepers, and our own callback."""
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
INTERPOLATIONS = re.compile(r"\$\{(now:[^${}]*|hydra\.(job\.(num|name)|sweep\.dir))\}")
"""What Hydra's own files say, which name nothing that another key could have set to more than a text."""
SHOWN = ("help", "hydra_help", "overrides", "runtime", "job.override_dirname")
"""What Hydra shows or notes, and does nothing by."""
PLACES = {
    "hydra.run.dir": "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "hydra.sweep.dir": "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "hydra.launcher.submitit_folder": "${hydra.sweep.dir}/.submitit/%j",
    "hydra.sweeper.storage": None,
}
"""Where files go, unless the command line says otherwise."""
SLURM = ("additional_parameters", "comment", "python", "qos", "setup", "srun_args", "stderr_to_stdout")
RAY = ("ray", "setup_commands", "initialization_commands", "sync_up", "sync_down", "stop_cluster", "env_setup")
"""Keys of launchers that become a part of a shell script, or say where code runs."""


def guard() -> None:
    """Have every config that Hydra composes looked through, before Hydra acts on it; and none see the environment.

    It is done when this module is imported, also in the processes of launchers, which import it for the jobs.
    """
    for resolver in ("oc.env", "oc.create", "oc.decode"):  # a run's record holds its config, and is handed on
        if OmegaConf.has_resolver(resolver):
            OmegaConf.clear_resolver(resolver)
    load = ConfigLoaderImpl.load_configuration
    if getattr(load, "guarded", False):
        return

    def load_configuration(self: ConfigLoaderImpl, *args: Any, **options: Any) -> DictConfig:
        config = load(self, *args, **options)
        refuse_foreign(config)
        return config

    load_configuration.guarded = True  # type: ignore[attr-defined]
    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign]


def refuse_foreign(config: DictConfig) -> None:
    """Raise InputError for a composed config that is more than data. Interpolations are looked at as they are."""
    held: Any = OmegaConf.to_container(config, resolve=False)
    typed = {word.lstrip("+").partition("=")[0] for word in shlex.split(os.environ.get(COMMAND, ""))}
    for key, value in _values(held):
        parts = key.split(".")
        if parts[-1] == "_target_" and not TARGETS.fullmatch(str(value)):
            raise InputError(f"{key}={value}: a config cannot name code to run")
        if parts[0] != "hydra" or {parts[1], ".".join(parts[1:3])} & {*SHOWN} or {key, ".".join(parts[:3])} & typed:
            continue
        text = str(value)
        if "${" in INTERPOLATIONS.sub("", text):
            raise InputError(f"{key}={value}: what a config says to Hydra cannot be taken from elsewhere")
        if parts[1] in ("job_logging", "hydra_logging") and (
            parts[-1] == "()" or (parts[-1] == "class" and value not in HANDLERS) or _leads_out(text)
        ):
            raise InputError(f"{key}={value}: logs go to the terminal only")
        if key.startswith("hydra.job.env_set."):
            raise InputError(f"{key}: a config cannot set the environment; set it in the shell")
        if key == "hydra.sweep.subdir" and re.search(r"^[/~\\]|\.\.", text):
            raise InputError(f"{key}={value}: must be a folder in that of the sweep")
        if key == "hydra.output_subdir" and value is not None:
            raise InputError(f"{key}={value}: nst's record holds the config; leave it null")
        if key in PLACES and value != PLACES[key]:
            raise InputError(f"{key}={value}: where files go is for the command line to say")
        if parts[1] == "sweeper" and parts[2:3] == ["custom_search_space"] and value is not None:
            raise InputError(f"{key}={value}: a config cannot name code to run")
        if parts[1] == "launcher" and ("\n" in text or (parts[2] in (*SLURM, *RAY) and _says_something(value))):
            raise InputError(f"{key}: becomes a part of what launches jobs; give it on the command line")


def _leads_out(text: str) -> bool:
    return "://" in text and text not in STREAMS


def _says_something(value: Any) -> bool:
    return value is not None and not isinstance(value, bool | int | float)


def _values(held: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(held, dict | list):
        for name, value in held.items() if isinstance(held, dict) else enumerate(held):
            yield from _values(value, f"{prefix}{name}.")
    else:
        yield prefix[:-1], held


guard()
