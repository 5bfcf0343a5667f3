"""The runs of a folder, as their records tell them: which keys were swept, and how the runs are laid out."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from nst.errors import InputError
from nst.files import dotted, read_record, sha256
from nst.text import number

IMAGE_KEYS = ("content", "style", "pair", "init")
"""Keys whose values are image files or samples."""
TIMINGS = ("seconds_per_step", "total_seconds", "peak_memory_mb")
"""What the table tells of a run besides its losses."""
OTHER_TIMINGS = ("images_per_second", "median_milliseconds")
"""What it tells where a generator was trained or painted."""
NOT_SWEPT = ("experiment", "resume", "rerun")
OUTER_KEYS = 2
"""So many swept keys are rows and columns; the others divide the runs into sections."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run's folder and what its record.json says."""

    folder: Path
    record: dict[str, Any]

    @property
    def status(self) -> str:
        """finished, interrupted, diverged, failed, refused or, for a run that still goes on or was killed, running."""
        return str(self.record.get("status", "failed"))

    @property
    def error(self) -> str:
        return str(self.record.get("error", ""))

    @cached_property
    def typed(self) -> dict[str, str]:
        """What was asked of this run on the command line or by the sweep, by key, as it was written."""
        pairs = (text.lstrip("+~").partition("=") for text in self.record.get("overrides", []))
        return {name: value for name, _, value in pairs if name not in NOT_SWEPT}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved config with dotted keys; empty for a run that was refused."""
        return dotted(self.record.get("config", {}))

    def value(self, key: str) -> str:
        """The value of a key in full: lists, such as layers, as typed; empty for none."""
        value = self.settings.get(key)
        if value is None or isinstance(value, list):
            value = self.typed.get(key, value)
        words = value if isinstance(value, list) else str("" if value is None else value).strip("[]").split(",")
        return ", ".join(str(word).strip(" '\"") for word in words)

    def picture(self) -> Path | None:
        """result.png, if there is one."""
        path = self.folder / "result.png"
        return path if path.is_file() else None

    @cached_property
    def originals(self) -> dict[str, Path]:
        """Role (content, style) → the image as the run saw it."""
        return {path.stem: path for path in sorted((self.folder / "inputs").glob("*.jpg"))}

    def original_label(self, role: str) -> str:
        """What the original is called: content chelsea, or content where it was of several files."""
        path = self.record.get("inputs", {}).get(role, {}).get("path")
        return f"{role} {Path(path).stem}" if path else role

    @property
    def figures(self) -> dict[str, float]:
        """Final raw losses, times in seconds and memory in MB; what is not known is left out."""
        figures = self.record.get("losses", {}) | self.record.get("timings", {})
        return {name: value for name, value in figures.items() if isinstance(value, int | float)}

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of a column of losses.csv."""
        path = self.folder / "losses.csv"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        rows = [row for row in csv.DictReader(lines) if row.get(name)]
        return [float(row["step"]) for row in rows], [float(row[name]) for row in rows]


@dataclass(frozen=True)
class Section:
    """Runs that share the values of all keys but the last two: cells[row][column] is a list of runs."""

    title: str
    rows: list[str]
    columns: list[str]
    cells: list[list[list[Run]]]


