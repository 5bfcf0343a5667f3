"""Every refusal in one line."""

import errno
import os
import re
import shlex
import sys
import traceback
from dataclasses import is_dataclass

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nst import modes, schema
from nst.cli.arguments import to_type, typed_keys, typed_mode
from nst.cli.meant import MEANT
from nst.cli.spelling import quoted
from nst.errors import Diverged, InputError, as_line, did_you_mean, one_line

DEBUG = "NST_DEBUG"
"""Environment variable: 1 also shows the traceback."""
EXTRAS = {
    "joblib": "joblib",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
    "ray": "ray",
    "ray_aws": "ray",
    "optuna": "optuna",
}
"""Launchers and sweepers of Hydra that are not always installed → the extra of this project that installs them."""
COMPOSERS = ("hydra", "omegaconf")
"""Packages whose errors, of whatever kind, are about what they were given."""
THEIRS = sys.stdlib_module_names | {"yaml", "antlr4"}
"""Packages that they call: an error in there is theirs, too."""
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)
"""Errors of a full or read-only disk. They may name no file."""
DEEP_IN_HYDRA = 100
"""Calls of Hydra's in one another, which no good config needs."""
DEFAULT_MODE = "transfer"
GROUPS = ("layers", "strokes", "experiment")
"""Config groups that are no keys."""
LISTS = ("style", "style_mix", "content_layers", "style_layers", "style_layer_weights", "scale_steps")
"""Keys whose value can be a list."""


def complain(error: BaseException) -> str | None:
    """Print one line to standard error and return it; for an error of our own, print nothing and return None."""
    message = explain(error)
    if message is not None:
        message = as_line(message)
        if os.environ.get(DEBUG) == "1":
            traceback.print_exception(error)
        print(f"nst: {message}", file=sys.stderr, flush=True)
    return message


def explain(error: BaseException) -> str | None:
    """One line for an error of the user's input; None for an error of our own."""
    if isinstance(error, InputError | Diverged):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = list(error.options or [])
        listed = f"the options are {', '.join(options)}" if options else "there are none yet"
        if option in EXTRAS:
            listed = f"install it with pip install -e '.[{EXTRAS[option]}]'"
        return f"{group}={option}: no such option{did_you_mean(option, options)}; {listed}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals:
            return f"cannot read '{error.override}': an argument is key=value, such as content={quoted(key)}"
        return f"cannot read '{error.override}': as one text it is {shlex.quote(f'{key}={quoted(value)}')}"
    if isinstance(error, RuntimeError) and "srun" in str(error):
        return "hydra/launcher=submitit_slurm: this machine has no Slurm (no srun); submitit_local tries the same here"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_composition(error)
    if isinstance(error, YAMLError):
        return f"not YAML: {error}"
    if isinstance(error, ValueError) and str(error).startswith("Config group override"):
        return "a config group such as mode or backbone takes the name of an option, not null"
    if isinstance(error, AssertionError) and "Unexpected type for root: NoneType" in str(error):
        return _explain_missing_section()
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):  # Hydra begins the run's folder
        return f"cannot write to {error.filename or 'the folder of the run'}: {error.strerror or error}"
    if is_of_composing(error):
        return f"the config cannot be composed: {one_line(error)}"
    return None


def is_of_composing(error: BaseException) -> bool:
    """Whether Hydra or OmegaConf, or what they called, raised an error, of whatever kind."""
    frames = traceback.walk_tb(error.__traceback__)
    packages = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame, _ in frames]
    if isinstance(error, RecursionError):  # a config that takes itself in, wherever that ends
        return packages.count("hydra") > DEEP_IN_HYDRA
    while packages and packages[-1] in THEIRS:
        packages.pop()
    return bool(packages) and packages[-1] in COMPOSERS


def _explain_missing_section() -> str | None:
    """A typed key is inside a section that is null in this mode: all that OmegaConf tells is that something is."""
    for key in typed_keys():
        users = modes.users_of(key)
        if "." in key and 0 < len(users) < len(modes.all_modes()):
            return f"{key}: mode={typed_mode() or DEFAULT_MODE} does not use it; {modes.used_by(users)}"
    return None


def refuse_unknown(composed: DictConfig, prefix: str = "") -> None:
    """Raise InputError for a key that the schema does not have: Hydra accepts it as `+key=value`."""
    known = _known()
    for name in map(str, composed):
        value = composed._get_node(name)
        if f"{prefix}{name}" not in known:
            raise InputError(_no_key(f"{prefix}{name}"))
        if isinstance(value, DictConfig) and not value._is_none() and is_dataclass(value._metadata.object_type):
            refuse_unknown(value, f"{prefix}{name}.")


def _known() -> dict[str, str]:
    """Every key → its meaning."""
    return {each.name: each.meaning for each in schema.all_keys()}


def _no_key(key: str) -> str:
    if key in schema.RENAMED:
        return f"{key}: renamed: use {schema.RENAMED[key]}"
    if key in MEANT:
        return f"no key '{key}': use {MEANT[key]}"
    if key.partition(".")[0] == "experiment":
        return "an experiment's file must begin with the line `# @package _global_`, so that its keys are found"
    return f"no key '{key}'{did_you_mean(key, [*_known(), *GROUPS])}; `nst --cfg job` shows them all"


def _explain_several(key: str, value: str) -> str:
    """Several values of a key in a single run."""
    listed = f"; one run with a list is {key}=[{value}]" if key in LISTS else ""
    return f"{key}={value}: several values are a sweep: {to_type(['-m'])} …{listed}"


def _explain_composition(error: BaseException) -> str:
    cause = error.__cause__ or error
    text = str(cause) or one_line(cause)
    where = "".join(re.findall(r"^In '([^']+)': ", str(error))[:1])
    own = "" if os.path.exists(schema.CONF / f"{where}.yaml") else "your "  # also of a name that is too long
    if where.endswith(".yaml"):  # a file that experiment= named
        where = f"{where.removeprefix('experiment/')}: "
    elif where:
        where = f"{own or 'conf/'}{where}.yaml: "
    reason = re.sub(r"^In '[^']+': \w+ raised while composing config:\n", "", text).splitlines()[0]
    if several := re.match(r"Ambiguous value for argument '(.+?)=(.*)'\n", text):
        return _explain_several(*several.groups())
    if chosen := re.match(r"Merge error: str is not a subclass of \w+\. value: (\w+)", reason):
        groups = [path.parent.name for path in schema.CONF.glob("*/*.yaml") if path.stem == chosen[1]]
        group = groups[0] if groups else "GROUP"
        return f"{where}{chosen[1]}: a file chooses it in a list named defaults, as `- override /{group}: {chosen[1]}`"
    key = "".join(re.findall(r"full_key: (\S+)", text)[:1])
    if not key:
        return str(error) or f"the config cannot be composed: {reason}"
    known = _known()
    if reason.startswith("Key '") and key in known:
        return f"{where}{key} belongs to another choice of {key.partition('.')[0]} than the one made"
    if reason.startswith("Key '"):
        return where + _no_key(key)
    if "not a ListConfig" in reason:
        reason = "this is a list: write [conv_1,conv_2], without spaces"
    if wrong := re.fullmatch(r"Value (.*) of type '\w+' could not be converted to (Float|Integer)", reason):
        value, kind = wrong.groups()
        reason = f"{value} is not {'a number' if kind == 'Float' else 'a whole number'}"
    about = f" ({known[key]})" if key in known else ""
    return f"{where}{key}: {reason}{about}"
