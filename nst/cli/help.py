"""The text of `nst --help`: every group with its options, and every key with its default and meaning."""

import textwrap
from collections.abc import Iterable
from dataclasses import is_dataclass
from enum import Enum

from omegaconf import MISSING

from nst import modes, schema
from nst.schema import Key
from nst.text import number

WIDTH, INDENT = 100, 26
USAGE = """\
nst: neural style transfer as composed, tracked, reproducible experiments

    python -m nst.run [group=option …] [key=value …]
    python -m nst.run -m key=value,value,…              a sweep over all combinations

    python -m nst.run content=my/photo.jpg style=waves
    python -m nst.run mode=texture style=mosaic size=512
    python -m nst.run experiment=style_weight           a whole sweep, from conf/experiment/

    --cfg job           show the composed config and stop
    mode=NAME --help    the keys of that mode
    --hydra-help        Hydra's own flags
"""


def text(mode: str | None = None) -> str:
    """The whole text. mode: show only the keys that this mode uses; None: those that most modes use."""
    chosen = modes.get(mode) if mode else None
    groups = [
        (group.name, ", ".join(sorted(option.stem for option in group.glob("*.yaml"))))
        for group in sorted(schema.CONF.iterdir())
        if group.is_dir()
    ]
    purposes = [(each.name, each.meaning) for each in modes.all_modes().values()]
    keys = [key for key in schema.all_keys(chosen or modes.get("transfer")) if not chosen or chosen.uses(key.name)]
    heading = f"Keys of mode={mode}" if mode else "Keys"
    parts = {
        "Groups": groups,
        "Modes": purposes,
        f"{heading}, with their defaults before a group sets them": map(_entry, keys),
    }
    return "\n".join([USAGE, *("\n".join([title, *_lines(entries), ""]) for title, entries in parts.items())])


def _entry(key: Key) -> tuple[str, str]:
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
