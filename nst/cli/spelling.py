"""What people type, as Hydra's grammar wants it: file names with spaces or commas, lists of files, own files."""

import glob
import io
import os
import re
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError, parse
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from nst import modes
from nst.errors import InputError
from nst.files import as_path, refuse_no_file
from nst.images import samples

PLAIN = re.compile(r"[A-Za-z0-9_./:%+@-]*")
"""Values that need no quotes."""
GRAMMAR = re.compile(r"""['"{\\]|\$\{|\w+\(.*\)$""")
"""The beginning of a value that is written in Hydra's grammar: quoted, a mapping, or a function such as range(1,9)."""
TEXTS = ("question", "title", "finding")
"""Keys whose value is a sentence."""
EXPERIMENT_FILE = (".yaml", ".yml")
TAKES_VALUE = ("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir")
"""Hydra's flags whose value is the next word."""
LARGEST_EXPERIMENT = 2**17
"""Bytes of an experiment's file."""
MOST_ALIASES = 10
"""In such a file: of more, each in the others, all memory would not hold what they stand for."""
MOST_DIGITS, DEEPEST = 400, 20
"""Digits of a number, and brackets in one another, that no value has."""
OPENS = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}
LONGEST_NAME = 8
"""Most commas in the name of one file, plus one."""


def respelled(words: Sequence[str]) -> list[str]:
    """The words of a command line as Hydra reads them.

    A path is quoted if it must be. A comma-separated list of images is split where the files say so, whatever their
    names; a pattern such as *.jpg and, in a sweep, a folder of contents become the list of their images.
    `experiment=FILE.yaml` makes that file known to Hydra. Raises InputError for a word that cannot be meant, with what
    would be right.
    """
    _refuse_flags(words)
    _refuse_monsters(words)
    sweeps = any(word in ("-m", "--multirun") or word.startswith("experiment=") for word in words)
    mode = next((word.partition("=")[2] for word in words if word.startswith("mode=")), "")
    return [_respelled(word, sweeps and mode != "stylize") for word in words]


def flags_first(words: Sequence[str]) -> list[str]:
    """Hydra's flags before the keys: Hydra refuses keys on both sides of a flag."""
    flags, keys = list[str](), list[str]()
    for before, word in zip(["", *words], words, strict=False):
        (flags if word.startswith("-") or before in TAKES_VALUE else keys).append(word)
    return [*flags, *keys]


def quoted(value: str) -> str:
    """A value as one string of Hydra's grammar; without quotes where it needs none."""
    if PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"


def _refuse_flags(words: Sequence[str]) -> None:
    """Raise InputError for a flag that Hydra does not have."""
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; keys are written without dashes, steps=100; --help shows them")

    parser.error = refuse  # type: ignore[method-assign]
    unknown = parser.parse_known_args([word for word in words if word != "--version"])[1]
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("-") and word in unknown:
            key, _, value = word.lstrip("-").partition("=")
            raise InputError(f"{word}: no such flag; keys have no dashes: {key}={value or after or 'VALUE'}")


def _refuse_monsters(words: Sequence[str]) -> None:
    """Raise InputError for words that Hydra's parser itself does not survive."""
    for word in words:
        key = word.partition("=")[0][:100]
        if "\0" in word:
            raise InputError(f"{key}: contains a zero character")
        if re.search(rf"\d{{{MOST_DIGITS}}}", word):
            raise InputError(f"{key}: a number of {MOST_DIGITS} digits or more")
        if _depth(word) > DEEPEST:
            raise InputError(f"{key}: brackets in brackets, more than {DEEPEST}")


def _depth(word: str) -> int:
    """The most brackets that are open at once."""
    return max(accumulate(OPENS.get(letter, 0) for letter in word), default=0)


def _respelled(word: str, folders: bool) -> str:
    """folders: a folder of contents stands for its images."""
    key, equals, value = word.partition("=")
    if not equals or key.startswith("-"):
        return word
    if key in TEXTS and value and not GRAMMAR.match(value):
        return f"{key}={quoted(value)}"
    if key == "experiment" and value.endswith(EXPERIMENT_FILE):
        return f"{key}={','.join(quoted(_own_experiment(each)) for each in _split(value, _exists))}"
    if folders and key == "content" and os.path.isdir(os.path.expanduser(value)) and value not in samples.NAMES:
        return f"{key}={_listed(_images_in(key, value))}"
    if not PLAIN.fullmatch(value) and _exists(value):
        return f"{key}={quoted(value)}"
    if key in modes.image_keys() and not PLAIN.fullmatch(value) and not GRAMMAR.match(value):
        return f"{key}={_images(key, value, folders)}"
    return word


