"""Comparisons: runs that differ in one key alone, side by side, whichever sweeps they are from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nst.errors import InputError
from nst.record.files import dotted
from nst.report.records import NOT_SWEPT, Run
from nst.report.sweep import Sweep
from nst.report.table import cell
from nst.text import number

SAME_PICTURE = (*NOT_SWEPT, "tracking", "trainer", "optimized_metric", "judge", "strip", "tile")
"""Keys and sections that runs of one comparison may differ in: they do not change a picture, or hardly."""


@dataclass(frozen=True)
class Comparison:
    """Runs that differ in one key.

    title: what tells this comparison from the others. runs: value of the key → run. numbers: name → its value in each
    run, and of two runs the difference of the second from the first. differences: key → its value in each run.
    """

    title: str
    runs: dict[str, Run]
    numbers: dict[str, list[str]]
    differences: dict[str, list[str]]


def compared(sweeps: Sequence[Sweep], key: str) -> list[Comparison]:
    """The comparisons by a key, or by a group such as style_loss. Of repeats, the first run with a picture is taken.

    Raises InputError if no two runs differ in that key alone.
    """
    runs = [run for sweep in sweeps for run in sweep.runs if run.picture]
    groups: dict[tuple[tuple[str, str], ...], dict[str, Run]] = {}
    for run in runs:
        others = {name: str(value) for name, value in _settings(run).items() if not _within(name, [key, "seed"])}
        groups.setdefault(tuple(sorted(others.items())), {}).setdefault(_value(run, key), run)
    pairs = {rest: found for rest, found in groups.items() if len(found) > 1}
    if not pairs:
        raise InputError(f"--by {key}: no two of the {len(runs)} pictures differ in {key} alone")
    swept = _differing([dict(rest) for rest in pairs])
    return [
        Comparison(
            ", ".join(f"{name} {number(dict(rest)[name])}" for name in swept if name in dict(rest)),
            found,
            _numbers(list(found.values())),
            _differences(list(found.values())),
        )
        for rest, found in pairs.items()
    ]


def _settings(run: Run) -> dict[str, Any]:
    """The keys that make a picture."""
    config = dotted(run.record.get("config") or {})
    return {name: value for name, value in config.items() if not _within(name, SAME_PICTURE)}


def _within(name: str, sections: Iterable[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in sections)


def _value(run: Run, key: str) -> str:
    return number(run.value(key) or run.value(f"{key}.name") or "–")


def _differing(several: Sequence[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for each in several for name in each)
    return [name for name in names if len({str(each.get(name)) for each in several}) > 1]


def _differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    several = [_settings(run) for run in runs]
    return {name: [str(each.get(name, "–")) for each in several] for name in _differing(several)}


def _signed(difference: float) -> str:
    shown = cell(difference)
    return shown if shown.startswith("-") else f"+{shown}"


def _numbers(runs: Sequence[Run]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for run in runs for name in run.metrics if name.startswith(("judge/", "loss/")))
    names |= dict.fromkeys(["seconds_per_step", "total_seconds", "peak_memory_mb"])
    rows = {}
    for name in names:
        values = [run.metrics.get(name) for run in runs]
        if any(values):
            first, *others = values
            both = len(others) == 1 and first is not None and others[0] is not None
            change = [_signed(others[0] - first)] if both else []  # type: ignore[operator]
            rows[name] = [*(cell(float(value)) if value is not None else "" for value in values), *change]
    return rows
