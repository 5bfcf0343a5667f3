"""What `nst --help` shows: every group with its options, and every key with its default and meaning."""

import textwrap
from collections.abc import Iterable
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path

from omegaconf import MISSING

from nst.config import Key, all_keys
from nst.text import number

WIDTH, INDENT = 100, 26
USAGE = """\
nst: neural style transfer as composed, tracked, reproducible experiments

    python -m nst.run [group=option …] [key=value …]
    python -m nst.run -m key=value,value,…              a sweep over all combinations

    python -m nst.run content=my/photo.jpg style=waves
    python -m nst.run mode=texture style=mosaic size=512
    python -m nst.run experiment=style_weight           a whole sweep, of conf/experiment/

    --cfg job           show the composed config and stop
    --hydra-help        the other flags, which are Hydra's
"""


def text(conf: Path) -> str:
    """The whole of it. conf: the folder of the config groups."""
    groups = [
        (group.name, ", ".join(sorted(option.stem for option in group.glob("*.yaml"))))
        for group in sorted(conf.iterdir())
        if group.is_dir()
    ]
    told = _lines(map(_told, all_keys()))
    return "\n".join([USAGE, "Groups", *_lines(groups), "", "Keys, with what they are unless a group sets them", *told])


def _told(key: Key) -> tuple[str, str]:
    whose = f"of {key.option}: " if key.option else ""
    if key.default == MISSING or is_dataclass(key.default):
        return key.name, whose + key.meaning
    plain = key.default.value if isinstance(key.default, Enum) else key.default
    shown = "null" if plain is None else str(plain).lower() if isinstance(plain, bool) else number(str(plain))
    return f"{key.name}={shown}", whose + key.meaning


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
