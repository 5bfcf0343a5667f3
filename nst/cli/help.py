"""The text of `nst --help`: every group with its options, and every key with its default and meaning."""

import textwrap
from collections.abc import Iterable
from dataclasses import is_dataclass
from enum import Enum

from omegaconf import MISSING

from nst import modes, schema
from nst.cli.arguments import to_type
from nst.schema import Key
from nst.text import number

WIDTH, INDENT = 100, 26
USAGE = """\
nst: neural style transfer as composed, tracked, reproducible experiments

    {nst} content=my/photo.jpg style=waves
    {nst} mode=texture style=mosaic size=512
    {nst} -m style_weight=1e5,1e6,1e7     a sweep, with a report
    {nst} experiment=style_weight         a sweep from conf/experiment/
"""
MOST_USED = ("content", "style", "output", "style_weight", "size", "steps", "init", "colors", "resume")
"""Keys that the short help explains."""
MOST_CHOSEN = ("mode", "strokes", "backbone")
"""Groups whose options it shows."""
MORE = """\
    --help all          every key and group        --cfg job     show the composed config and stop
    --help mode=NAME    the keys of that mode      --version     nst's version
    --hydra-help        Hydra's own flags
"""


def text(mode: str | None = None, whole: bool = False) -> str:
    """One screen of the keys that are used most; or all keys that a mode uses; or, whole, those that most modes use."""
    usage = USAGE.format(nst=to_type([]))
    if not mode and not whole:
        entries = {key.name: entry(key) for key in schema.all_keys()}
        listed = dict(groups())
        choices = [(f"{group}=", f"one of {listed[group]}") for group in MOST_CHOSEN]
        used = [entries[name] for name in MOST_USED]
        return "\n".join([usage, "Most used", *_lines([*used, *choices]), "", MORE])
    chosen = modes.get(mode) if mode else None
    keys = [key for key in schema.all_keys(chosen or modes.get("transfer")) if not chosen or chosen.uses(key.name)]
    heading = f"Keys of mode={mode}" if mode else "Keys"
    parts = {
        "Groups": groups(),
        "Modes": purposes(),
        f"{heading}, with their defaults before a group sets them": map(entry, keys),
    }
    return "\n".join([usage, MORE, *("\n".join([title, *_lines(entries), ""]) for title, entries in parts.items())])


def groups() -> list[tuple[str, str]]:
    """The config groups, each with its options."""
    folders = sorted(path for path in schema.CONF.iterdir() if path.is_dir())
    return [(each.name, ", ".join(sorted(option.stem for option in each.glob("*.yaml")))) for each in folders]


def purposes() -> list[tuple[str, str]]:
    """The modes, each with what it does."""
    return [(mode.name, mode.meaning) for mode in modes.all_modes().values()]


def entry(key: Key) -> tuple[str, str]:
    """A key with its default, and its meaning."""
    meaning = f"of {key.option}: {key.meaning}" if key.option else key.meaning
    if key.default == MISSING or key.default == {} or is_dataclass(key.default):
        return key.name, meaning
    plain = key.default.value if isinstance(key.default, Enum) else key.default
    shown = "null" if plain is None else str(plain).lower() if isinstance(plain, bool) else number(str(plain))
    return f"{key.name}={shown}", meaning


def _lines(entries: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for name, meaning in entries:
        label = f"  {name:{INDENT - 4}}  "
        indent = " " * INDENT
        if len(label) > INDENT:
            lines.append(label.rstrip())
            label = indent
        lines += textwrap.wrap(meaning, WIDTH, initial_indent=label, subsequent_indent=indent) or [label.rstrip()]
    return lines
