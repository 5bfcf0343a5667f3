"""Previous runs, from the records they left: to continue one, to complete a sweep, or to make a picture again."""

import json
import re
import shlex
from argparse import ArgumentError, ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nst import modes, schema, tracking
from nst.config import OPTIMIZERS
from nst.errors import InputError
from nst.files import as_path
from nst.images import samples
from nst.record.files import NOTE, UNREADABLE, commit_name, files_by_name, read_record, settings
from nst.record.paths import NAMED, found_from, found_within, recorded_folder, with_paths

HARMLESS = re.compile(
    r"hydra/(launcher|sweeper)=\w+|hydra\.launcher\.n_jobs=-?\d+|hydra\.sweeper\.(n_trials=\d+|params\..*)", re.DOTALL
)
"""What a sweep's recorded command may ask of Hydra: the folder may be a stranger's."""
MANY = ("mode", "layers", "strokes", "experiment")
"""Groups that set several keys."""
PATHS = (*NAMED, "backbone.weights", "judge.weights")
"""Keys that hold paths. A record does not have the hash of the judge's weights."""
MACHINE = (*("trainer.accelerator", "trainer.devices", "trainer.num_nodes"), "data.workers", "output")
"""Keys that belong to the machine, or to the command line, not to a run."""


@dataclass(frozen=True)
class PreviousRun:
    """A run that was made before: `given` as `key` (resume or rerun) on the command line."""

    key: str
    given: str
    record: Mapping[str, Any]
    folder: Path
    """The run's folder, or that of a picture alone."""
    picture: Path
    """The result."""

    @property
    def where(self) -> str:
        """The beginning of a refusal."""
        return f"{self.key}={self.given}"

    @property
    def continues(self) -> bool:
        """Whether this run goes on from the previous one's checkpoint."""
        return self.key == "resume"

    def config(self, composed: DictConfig, typed: Sequence[str], machine: Collection[str]) -> DictConfig:
        """The previous run's config, except for the keys that were typed now and those of `machine`.

        Raises InputError for a record of another version of nst, and for a typed group that sets several keys.
        """
        if self.continues and self._is_of_another_scale:
            raise InputError(f"{self.where}: of an older nst, whose losses had another scale; rerun= makes it anew")
        held = _escaped(self._held)
        config: Any = OmegaConf.structured(schema.root())
        try:
            config.optimizer = OmegaConf.structured(OPTIMIZERS[held["optimizer"]["name"]])
            config.tracking = OmegaConf.structured(tracking.options()[held["tracking"]["name"]])
            config = OmegaConf.merge(config, held)
            OmegaConf.to_object(config)
        except (OmegaConfBaseException, LookupError, TypeError, AttributeError) as error:
            git = self.record.get("git")
            made = f", commit {commit_name(git)}" if git else ""
            reason = str(error).splitlines()[0]
            raise InputError(f"{self.where}: made by another version of nst{made}, or by none: {reason}") from None
        for key in (*machine, *typed):
            if key in MANY:
                raise InputError(f"{self.where}: takes that run's own config; give single keys beside it, not {key}=")
            section = key.rpartition(".")[0]
            if not section or None not in (OmegaConf.select(config, section), OmegaConf.select(composed, section)):
                OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
        assert isinstance(config, DictConfig)
        return config

    @cached_property
    def _held(self) -> dict[str, Any]:
        """The recorded config with the present keys, and paths that lead to the run's files from here."""
        known = {file["sha256"] for several in files_by_name(self.record).values() for file in several}
        there = recorded_folder(self.record, self.folder)
        keys = [key for key in PATHS if key != "init" or "init" in self.record["inputs"]]

        def found(key: str, name: str) -> str:
            return found_from(there, name, None if key == "judge.weights" else known)

        return with_paths(present(settings(self.record)), keys, found)

    @property
    def _is_of_another_scale(self) -> bool:
        """Whether the run minimized losses as they were before `content_loss` was a key."""
        config = self.record["config"]
        return bool(modes.get(config["mode"]).terms) and "content_loss" not in config

    def differences(self, now: Mapping[str, Any]) -> list[str]:
        """Where this record differs from another one: versions, device, files, commit; a line each."""
        lines = []
        for group, label in (("versions", ""), ("device", "device ")):
            for name, then in (self.record.get(group) or {}).items():
                here = (now.get(group) or {}).get(name)
                if here is not None and then != here:
                    lines.append(f"{label}{name}: {then} then, {here} now")
        present_files = files_by_name(now)
        for name, several in files_by_name(self.record).items():
            label = "weights of " if name in self.record["weights"] else ""
            present_ones = present_files.get(name, [])
            if len(several) != len(present_ones):
                lines.append(f"{label}{name}: {len(several)} files then, {len(present_ones)} now")
            for before, after in zip(several, present_ones, strict=False):
                if before["sha256"] != after["sha256"]:
                    lines.append(f"{label}{name}: {before['sha256'][:12]} then, {after['sha256'][:12]} now")
        if self._is_of_another_scale:
            lines.append("losses: then with another scale and other layer weights; the picture will differ")
        commits = [commit_name(each["git"]) if each.get("git") else "unknown" for each in (self.record, now)]
        if commits[0] != commits[1]:
            lines.append(f"commit: {commits[0]} then, {commits[1]} now")
        return lines

    def refuse_missing_inputs(self, config: DictConfig) -> None:
        """Raise InputError if an image that the previous run used is gone, and the config asks for it again."""
        for role, files in self.record["inputs"].items():
            given = config.get(role)  # None for the images of regions: their builder looks for them
            if files and given is not None and given == self._held.get(role):
                names = given if OmegaConf.is_list(given) else [given]
                for name, file in zip(names, files, strict=False):
                    if not isinstance(name, str) or as_path(role, name).is_dir():
                        break  # the builder refuses it, or it is a folder of styles
                    try:
                        samples.find(role, name)
                    except InputError:
                        gone = f"its {role}, {file['path']}, is gone; put it back, or give another with {role}="
                        raise InputError(f"{self.where}: {gone}") from None


