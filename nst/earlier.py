"""Earlier runs, taken up by what they left: to go on with one, to complete a sweep, or to make one again."""

import json
import re
import shlex
from argparse import ArgumentParser
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
HARMLESS = re.compile(
    r"hydra/(launcher|sweeper)=\w+|hydra\.launcher\.n_jobs=-?\d+|hydra\.sweeper\.(n_trials=\d+|params\..*)", re.DOTALL
)
"""What a sweep's command may say to Hydra, when it is taken from the sweep's folder."""
MANY = ("mode", "layers", "experiment")
"""What on the command line sets several keys."""
MACHINE = (*("trainer.accelerator", "trainer.processes", "trainer.machines"), "data.workers")
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
            made = f", commit {commit_name(git)}" if git else ""
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
                before, after = (str(each["sha256"])[:12] if isinstance(each, dict) else each for each in (value, here))
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
    text = _read_text(path) if key == "rerun" and path.is_file() else None
    folder = path if path.is_dir() else path.parent
    record = text or read_record(folder)
    if not _is_record(record):
        raise InputError(f"{where}: holds no record of a run: expected its folder, or a result.png that nst wrote")
    return Earlier(key, given, record, folder, path if text else folder / "result.png")


def _is_record(record: Any) -> bool:
    """Whether it is of the shape that a run's is: whoever made a picture may have written anything into it."""
    if not isinstance(record, dict):
        return False
    parts = [record.get(part) for part in ("config", "inputs", "weights")]
    others = [record.get(part) or {} for part in ("versions", "device", "git", "wandb")]
    if not all(isinstance(part, dict) for part in (*parts, *others)):
        return False
    files = [file for part in parts[1:] for file in part.values()]  # type: ignore[union-attr]
    if not all(isinstance(file, dict) and {"path", "sha256"} <= set(file) for file in files):
        return False
    return not others[2] or (isinstance(others[2].get("commit"), str) and "changed" in others[2])


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
                said = f"its {role}, {facts['path']}, is gone; put it back, or give another with {role}="
                raise InputError(f"{earlier.where}: {said}") from None


def sweep_again(arguments: Sequence[str]) -> list[str]:
    """The arguments of a sweep's command as it goes on in its folder, for `resume=` that folder; others as they are.

    Of what the command says to Hydra only HARMLESS is taken: the folder may be somebody else's.
    """
    for number, argument in enumerate(arguments):
        key, _, given = argument.partition("=")
        folder = Path(given).expanduser()
        if key != "resume" or not given or not folder.is_dir() or (folder / "record.json").exists():
            continue
        commands = (read_record(path.parent).get("command") for path in sorted(folder.glob("*/record.json")))
        command = next((shlex.split(each) for each in commands if isinstance(each, str)), [])
        parser = ArgumentParser(allow_abbrev=False, exit_on_error=False, add_help=False)
        parser.add_argument("-m", "--multirun", action="store_true")
        parser.add_argument("-cd", "--config-dir")
        asked, keys = parser.parse_known_args(command[3:])
        if not asked.multirun:
            break
        keys = [each for each in keys if not re.match(r"-|[+~]*hydra[./]", each) or HARMLESS.fullmatch(each)]
        others = [each for each in (*arguments[:number], *arguments[number + 1 :]) if each not in ("-m", "--multirun")]
        options = ["-m", *([f"--config-dir={asked.config_dir}"] if asked.config_dir else [])]
        return [*options, *keys, *others, f"hydra.sweep.dir={folder}"]
    return list(arguments)
