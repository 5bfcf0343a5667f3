"""Earlier runs, taken up by what they left: to go on with one, to complete a sweep, or to make one again."""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import samples
from nst.config import Adam, Config, Lbfgs
from nst.errors import InputError
from nst.files import commit_name, read_record

OPTIMIZERS = {each.__name__.lower(): each for each in (Lbfgs, Adam)}
MANY = ("mode", "layers", "experiment")
"""What on the command line sets several keys."""
HERE = (*("trainer.accelerator", "trainer.processes", "trainer.machines"), "data.workers")
"""Keys that are of the machine, and not of an earlier run."""


@dataclass(frozen=True)
class Earlier:
    """A run that was made before: `given` as `key` on the command line."""

    key: str
    given: str
    record: Mapping[str, Any]
    folder: Path
    """The run's, or the one that a picture by itself is in."""
    picture: Path
    """The result."""

    @property
    def where(self) -> str:
        """How a refusal begins."""
        return f"{self.key}={self.given}"

    def config(self, composed: DictConfig, typed: Sequence[str], mine: Collection[str]) -> DictConfig:
        """Its config, but for the keys that were typed now, and those of `mine`, which are as composed now.

        Raises InputError for a record of another version of nst, and for an override that sets several keys.
        """
        held = _escaped(dict(self.record["config"]))
        config: Any = OmegaConf.structured(Config)
        try:
            config.optimizer = OmegaConf.structured(OPTIMIZERS[held["optimizer"]["name"]])
            config = OmegaConf.merge(config, held)
            OmegaConf.to_object(config)
        except (OmegaConfBaseException, LookupError, TypeError, AttributeError) as error:
            git = self.record.get("git")
            made = f", commit {commit_name(git)}" if isinstance(git, dict) and {"commit", "changed"} <= set(git) else ""
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.where}: made by another version of nst{made}, or by none: {reason}") from None
        for key in (*mine, *typed):
            if key in MANY:
                raise InputError(f"{self.where}: the run's own config is taken; give single keys beside it, not {key}=")
            if "." not in key or OmegaConf.select(config, key.rpartition(".")[0]) is not None:
                OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
        assert isinstance(config, DictConfig)
        return config

    def differences(self, now: Mapping[str, Any]) -> list[str]:
        """What this record says otherwise than one of now, a line each: versions, files, commit."""
        lines = []
        then = self.record
        for group, said in (("versions", ""), ("device", "device "), ("inputs", ""), ("weights", "weights of ")):
            for name, value in (then.get(group) or {}).items():
                here = (now.get(group) or {}).get(name)
                before, after = (each["sha256"][:12] if isinstance(each, dict) else each for each in (value, here))
                if here is not None and before != after:
                    lines.append(f"{said}{name}: {before} then, {after} now")
        commits = [commit_name(each["git"]) if each.get("git") else "unknown" for each in (then, now)]
        if commits[0] != commits[1]:
            lines.append(f"commit: {commits[0]} then, {commits[1]} now")
        return lines


def find(key: str, given: str) -> Earlier:
    """The run whose folder, or a file in it, or result.png by itself is given. Raises InputError for anything else."""
    path, where = Path(given).expanduser(), f"{key}={given}"
    if not path.exists():
        raise InputError(f"{where}: no such file or folder")
    text = None if path.is_dir() else _read_text(path)
    folder = path if path.is_dir() else path.parent
    record = text or read_record(folder)
    parts = ("config", "inputs", "weights")
    if not isinstance(record, dict) or not all(isinstance(record.get(part), dict) for part in parts):
        raise InputError(f"{where}: holds no record of a run: expected its folder, or a result.png that nst wrote")
    return Earlier(key, given, record, folder, path if text else folder / "result.png")


def _read_text(path: Path) -> Any:
    from nst.imagefile import png_text  # not before it is needed

    try:
        return json.loads(png_text(path, "nst") or "null")
    except (ValueError, RecursionError):
        return None


def _escaped(value: Any) -> Any:
    """What was resolved, so that it stays as it is: ${…} in a file's name is no interpolation."""
    if isinstance(value, dict):
        return {name: _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", value) if isinstance(value, str) else value


def refuse_gone(earlier: Earlier, config: DictConfig) -> None:
    """Raise InputError if an image that an earlier run was made from is not there, and its config asks for it again."""
    for role, facts in earlier.record["inputs"].items():
        if role in ("content", "style", "init") and config[role] == earlier.record["config"].get(role):
            try:
                samples.find(role, config[role])
            except InputError:
                path = facts.get("path") if isinstance(facts, dict) else config[role]
                said = f"its {role}, {path}, is gone; put it back, or give another with {role}="
                raise InputError(f"{earlier.where}: {said}") from None


def sweep_again(arguments: Sequence[str]) -> list[str]:
    """The arguments of a sweep's command as it goes on in its folder, for `resume=` that folder; others as they are."""
    for number, argument in enumerate(arguments):
        key, _, given = argument.partition("=")
        folder = Path(given).expanduser()
        if key != "resume" or not given or not folder.is_dir() or (folder / "record.json").exists():
            continue
        commands = (read_record(path.parent).get("command") for path in sorted(folder.glob("*/record.json")))
        command = next((shlex.split(each) for each in commands if isinstance(each, str)), [])
        if not {"-m", "--multirun"} & set(command):
            return list(arguments)
        others = [*command[3:], *arguments[:number], *arguments[number + 1 :]]
        options = [each for each in others if each.startswith("-")]
        keys = [each for each in others if not each.startswith(("-", "hydra.sweep.dir="))]
        return [*dict.fromkeys(options), *keys, f"hydra.sweep.dir={folder}"]
    return list(arguments)