def find(key: str, given: str) -> PreviousRun:
    """The run of a folder, of a file in it, or of a result.png alone. Raises InputError for anything else."""
    path, where = as_path(key, given), f"{key}={given}"
    if not path.exists():
        raise InputError(f"{where}: no such file or folder")
    folder, record = path if path.is_dir() else path.parent, _record_of(key, path)
    if record.get("status") == UNREADABLE:
        raise InputError(f"{where}: {record['error']}")
    if not {"config", "inputs", "weights"} <= set(record):
        raise InputError(f"{where}: holds no record of a run: expected its folder, or a result.png that nst wrote")
    if not isinstance(mode := record["config"].get("mode"), str) or mode not in modes.all_modes():
        raise InputError(f"{where}: made by another version of nst, or by none: config.mode: no mode of this one")
    alone = path.is_file() and path.suffix == ".png" and key == "rerun"
    return PreviousRun(key, given, record, folder, path if alone else folder / "result.png")


def _record_of(key: str, path: Path) -> dict[str, Any]:
    """The record in a picture, for rerun, or else in the folder that a path is or is in."""
    if key == "rerun" and path.is_file():
        from nst.images.files import png_text  # slow to import, and seldom needed
        from nst.record.schema import parse_record

        if text := png_text(path, "nst"):
            return parse_record(text, f"{key}={path}")
    return read_record(path if path.is_dir() else path.parent)


