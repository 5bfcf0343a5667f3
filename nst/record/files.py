"""Reading records, and comparing one run's record with another's."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nst.errors import InputError
from nst.record.paths import without_names

CHECKPOINT = "checkpoint.ckpt"
"""In the folder of a run that takes steps."""
NOTE = "sweep.json"
"""In a sweep's folder: the command that started it."""
STOP = ".stop"
"""In a sweep's folder: its jobs are to save and stop."""
VERSION = 1
"""Of the form of records and checkpoints. A later one is refused."""
UNREADABLE = "unreadable"
"""Status of a record that cannot be read."""
FileFacts = Mapping[str, str]
"""{"path", "sha256"} of a file."""


def read_record(folder: Path, name: str = "record.json") -> dict[str, Any]:
    """The record of a folder, or a sweep's note; empty if there is none.

    A record without `config` is of a run that was refused or broke before it began. One that does not have the form of
    a record has the status `unreadable`, and an `error` that names the field.
    """
    path = folder / name
    if not os.path.lexists(path):
        return {}
    from nst.record import schema  # pydantic is slow to import, and most runs read no record

    try:
        return schema.read_record(path)
    except InputError as error:
        return {"status": UNREADABLE, "error": str(error)}


def settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's config with what the builders decided, as a nested dict."""
    return dict(record["config"]) | dict(record.get("decided") or {})


def dotted(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config with dotted keys: {"optimizer.lr": 0.02}."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def refuse_another(
    where: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    but: Collection[str] = (),
    known: Collection[str] = (),
) -> None:
    """Raise InputError if a key has another value now than in the config of a previous run.

    but: dotted keys, and sections, that may differ. known: as for `without_names`; `refuse_changed` compares them.
    """
    then, here = (dotted(without_names(config, known)) for config in (before, now))
    for key in then | here:
        if key not in but and key.partition(".")[0] not in but and then.get(key) != here.get(key):
            had, has = (dotted(config).get(key) for config in (before, now))
            raise InputError(f"{where}: that run had {key}={had}, this one has {key}={has}")


def refuse_changed(where: str, before: Mapping[str, Any], files: Mapping[str, Sequence[FileFacts]]) -> None:
    """Raise InputError if one of `files`, role or network → files, had another content in a previous run's record."""
    held = files_by_name(before)
    for name, several in files.items():
        then = [each.get("sha256") for each in held.get(name, [])]
        if len(then) > len(several):
            raise InputError(
                f"{where}: that run was made from {len(then)} files as {name}, and now there are {len(several)}"
            )
        for place, file in enumerate(several):
            if then[place : place + 1] != [file["sha256"]]:
                raise InputError(f"{where}: that run was made from another {name}; {file['path']} has changed since")


def files_by_name(record: Mapping[str, Any]) -> dict[str, list[FileFacts]]:
    """Role or network → the files that a record says a run was made from."""
    weights = {network: [file] for network, file in record.get("weights", {}).items()}
    return dict(record.get("inputs", {})) | weights


def commit_name(git: Mapping[str, Any]) -> str:
    """A record's `git` in short: ten digits of the commit, and whether the checkout was changed since."""
    return str(git["commit"][:10]) + (" (changed)" if git["changed"] else "")
