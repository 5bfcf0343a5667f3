"""The paths in a config: names of the files that a run is made from."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from nst.choices import REST

NAMED = {
    "content": "content",
    "style": "style",
    "mask": "mask",
    "regions": "style",
    "init": "init",
    "data.dir": "list of images",
    "checkpoint": "generator",
}
"""Key → what a record calls its files. `backbone.weights` is another, whose file has the network's name."""


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
    """A config with numbers in place of paths, for files are compared by what is in them.

    A path that occurs twice in a key has the same number. known: what the files are called whose contents are compared.
    """
    numbers: dict[str, dict[str, int]] = defaultdict(dict)
    keys = [key for key, name in NAMED.items() if name in known]
    numbered = with_paths(config, keys, lambda key, path: numbers[key].setdefault(path, len(numbers[key])))
    backbone = numbered.get("backbone")
    if isinstance(backbone, dict) and backbone.get("name") in known:
        backbone["weights"] = None
    return numbered