def present(config: dict[str, Any]) -> dict[str, Any]:
    """A recorded config with the present keys, by their present names."""
    held: Any = json.loads(json.dumps(config))
    if isinstance(held.get("style_loss"), dict):
        held["style_loss"].setdefault("name", "gram")  # the only one before style losses had names
    for key, value in schema.ADDED.items():
        held.setdefault(key, value)
    for key in schema.REMOVED:
        held.pop(key, None)
    for old, new in schema.RENAMED.items():
        *sections, key = old.split(".")
        inside = held
        for section in sections:
            inside = inside.get(section) if isinstance(inside, dict) else None
        if isinstance(inside, dict) and key in inside:
            inside[new.rpartition(".")[2]] = inside.pop(key)
    choice = held.get("tracking")
    if isinstance(choice, dict) and str(choice.get("name")) in tracking.options():
        known = {item.name for item in fields(tracking.options()[choice["name"]])}
        held["tracking"] = {name: value for name, value in choice.items() if name in known}
    return held


def implied_mode(arguments: Sequence[str]) -> list[str]:
    """For `resume=` or `rerun=` a run, `mode=` that run's: only then Hydra knows the sections that the mode has."""
    given = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    for key in ("resume", "rerun"):
        if given.get(key) and "mode" not in given and (path := as_path(key, given[key].strip("'"))).exists():
            mode = (_record_of(key, path).get("config") or {}).get("mode")
            return [f"mode={mode}"] if isinstance(mode, str) and mode in modes.all_modes() else []
    return []


def sweep_arguments(arguments: Sequence[str]) -> list[str]:
    """For `resume=` a sweep's folder, the arguments that continue that sweep; other arguments as they are.

    Of what the recorded command asks of Hydra, only HARMLESS is taken.
    """
    for number, argument in enumerate(arguments):
        key, _, given = argument.partition("=")
        if key != "resume" or not given:
            continue
        folder = as_path(key, given)
        if not folder.is_dir() or (folder / "record.json").exists():
            continue
        places = [folder / NOTE, *sorted(folder.glob("*/record.json"))]
        records = ((path.parent, read_record(path.parent, path.name)) for path in places)
        started, record = next((each for each in records if each[1].get("command")), (folder, {}))
        command, there = _words(record.get("command", "")), recorded_folder(record, started)
        parser = ArgumentParser(allow_abbrev=False, exit_on_error=False, add_help=False)
        parser.add_argument("-m", "--multirun", action="store_true")
        parser.add_argument("-cd", "--config-dir")
        try:
            asked, keys = parser.parse_known_args(command[3:])
        except ArgumentError as error:
            raise InputError(f"resume={given}: its record's command cannot be read: {error}") from None
        numbered = any(path.parent.name == "0" for path in folder.glob("*/record.json"))  # the experiment's file sweeps
        if not asked.multirun and not numbered and not (folder / NOTE).exists():
            break
        keys = [each for each in keys if not re.match(r"-|[+~]*hydra[./]", each) or HARMLESS.fullmatch(each)]
        keys = [_from_here(each, there) for each in keys]
        others = [each for each in (*arguments[:number], *arguments[number + 1 :]) if each not in ("-m", "--multirun")]
        options = ["-m", *([f"--config-dir={found_from(there, asked.config_dir)}"] if asked.config_dir else [])]
        return [*options, *keys, *others, f"hydra.sweep.dir={folder}"]
    return list(arguments)


def _from_here(word: str, there: Path | None) -> str:
    """A word of a sweep's command, with the key's present name, and with the paths in it as they are from here."""
    key, equals, value = word.partition("=")
    key = schema.RENAMED.get(key, key)
    if key in (*PATHS, "experiment", "zip"):
        value = found_within(there, value, bare=key not in ("init", "experiment", "zip"))  # which have other words, too
    return key + equals + value


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that is not closed: no shell has run that
        return []


def _escaped(value: Any) -> Any:
    """A resolved config, so that it stays as it is: ${…} in a file's name is no interpolation."""
    if isinstance(value, dict):
        return {name: _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return re.sub(r"(?<!\\)(\\*)\$\{", lambda found: 2 * found[1] + r"\${", value) if isinstance(value, str) else value
