"""The command line's manners: paths that need no quoting, and every refusal in one line."""

import os
import re
import shlex
import sys
import traceback
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nst import config
from nst.errors import Diverged, InputError, did_you_mean
from nst.text import number

COMMAND = "NST_COMMAND"
"""Environment variable: the command line of the process that was started by the user."""
DEBUG = "NST_DEBUG"
"""Environment variable: 1 shows the traceback behind a line."""
EXTRAS = {
    "joblib": "joblib",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
    "ray": "ray",
    "ray_aws": "ray",
    "optuna": "optuna",
}
"""Hydra's launchers and sweepers that are installed on demand → the extra of this project that installs them."""
GROUPS = ("layers", "experiment")
"""Config groups that are no key of their own; with the keys, all that can be set on the command line."""


def quote_path(argument: str) -> str:
    """`key=my (1).png` as Hydra's grammar wants it, `key='my (1).png'`, if what follows the = exists as a path."""
    key, equals, value = argument.partition("=")
    plain = re.fullmatch(r"[A-Za-z0-9_./:%+@-]*", value)
    if not equals or key.startswith("-") or plain or not os.path.exists(os.path.expanduser(value)):
        return argument
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"{key}='{escaped}'"


def complain(error: BaseException) -> str | None:
    """Show one line on standard error and return it; None, and nothing shown, for a bug of ours."""
    message = explain(error)
    if message is not None:
        message = " ".join(message.split())
        if os.environ.get(DEBUG) == "1":
            traceback.print_exception(error)
        print(f"nst: {message}", file=sys.stderr, flush=True)
    return message


def explain(error: BaseException) -> str | None:
    """One line for an error of composition or of a folder that cannot be made; None for a bug of ours."""
    if isinstance(error, InputError | Diverged):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = list(error.options or [])
        listed = f"the options are {', '.join(options)}" if options else "there are none yet"
        if option in EXTRAS:
            listed = f"it comes with pip install -e '.[{EXTRAS[option]}]'"
        return f"{group}={option}: no such option{did_you_mean(option, options)}; {listed}"
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read '{error.override}': an argument is key=value, and a value with spaces, commas, = or brackets "
            "takes quotes inside quotes, \"content='/tmp/my pic (1).png'\""
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_composition(error)
    if isinstance(error, YAMLError):
        return f"not YAML: {error}"
    if isinstance(error, ValueError) and str(error).startswith("Config group override"):
        return "a config group such as mode or backbone takes the name of an option, not null"
    if isinstance(error, OSError) and error.filename:  # Hydra makes the run's folder
        return f"cannot write to {error.filename}: {error.strerror}"
    return None


def _explain_composition(error: BaseException) -> str:
    text = str(error.__cause__ or error)
    where = "".join(re.findall(r"^In '([^']+)': ", str(error))[:1])
    where = f"conf/{where}.yaml: " if where else ""
    reason = re.sub(r"^In '[^']+': \w+ raised while composing config:\n", "", text).splitlines()[0]
    key = "".join(re.findall(r"full_key: (\S+)", text)[:1])
    if not key:
        return " ".join(str(error).split())
    known = {each.name: each.meaning for each in config.all_keys()}
    if reason.startswith("Key '") and key in known:
        return f"{where}{key} belongs to another choice of {key.partition('.')[0]} than the one made"
    if reason.startswith("Key '"):
        return f"{where}no key '{key}'{did_you_mean(key, [*known, *GROUPS])}; `nst --cfg job` shows them all"
    if "not a ListConfig" in reason:
        reason = "this is a list: write [conv_1,conv_2], without spaces"
    if wrong := re.fullmatch(r"Value (.*) of type '\w+' could not be converted to (Float|Integer)", reason):
        value, kind = wrong.groups()
        reason = f"{value} is not {'a number' if kind == 'Float' else 'a whole number'}"
    about = f" ({known[key]})" if key in known else ""
    return f"{where}{key}: {reason}{about}"


def refuse_unknown(composed: DictConfig, prefix: str = "") -> None:
    """Raise InputError for a key that the schema does not have, which Hydra lets in as `+key=value`."""
    known = {each.name: each.meaning for each in config.all_keys()}
    for name in map(str, composed):
        value = composed._get_node(name)
        if f"{prefix}{name}" not in known:
            raise InputError(f"no key '{prefix}{name}'{did_you_mean(f'{prefix}{name}', known)}")
        if isinstance(value, DictConfig) and not value._is_none() and is_dataclass(value._metadata.object_type):
            refuse_unknown(value, f"{prefix}{name}.")


@dataclass
class Labels:
    """What a run is called, and the sweep it is part of."""

    command: str
    """The whole command line."""
    overrides: list[str]
    """What it asks of this run: `key=value`."""
    name: str
    """Tells the run from the others of its sweep; empty for a single run."""
    sweep: Path | None
    """The sweep's folder."""


def job_labels(hydra_config: Any) -> Labels:
    """The labels of the job that Hydra is about to run."""
    command = os.environ.get(COMMAND, "")
    overrides = list(hydra_config.overrides.task)
    if hydra_config.mode is not RunMode.MULTIRUN:
        return Labels(command, overrides, "", None)
    shared = [_shortened(word) for word in shlex.split(command)]
    name = " ".join(each for each in map(_shortened, overrides) if each not in shared)
    return Labels(command, overrides, name, sweep_folder(hydra_config))


def _shortened(override: str) -> str:
    """`style_weight=1e6` for `style_weight=1000000.0`, which is what Hydra makes of it."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{number(value)}"


def sweep_folder(hydra_config: Any) -> Path:
    """The absolute folder of a sweep, which a job in another process cannot tell from its own working folder."""
    return Path(hydra_config.runtime.cwd, hydra_config.sweep.dir)


def again_in(sweep: Path) -> str:
    """The command line of this process as it goes on with the sweep in a folder."""
    command = shlex.split(os.environ[COMMAND])
    if not any(each.startswith("hydra.sweep.dir=") for each in command):
        command.append(f"hydra.sweep.dir={os.path.relpath(sweep)}")
    return shlex.join(command)


def note_command() -> None:
    """Keep the command line where the jobs of a sweep find it, which may run in other processes."""
    os.environ[COMMAND] = shlex.join(["python", "-m", "nst.run", *sys.argv[1:]])


def remove_empty(folder: Path) -> None:
    """Remove a folder that Hydra made for nothing, and those around it, below the working one, that are empty too."""
    here = Path.cwd()
    while here in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