def _images(key: str, value: str, folders: bool) -> str:
    """A list of images, separated by commas or in brackets, and lists in brackets separated by commas."""
    if value.startswith("["):
        lists = re.split(r"(?<=\]),(?=\[)", value)
        if not all(each.startswith("[") and each.endswith("]") for each in lists):
            return value
        return ",".join(f"[{_images(key, each[1:-1], folders)}]" if each != "[]" else each for each in lists)
    if re.search("['\"{]", value) and not any(_exists(each) for each in _split(value, _exists)):
        return value  # in Hydra's grammar, though it does not begin so
    names = list[str]()
    for name in _split(value, lambda each: _exists(each) or bool(_matching(each))):
        if _exists(name):
            names += _images_in(key, name) if folders and key == "content" and _is_folder(name) else [name]
        elif re.search(r"[*?]", name):
            if not (found := _matching(name)):
                raise InputError(f"{key}={name}: no file matches")
            names += found
        elif PLAIN.fullmatch(name):
            names.append(name)  # a sample, or a plain name, which the run itself refuses
        else:
            raise InputError(f"{key}={value}: there is no file '{name}'")
    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    return ",".join(map(quoted, names))


def _exists(name: str) -> bool:
    try:
        return bool(name) and os.path.exists(os.path.expanduser(name))
    except ValueError:  # a NUL
        return False


def _is_folder(name: str) -> bool:
    return name not in samples.NAMES and os.path.isdir(os.path.expanduser(name))


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(os.path.expanduser(pattern))) if re.search(r"[*?]", pattern) else []


def _split(value: str, known: Callable[[str], bool]) -> list[str]:
    """A value at its commas, but for those inside the names of known files; spaces around a name are left out."""
    pieces, names, start = value.split(","), list[str](), 0
    while start < len(pieces):
        for end in range(min(len(pieces), start + LONGEST_NAME), start, -1):
            name = ",".join(pieces[start:end]).strip()
            if end == start + 1 or known(name):
                names.append(name)
                start = end
                break
    return names


def _images_in(key: str, folder: str) -> list[str]:
    from nst.generators.data import find_images  # imports torch

    images, others = find_images(Path(folder).expanduser())
    if not images:
        raise InputError(f"{key}={folder}: no image among its {others} files")
    return [str(path) for path in images]


def _own_experiment(given: str) -> str:
    """Make a file of the user's own an option of the group `experiment`, and return the option's name."""
    path = as_path("experiment", given)
    refuse_no_file(path, "experiment=")
    try:
        text = read_yaml(path)
        held: Any = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except OSError as error:
        raise InputError(f"experiment={given}: {error.strerror or error}") from None
    except (YAMLError, ValueError, OmegaConfBaseException) as error:
        raise InputError(f"experiment={given}: not YAML of an experiment: {error}") from None
    if not isinstance(held, dict) or not held:
        raise InputError(f"experiment={given}: holds no keys; expected lines such as steps: 100")
    option = Path(os.path.relpath(path)).as_posix()
    folder, _, name = option.rpartition("/")
    group = f"experiment/{folder}" if folder else "experiment"
    ConfigStore.instance().store(name, held, group, package="_global_", provider=given)
    return option


def read_yaml(path: Path) -> str:
    """The text of a YAML file. Raises YAMLError for one that is large or deep, or whose aliases stand for much more.

    Such a file could take all memory, or for ever.
    """
    if path.stat().st_size > LARGEST_EXPERIMENT:
        raise YAMLError(f"more than {LARGEST_EXPERIMENT} bytes")
    text = path.read_text(encoding="utf-8")
    depth = aliases = 0
    for event in parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        aliases += isinstance(event, AliasEvent)
        if depth > DEEPEST or aliases > MOST_ALIASES:
            raise YAMLError(f"more than {DEEPEST} levels, or {MOST_ALIASES} aliases")
    return text
