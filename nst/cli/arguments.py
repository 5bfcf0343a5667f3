"""The command line of this process: its words, what they ask for, and what a run is called."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import OmegaConf

from nst.errors import InputError
from nst.schema import RENAMED
from nst.text import number

COMMAND = "NST_COMMAND"
"""Environment variable: the command line that the user typed. A sweep's jobs may run in other processes."""
PROGRAM = ("python", "-m", "nst.run")
"""How records write the beginning of a command line; `to_type` gives what works in the shell at hand."""


@dataclass(frozen=True)
class Labels:
    """What a run is called, and the sweep that it is a job of."""

    command: str
    """The whole command line."""
    overrides: list[str]
    """What it asks of this run: `key=value`."""
    name: str
    """Tells the run from the others of its sweep; empty for a single run."""
    sweep: Path | None
    """The sweep's folder."""

    @property
    def overridden(self) -> list[str]:
        """The keys of the overrides."""
        return [_key(each) for each in self.overrides]


def note_command(words: Sequence[str]) -> None:
    """Keep the words of the command line for the jobs of a sweep."""
    os.environ[COMMAND] = shlex.join([*PROGRAM, *words])


def to_type(words: Sequence[str]) -> str:
    """A command line of nst with these words, as it can be typed in the shell that this process was started from."""
    started = Path(sys.argv[0])
    if started.name == "nst":  # the console script
        found = shutil.which("nst")
        program = ["nst" if found and Path(found).parent == started.parent else os.path.relpath(started)]
    else:
        here = Path(sys.executable).parent
        on_path = (name for name in ("python", "python3") if Path(shutil.which(name) or "").parent == here)
        program = [next(on_path, _shorter(sys.executable)), *PROGRAM[1:]]
    return shlex.join([*program, *words])


def _shorter(path: str) -> str:
    """A path, relative to the working folder if that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def typed_keys() -> list[str]:
    """The keys and config groups that the user typed, without Hydra's own."""
    words = shlex.split(os.environ.get(COMMAND, ""))[len(PROGRAM) :]
    keys = [_key(word) for word in words if "=" in word and not word.startswith("-")]
    return [key for key in keys if key.partition(".")[0].partition("/")[0] != "hydra"]


def typed_mode() -> str | None:
    """The mode that the user typed, if any."""
    words = shlex.split(os.environ.get(COMMAND, ""))
    return next((word.partition("=")[2] for word in words if _key(word) == "mode" and "=" in word), None)


def refuse_renamed(arguments: list[str]) -> None:
    """Raise InputError for a key that has another name now."""
    for argument in arguments:
        key = _key(argument)
        if "=" in argument and key in RENAMED:
            raise InputError(f"{key}=: renamed: use {RENAMED[key]}=")


def names_folder(hydra_config: Any) -> bool:
    """Whether the command line says which folder a single run goes to."""
    return any(override.startswith("hydra.run.dir=") for override in as_typed(hydra_config.overrides.hydra))


def as_typed(overrides: Any) -> list[str]:
    """A list of overrides in Hydra's config, without what an interpolation in one of them stands for."""
    held: Any = OmegaConf.to_container(overrides, resolve=False)
    return list(held)


def job_labels(hydra_config: Any) -> Labels:
    """The labels of the job that Hydra is about to run."""
    command = os.environ.get(COMMAND, "")
    overrides = as_typed(hydra_config.overrides.task)
    if hydra_config.mode is not RunMode.MULTIRUN:
        return Labels(command, overrides, "", None)
    shared = [_shortened(word) for word in shlex.split(command)]
    own = [each for each in map(_shortened, overrides) if each not in shared]
    name = " ".join(each for each in own if not each.startswith(("sweep.", "zip=")))
    return Labels(command, overrides, name, sweep_folder(hydra_config))


def refuse_idle_launcher(hydra_config: Any) -> None:
    """Raise InputError if a launcher was chosen for a single run: Hydra would run it here, without a word."""
    launcher = hydra_config.runtime.choices.get("hydra/launcher", "basic")
    if launcher != "basic" and hydra_config.mode is not RunMode.MULTIRUN:
        raise InputError(f"hydra/launcher={launcher}: launchers run the jobs of a sweep; add -m, also for one job")


def swept_modes(hydra_config: Any, known: Collection[str]) -> list[str]:
    """The modes that a sweep goes over, of those known, in any of Hydra's notations; empty if it does not."""
    if hydra_config.mode is not RunMode.MULTIRUN:
        return []
    words = [word.partition("=")[2] for word in shlex.split(os.environ.get(COMMAND, "")) if _key(word) == "mode"]
    swept = str((hydra_config.sweeper.get("params") or {}).get("mode", ""))
    named = [name for text in (*words, swept) for name in re.findall(r"\w+", text)]
    return list(known) if "glob" in named else [name for name in named if name in known]


def sweep_folder(hydra_config: Any) -> Path:
    """The absolute folder of a sweep; a job in another process may have another working folder."""
    return Path(hydra_config.runtime.cwd, hydra_config.sweep.dir)


def command_in(sweep: Path) -> str:
    """The command line of this process, continuing the sweep in a folder."""
    command = shlex.split(os.environ[COMMAND])
    if not any(each.startswith("hydra.sweep.dir=") for each in command):
        command.append(f"hydra.sweep.dir={os.path.relpath(sweep)}")
    return to_type(command[len(PROGRAM) :])


def remove_empty(folder: Path) -> None:
    """Remove an empty folder that Hydra made, and the empty folders around it, up to the working folder."""
    here = Path.cwd()
    while here in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]


def _shortened(override: str) -> str:
    """`style_weight=1e6` for `style_weight=1000000.0`, which Hydra makes of it."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{number(value)}"