@dataclass(frozen=True)
class Sweep:
    """Runs to be reported together, in their order."""

    folder: Path
    runs: list[Run]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that were set by hand or by the sweep and differ between the runs, outermost first."""
        typed = dict.fromkeys(key for run in self.runs for key in run.typed)
        return [key for key in typed if len({run.value(key) for run in self.runs}) > 1]

    @cached_property
    def _short(self) -> dict[str, dict[str, str]]:
        """Swept key → value → what it is called: its short form, unless two values share that."""
        called = {}
        for key in self.keys:
            short = {value: shortened(key, value) for value in (run.value(key) for run in self.runs)}
            called[key] = short if len(set(short.values())) == len(short) else {value: value for value in short}
        return called

    def values(self, key: str) -> list[str]:
        """What the values of a swept key are called, in the order of the runs."""
        return list(self._short[key].values())

    def value(self, run: Run, key: str) -> str:
        """What a run's value of a swept key is called."""
        return self._short[key][run.value(key)]

    def label(self, run: Run, keys: Iterable[str] | None = None) -> str:
        """`style_weight 1e6, init noise`: what tells a run from the others."""
        labels = [f"{key} {self.value(run, key)}" for key in (self.keys if keys is None else keys)]
        return ", ".join(labels) or str(run.record.get("name") or run.folder.name)

    @property
    def question(self) -> str:
        """What the experiment asks, or else what was swept."""
        asked = next((run.settings["question"] for run in self.runs if run.settings.get("question")), None)
        return str(asked or " × ".join(self.keys) or self.label(self.runs[0]))

    @property
    def commands(self) -> list[str]:
        """The command lines that made the runs: of a sweep, one."""
        return list(dict.fromkeys(str(run.record["command"]) for run in self.runs if run.record.get("command")))

    @cached_property
    def sections(self) -> list[Section]:
        """The grid; none where fewer keys were swept than it takes, or the runs would fill less than half of it."""
        if len(self.keys) < OUTER_KEYS:
            return []
        *outer, row_key, column_key = self.keys
        rows, columns = self.values(row_key), self.values(column_key)
        titles = list(dict.fromkeys(self.label(run, outer) for run in self.runs)) if outer else [""]
        if 2 * len(self.runs) < len(titles) * len(rows) * len(columns):
            return []
        places: dict[tuple[str, str, str], list[Run]] = {place: [] for place in product(titles, rows, columns)}
        for run in self.runs:
            title = self.label(run, outer) if outer else ""
            places[title, self.value(run, row_key), self.value(run, column_key)].append(run)
        return [
            Section(title, rows, columns, [[places[title, row, column] for column in columns] for row in rows])
            for title in titles
        ]

    @cached_property
    def shared_originals(self) -> dict[str, Path]:
        """Role → the original that all runs saw, where they all saw the same."""
        roles = dict.fromkeys(role for run in self.runs for role in run.originals)
        seen = {role: [run.originals[role] for run in self.runs if role in run.originals] for role in roles}
        return {role: paths[0] for role, paths in seen.items() if len(set(map(sha256, paths))) == 1}

    def original_label(self, role: str) -> str:
        """What an original that runs share is called."""
        return next(run.original_label(role) for run in self.runs if role in run.originals)

    def own_originals(self, run: Run) -> dict[str, Path]:
        """Role → the original of this run, where others saw another."""
        return {role: path for role, path in run.originals.items() if role not in self.shared_originals}

    def originals_of(self, key: str, value: str) -> list[Path]:
        """The originals that a value of a swept key stands for: those of the first run that has it."""
        roles = ("content", "style") if key == "pair" else (key,)
        runs = [run for run in self.runs if key in IMAGE_KEYS and self.value(run, key) == value and run.originals]
        return [path for role, path in (runs[0].originals if runs else {}).items() if role in roles]

    def table(self, pictures: bool = False) -> tuple[list[str], list[list[Any]]]:
        """Column names and a row a run: swept keys, final raw losses, times and memory.

        Losses that are 0 everywhere are left out, the status if all runs finished. pictures: one more column, the path
        of each result.
        """
        losses = dict.fromkeys(name for run in self.runs for name in run.figures if name.startswith("loss/"))
        known = [name for name in (*losses, *OTHER_TIMINGS) if any(run.figures.get(name) for run in self.runs)]
        figures = [*known, *TIMINGS]
        columns: dict[str, list[Any]] = {key: [self.value(run, key) for run in self.runs] for key in self.keys}
        columns = columns or {"run": [self.label(run) for run in self.runs]}
        if pictures:
            columns["picture"] = [run.picture() for run in self.runs]
        if any(run.status != "finished" for run in self.runs):
            columns["status"] = [run.status for run in self.runs]
        columns |= {name: [run.figures.get(name) for run in self.runs] for name in figures}
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]

    def csv(self) -> str:
        """The table as comma-separated values, those of the keys in full, with each run's folder and error."""
        columns, rows = self.table()
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["folder", *columns, "error"])
        for run, row in zip(self.runs, rows, strict=True):
            writer.writerow([run.folder.name, *map(run.value, self.keys), *row[len(self.keys) :], run.error])
        return buffer.getvalue()


def read(folder: Path) -> Sweep:
    """The runs of a sweep's folder, or the one run of a run's own. Raises InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = [folder / "record.json"] if (folder / "record.json").is_file() else list(folder.glob("*/record.json"))
    if not paths:
        raise InputError(f"{folder} holds no run: expected the folder of a run or of a sweep, with its record.json")
    # jobs are numbered: 10 comes after 9
    paths.sort(key=lambda path: (len(path.parent.name) if path.parent.name.isdigit() else 0, path.parent.name))
    return Sweep(folder, [Run(path.parent, read_record(path.parent)) for path in paths])


def shortened(key: str, value: str) -> str:
    """A value as it is spoken of: numbers as 1e6, images by their names alone."""
    words = value.split(", ")
    return ", ".join(Path(word).stem if key in IMAGE_KEYS else number(word) for word in words) or "–"


def cell(value: Any) -> str:
    """What a table shows of a value: numbers to three digits, nothing for None."""
    if isinstance(value, float):
        return f"{value:.0f}" if 1e3 <= abs(value) < 1e5 else number(f"{value:.3g}")
    return "" if value is None else str(value)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, numbers to three digits."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    return cell(value).replace("|", "\\|").replace("\n", " ")
