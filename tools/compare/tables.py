"""Tables of figures: one row a picture, and medians of groups."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from nst.images.files import load
from nst.judges import Judge, Layers, pixel_figures
from nst.losses.targets import Features
from nst.report.records import Run
from nst.report.sweep import Sweep
from nst.report.table import Table
from nst.text import say
from tools.compare.pictures import Subject, reference

Row = dict[str, Any]
"""Name of a column → value."""
Judging = tuple[str, Features, Layers]
"""A judge's name, its network and its layers."""


def judge(subjects: Sequence[Subject], judging: Sequence[Judging]) -> list[Row]:
    """The figures of each picture, in their order: ssim, color, noise, and NETWORK/FIGURE for each network.

    A network that a picture was optimized in does not judge it. Raises InputError as `reference` does.
    """
    figures: dict[int, Row] = {}
    sizes = [tuple(load(subject.path).shape[2:]) for subject in subjects]

    def made_of(index: int) -> tuple[str, str, tuple[int, ...]]:
        return str(subjects[index].content), str(subjects[index].styles), sizes[index]

    for _, group in groupby(sorted(range(len(subjects)), key=made_of), made_of):  # targets are computed once a group
        indices = list(group)
        of = reference(subjects[indices[0]], *sizes[indices[0]])
        judges = {name: Judge(network, layers, of) for name, network, layers in judging}
        for index in indices:
            picture, subject = load(subjects[index].path), subjects[index]
            figures[index] = pixel_figures(picture, of) | {
                f"{name}/{figure}": value
                for name, each in judges.items()
                if name != subject.backbone
                for figure, value in each.figures(picture).items()
            }
            say(f"{len(figures)}/{len(subjects)}  {subject.name}")
    return [figures[index] for index in range(len(subjects))]


def swept(subject: Subject, sweep: Sweep, keys: Iterable[str]) -> Row:
    """What distinguishes a picture's run from the others: the swept keys, and `keys`, with their short values.

    keys: also groups, such as style_loss, whose value is their choice's name.
    """
    wanted = dict.fromkeys([*keys, *sweep.keys])
    return {key: sweep.shortened(key, _value(subject.run, key)) if subject.run else "" for key in wanted}


def _value(run: Run, key: str) -> str:
    return run.value(key) or run.value(f"{key}.name")


def rows(subjects: Sequence[Subject], sweep: Sweep, figures: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """One row a picture: its name, what distinguishes its run, its seconds, and its figures."""
    return [
        {"picture": subject.name} | swept(subject, sweep, keys) | {"seconds": subject.seconds} | each
        for subject, each in zip(subjects, figures, strict=True)
    ]


def columns(filled: Iterable[Row]) -> list[str]:
    """The columns that some row has a value for, in order."""
    cells = [cell for row in filled for cell in row.items()]
    used = {name for name, value in cells if value not in (None, "")}
    return [name for name in dict.fromkeys(name for name, _ in cells) if name in used]


def table(filled: Sequence[Row]) -> Table:
    """The rows as a table, with an empty cell for what a row lacks."""
    names = columns(filled)
    return names, [[row.get(name) for name in names] for row in filled]


def medians(filled: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """The median of each number over the rows with the same values of `keys`, in the order of their first rows."""
    numbers = [name for name in columns(filled) if any(isinstance(row.get(name), float) for row in filled)]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in filled:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return [
        dict(zip(keys, values, strict=True))
        | {"pictures": len(group)}
        | {name: _median([row[name] for row in group if row.get(name) is not None]) for name in numbers}
        for values, group in groups.items()
    ]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
