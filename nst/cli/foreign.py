"""Configs from strangers are data: one that would make Hydra run code, or write outside a run's folder, is refused.

Hydra builds any object that a `_target_` names, and `logging` any handler.
"""

import os
import re
import shlex
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from nst.cli.arguments import COMMAND
from nst.cli.spelling import read_yaml
from nst.errors import InputError
from nst.schema import CONF

TARGETS = re.compile(
    r"hydra\._internal\.core_plugins\.basic_(launcher\.BasicLauncher|sweeper\.BasicSweeper)"
    r"|hydra_plugins\.hydra_joblib_launcher\.joblib_launcher\.JoblibLauncher"
    r"|hydra_plugins\.hydra_submitit_launcher\.submitit_launcher\.(Local|Slurm)Launcher"
    r"|hydra_plugins\.hydra_ray_launcher\.ray_(launcher\.RayLauncher|aws_launcher\.RayAWSLauncher)"
    r"|hydra_plugins\.hydra_optuna_sweeper\.optuna_sweeper\.OptunaSweeper"
    r"|optuna\.samplers\.\w+Sampler|nst\.cli\.sweeps\.Begin"
)
"""The objects that Hydra may build: launchers, sweepers, and our own callback."""
FILES = "hydra._internal.core_plugins.file_config_source.FileConfigSource"
"""Hydra's reader of YAML files."""
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
INTERPOLATIONS = re.compile(r"\$\{(now:[^${}]*|hydra\.(job\.(num|name)|sweep\.dir))\}")
"""Interpolations in Hydra's own files. They refer to nothing that a config could have set to more than a text."""
SHOWN = ("help", "hydra_help", "overrides", "runtime", "job.override_dirname")
"""Keys that Hydra only shows or notes."""
PLACES = {
    "hydra.run.dir": "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "hydra.sweep.dir": "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "hydra.launcher.submitit_folder": "${hydra.sweep.dir}/.submitit/%j",
    "hydra.sweeper.storage": None,
}
"""Where files go; only the command line may change it."""
JOB = "${hydra.job.num}"
"""The default name of a job's folder, below that of its sweep."""
SLURM = ("additional_parameters", "comment", "python", "qos", "setup", "srun_args", "stderr_to_stdout")
RAY = ("ray", "setup_commands", "initialization_commands", "sync_up", "sync_down", "stop_cluster", "env_setup")
"""Keys of launchers that become part of a shell script, or choose where code runs."""


def guard() -> None:
    """Check every config that Hydra composes before Hydra acts on it, and hide the environment from configs.

    Runs when this module is imported, so also in the processes of launchers, which import it for the jobs.
    """
    for resolver in ("oc.env", "oc.create", "oc.decode"):  # a record holds its run's config, and is shared
        if OmegaConf.has_resolver(resolver):
            OmegaConf.clear_resolver(resolver)
    load = ConfigLoaderImpl.load_configuration
    if getattr(load, "guarded", False):
        return

    @wraps(load)  # also its marks, by which it is not wrapped twice
    def load_configuration(self: ConfigLoaderImpl, *args: Any, **options: Any) -> DictConfig:
        config = load(self, *args, **options)
        if (args[0] if args else options["config_name"]) is not None:  # --hydra-help composes only Hydra's own config
            refuse_foreign(config)
        return config

    files: Any = Plugins.instance().class_name_to_class[FILES]  # which Hydra has imported a second time
    read = files.load_config

    @wraps(read)
    def load_config(self: Any, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path))
        if self.path != str(CONF) and path.exists():
            try:
                read_yaml(path)
            except (YAMLError, ValueError) as error:
                raise InputError(f"{path}: not YAML of a config: {error}") from None
        return read(self, config_path)

    files.load_config = load_config
    load_configuration.guarded = True  # type: ignore[attr-defined]
    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign]


def refuse_foreign(config: DictConfig) -> None:
    """Raise InputError for a composed config that is more than data. Interpolations are checked unresolved."""
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
            raise InputError(f"{key}={value}: a config's Hydra keys cannot refer to other keys")
        if parts[1] in ("job_logging", "hydra_logging") and (
            parts[-1] == "()" or (parts[-1] == "class" and value not in HANDLERS) or _leads_out(text)
        ):
            raise InputError(f"{key}={value}: logs can only go to the terminal")
        if key.startswith("hydra.job.env_set."):
            raise InputError(f"{key}: a config cannot set the environment; set it in the shell")
        if key == "hydra.sweep.subdir" and re.search(r"^[/~\\]|\.\.|\$\{", text.replace(JOB, "")):
            raise InputError(f"{key}={value}: must be a folder inside the sweep's")
        if key == "hydra.output_subdir" and value is not None:
            raise InputError(f"{key}={value}: leave it null; the run's record holds the config")
        if key in PLACES and value != PLACES[key]:
            raise InputError(f"{key}={value}: only the command line can choose where files go")
        if parts[1] == "sweeper" and parts[2:3] == ["custom_search_space"] and value is not None:
            raise InputError(f"{key}={value}: a config cannot name code to run")
        if parts[1] == "launcher" and ("\n" in text or (parts[2] in (*SLURM, *RAY) and _says_something(value))):
            raise InputError(f"{key}: a launcher would run it; give it on the command line")


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
