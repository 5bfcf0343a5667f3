"""Mutations: bytes, trees of plain values and tensors, and things that are no files in place of files.

Each returns or takes what was drawn, and says in a few words what it did.
"""

import copy
import json
import os
import reprlib
import shutil
import stat
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch

from nst.files import write_whole

DEEP = {"@deep@": 1000, "@very deep@": 100_000}
"""Texts that become so many lists, one inside the other, in JSON and YAML."""
DIGITS = "@digits@"
"""Becomes a whole number of 5,000 digits."""
PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -3, 0.5, 7, 1e308, -1e308, 10**400, 2**63, 2**31, float("nan"), float("inf")),
    *("", "x", "x" * 100_000, "a\0b", "a\nb", "${oc.env:HOME}", "${steps}", "${", "~nouser/x", "../outside/x", "."),
    *("\ud800", "ünï", "1e5", "null", "[1,2]", "/dev/null/x", "C:\\x", "%s{}", *DEEP, DIGITS),
    *([], {}, [[]], [None], [-1, "x"], {"": {}}, {"name": None}, {"a": {"b": None}}, {"path": 1, "sha256": 2}),
)
"""Values of wrong types, sizes and signs, and texts that mean something to somebody."""


class Malice:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch PWNED",)

    def __deepcopy__(self, _: object) -> "Malice":
        """The same one: a copy would run it here."""
        return self


def nested(depth: int) -> list[Any]:
    """Lists, one inside the other."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def held_twice(depth: int) -> list[Any]:
    """A list of a list of a list …: each holds the next one twice, and who goes through all of them never ends."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


def with_attributes(value: Any, **attributes: Any) -> Any:
    """A value whose own attributes take the place of its methods."""
    value.__dict__.update(attributes)
    return value


def tensors() -> list[Any]:
    """Tensors of other shapes, dtypes and layouts, and what else a pickle can hold."""
    loop: list[Any] = []
    loop.append(loop)
    return [
        *(held_twice(60), loop, torch.zeros(1).expand(10**6, 10**6), torch.zeros(1).expand(9, 9)),
        *(with_attributes(torch.zeros(2), isfinite=1), with_attributes(OrderedDict(a=torch.zeros(2)), values=1, get=1)),
        *(torch.zeros(0), torch.zeros(()), torch.zeros(3), torch.zeros(1, 3, 5, 7), torch.zeros(1, 1, 1, 1, 1, 1)),
        *(torch.full((3,), float("nan")), torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)),
        *(torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, 2).to_sparse()),
        *(torch.zeros(2, device="meta"), torch.nn.Parameter(torch.zeros(2)), nested(200), {1: 2}, (1, 2), {3}, b"x"),
        Malice(),
    ]


def mutated_bytes(data: bytes, draw: Random) -> tuple[bytes, str]:
    """Bytes flipped, cut, inserted, removed, repeated or cleared, more often near the beginning."""
    at = int(len(data) * draw.random() ** 3)
    count = draw.choice([1, 2, 4, 16, 100, 1000])
    noise = draw.randbytes(count)
    part = data[at : at + count]
    made, said = draw.choice(
        [
            (data[:at] + bytes(255 - each for each in part) + data[at + count :], "inverted"),
            (data[:at] + noise + data[at + count :], "overwritten"),
            (data[:at] + noise + data[at:], "inserted"),
            (data[:at] + data[at + count :], "removed"),
            (data[:at] + part + data[at:], "repeated"),
            (data[:at] + bytes(count) + data[at + count :], "cleared"),
            (data[:at], "cut"),
            (data + noise, "appended"),
            (noise, "replaced all"),
        ]
    )
    return made, f"bytes {said}, {count} at {at} of {len(data)}"


def mutated_tree(tree: Any, draw: Random, values: Sequence[Any] = PLAIN) -> tuple[Any, str]:
    """A copy of nested dicts and lists with one to three values replaced, removed, renamed or exchanged."""
    root, said = {"": copy.deepcopy(tree)}, []
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        inside, key, name = _place(root, draw)
        change = draw.choice(["replace", "replace", "replace", "replace", "remove", "rename", "exchange", "wrap"])
        if change == "remove" and key != "":
            del inside[key]
        elif change == "rename" and isinstance(inside, dict) and key != "":
            inside[f"{key}x"] = inside.pop(key)
        elif change == "exchange":
            other, place, whose = _place(root, draw)
            inside[key] = copy.deepcopy(other[place])
            change = f"exchange for {whose} in"
        elif change == "wrap":
            inside[key] = draw.choice([[inside[key]], {"x": inside[key]}, [inside[key]] * 2])
        else:
            inside[key] = _other(inside[key], draw, values)
            change = f"put {_short(inside[key])} for"
        said.append(f"{change} {name or 'all'}")
    return root.get(""), ", ".join(said)


def _place(root: dict[str, Any], draw: Random) -> tuple[Any, Any, str]:
    """Somewhere in a tree: the dict or list, the key or index in it, and its dotted name."""
    inside: Any = root
    key: Any = ""
    names: list[str] = []
    while isinstance(inside[key], dict | list) and inside[key] and draw.random() < 0.8:
        inside = inside[key]
        key = draw.choice(list(inside)) if isinstance(inside, dict) else draw.randrange(len(inside))
        names.append(str(key)[:60])
    return inside, key, ".".join(names)


def _other(value: Any, draw: Random, values: Sequence[Any]) -> Any:
    """Another value; of a number also one like it, and of a tensor another shape or type of the same numbers."""
    if isinstance(value, torch.Tensor) and value.layout is torch.strided and draw.random() < 0.6:
        return draw.choice(
            [value.double(), value.half(), value.flatten(), value[None], value * float("nan"), value.to("meta")]
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and draw.random() < 0.4:
        return draw.choice([-value, str(value), value + 1, 0.5, [value]])
    return copy.deepcopy(draw.choice(values))


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor {[*value.shape]} {value.dtype} {value.device} {value.layout}".replace("torch.", "")
    return ascii(reprlib.repr(value))[:40]  # which does not go deep


def as_text(tree: Any) -> str:
    """JSON, with lists in lists and long numbers for their marks."""
    text = json.dumps(tree)
    for mark, depth in DEEP.items():
        text = text.replace(f'"{mark}"', "[" * depth + "]" * depth)
    return text.replace(f'"{DIGITS}"', "9" * 5000)


def stray(path: Path, outside: Path, draw: Random) -> str:
    """Something else in place of a file."""
    kinds = ["fifo", "socket", "folder", "loop", "dangling link", "link", "link to a folder", "empty", "gone"]
    kind = draw.choice(kinds if hasattr(os, "mkfifo") else kinds[2:])
    moved = outside / path.name
    if kind == "link":
        shutil.move(path, moved)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind != "gone":
        targets = {"loop": path, "dangling link": outside / "nothing", "link": moved, "link to a folder": outside}
        path.symlink_to(targets[kind])
    return f"{path.name} is {kind}"


def mutate_file(path: Path, outside: Path, draw: Random, structure: Callable[[Path, Random], str] | None) -> str:
    """Mutate a file by its structure, if it has one, by its bytes, or put something else in its place."""
    chance = draw.random()
    if chance < 0.12:
        return stray(path, outside, draw)
    if structure and chance < 0.75:
        return f"{path.name}: {structure(path, draw)}"
    data, said = mutated_bytes(path.read_bytes(), draw)
    write_whole(path, data)
    return f"{path.name}: {said}"
