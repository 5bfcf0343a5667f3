"""The paths in a config: names of the files that a run is made from, also as seen from another working folder."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from nst.choices import REST
from nst.errors import InputError
from nst.files import sha256
from nst.images import samples

NAMED = {
    "content": "content",
    "style": "style",
    "mask": "mask",
    "regions": "style",
    "init": "init",
    "data.dir": "list of images",
    "checkpoint": "generator",
}
"""Key → what a record calls its files. `backbone.weights` is not listed: a record names its file after the network."""


def working_folder(folder: Path) -> dict[str, str]:
    """For the record of a run, or the note of a sweep: the working folder, from the run's or the sweep's folder."""
    with suppress(ValueError):  # on another drive of Windows
        return {"working_folder": os.path.relpath(os.path.realpath(os.curdir), os.path.realpath(folder))}
    return {}


def recorded_folder(record: Mapping[str, Any], folder: Path) -> Path | None:
    """The working folder that a record or a note in `folder` tells of; None: it tells of none."""
    there = record.get("working_folder")
    return None if there is None else Path(os.path.realpath(folder), there)


def found_from(there: Path | None, name: str, known: Collection[str] | None = None) -> str:
    """A path as it is; or, if it does not exist, the same path from the folder `there`, if it exists there.

    known: if given, only a folder, or a file with one of these SHA-256, is taken from there.
    """
    if there is None or name in samples.NAMES or os.path.exists(os.path.expanduser(name)):
        return name
    path = there / name
    try:
        other = known is not None and path.is_file() and sha256(path) not in known
    except (OSError, InputError):  # a file that cannot be read
        other = True
    return name if other or not os.path.exists(path) else os.path.relpath(os.path.realpath(path))


def found_within(there: Path | None, text: str, bare: bool) -> str:
    """A text of Hydra's grammar, such as a list of paths, with each of them as by `found_from`.

    bare: whether a name without a dot or a slash is one, too.
    """
    names = r"[\w./~+@%-]+" if bare else r"[\w~+@%-]*[./][\w./~+@%-]*"
    return re.sub(names, lambda name: found_from(there, name[0]), text)


def with_paths(config: Mapping[str, Any], keys: Collection[str], change: Callable[[str, str], Any]) -> dict[str, Any]:
    """A nested config with `change(key, path)` in place of each path, or name of a sample, that those keys hold."""
    changed = deepcopy(dict(config))
    for key in keys:
        *sections, name = key.split(".")
        inside: Any = changed
        for section in sections:
            inside = inside.get(section) if isinstance(inside, dict) else None
        if isinstance(inside, dict) and name in inside:
            inside[name] = _changed(inside[name], partial(change, key))
    return changed


def _changed(value: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _changed(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_changed(each, change) for each in value]
    return change(value) if isinstance(value, str) and value != REST else value


def without_names(config: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """A config with numbers in place of paths, because files are compared by what is in them.

    A path that occurs twice in a key has the same number. known: what the files are called whose contents are compared.
    """
    numbers: dict[str, dict[str, int]] = defaultdict(dict)
    keys = [key for key, name in NAMED.items() if name in known]
    numbered = with_paths(config, keys, lambda key, path: numbers[key].setdefault(path, len(numbers[key])))
    numbered |= {key: [numbered[key]] for key in keys if isinstance(numbered.get(key), int)}  # as in a list of one
    backbone = numbered.get("backbone")
    if isinstance(backbone, dict) and backbone.get("name") in known:
        backbone["weights"] = None
    return numbered
