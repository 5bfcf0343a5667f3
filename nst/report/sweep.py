"""The runs of a folder together: which keys were swept, what the runs are called, and how they are laid out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from nst import metrics
from nst.errors import InputError
from nst.files import sha256
from nst.report.records import Original, Run, read_run
from nst.text import number

MAKE_THE_TOTAL = (
    *("content_weight", "style_weight", "tv_weight", "structure_weight", "range_weight", "style_layer_weights"),
    *("content_loss", "style_loss", "layers", "content_layers", "style_layers", "backbone", "mode"),
    *("content", "style", "pair", "size", "mask", "regions", "colors"),
)
"""Keys and groups that change what a total means."""
GRID_KEYS = 2
"""The last swept keys, which make the rows and columns of the grid; the keys before them divide it into sections."""


@dataclass(frozen=True)
class Section:
    """Runs with the same values of all keys but the last two: cells[row][column] is a list of runs.

    originals: the images that the values of the other keys stand for.
    """

    title: str
    originals: list[Original]
    rows: list[str]
    columns: list[str]
    cells: list[list[list[Run]]]


@dataclass(frozen=True)
class Sweep:
    """Runs that are reported together, in their order."""

    folder: Path
    runs: list[Run]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that were given by hand or by the sweep and differ between the runs, outermost first."""
        given = dict.fromkeys(key for run in self.runs for key in run.overrides)
        return [key for key in given if len({run.value(key) for run in self.runs}) > 1]

    @cached_property
    def roles(self) -> dict[str, set[str]]:
        """Key whose values are images → the roles that its images have."""
        roles: dict[str, set[str]] = {}
        for run in self.runs:
            for key, names in run.record["roles"].items():
                roles.setdefault(key, set()).update(names)
        return roles

    def shortened(self, key: str, value: str) -> str:
        """A key's value in short: a number as 1e6, an image by the name of its file without folder and suffix."""
        if key in self.roles:  # also inside {mask:a/sky.png, style:swirl}
            return re.sub(r"[^,:{}\[\] ][^,:{}\[\]]*", lambda path: Path(path[0]).stem, value) or "–"
        return ", ".join(number(word) for word in value.split(", ")) or "–"

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        """Swept key → value → what it is called: the short form, unless two values have the same one."""
        names = {}
        for key in self.keys:
            short = {value: self.shortened(key, value) for value in (run.value(key) for run in self.runs)}
            names[key] = short if len(set(short.values())) == len(short) else {value: value for value in short}
        return names

    def values(self, key: str) -> list[str]:
        """What the values of a swept key are called, in the order of the runs."""
        return list(self._names[key].values())

    def value(self, run: Run, key: str) -> str:
        """What a run's value of a swept key is called."""
        return self._names[key][run.value(key)]

    def label(self, run: Run, keys: Iterable[str] | None = None) -> str:
        """What distinguishes a run from the others: `style_weight 1e6, init noise`; of equal runs, the folder, too."""
        label = self._settings_of(run, self.keys if keys is None else keys)
        if keys is None and sum(label == self._settings_of(other, self.keys) for other in self.runs) > 1:
            return f"{label}, {run.folder.name}"
        return label

    def _settings_of(self, run: Run, keys: Iterable[str]) -> str:
        labels = [f"{self.named(key)} {self.value(run, key)}" for key in keys]
        return ", ".join(labels) or str(run.record.get("name") or run.folder.name)

    def _said(self, key: str) -> Any:
        """What the first run that says anything says for the report."""
        return next((said for run in self.runs if (said := run.said(key))), None)

    def named(self, key: str) -> str:
        """What a key or a column is called: by the experiment's `labels`, else as it is."""
        return str(self._labels.get(key, key))

    @cached_property
    def _labels(self) -> dict[str, str]:
        return self._said("labels") or {}

    @property
    def names(self) -> list[str]:
        """What the swept keys are called."""
        return [self.named(key) for key in self.keys]

    def caption(self, run: Run) -> str:
        """The experiment's caption for a run: of `captions`, that whose words, such as init=noise, all hold."""
        own = {f"{key}={value}" for key in self.keys for value in (self.value(run, key), run.overrides.get(key))}
        found = [text for words, text in (run.said("captions") or {}).items() if set(words.split()) <= own]
        return found[0] if found else ""

    @property
    def title(self) -> str:
        """The report's title: the experiment's, or its question."""
        return str(self._said("title") or self.question)

    @property
    def question(self) -> str:
        """The question that the experiment asks; without one, the swept keys."""
        return str(self._said("question") or " × ".join(map(self.named, self.keys)) or self.label(self.runs[0]))

    @property
    def finding(self) -> str:
        """The answer, as the experiment's file has it; empty for none."""
        return str(self._said("finding") or "")

    @cached_property
    def best(self) -> Run | None:
        """The finished run whose `optimized_metric` is the least, if runs can be compared by it.

        They cannot by a loss where what the loss is made of differs, unless the experiment chose that metric.
        """
        if self.best_by == metrics.METRICS["total"] and any(key.startswith(MAKE_THE_TOTAL) for key in self.keys):
            return None
        costs = {run: metrics.cost(self._metric, run.metrics) for run in self.runs if run.status == "finished"}
        measured = {run: cost for run, cost in costs.items() if cost is not None}
        return min(measured, key=lambda run: measured[run]) if len(measured) > 1 else None

    @property
    def best_by(self) -> str:
        """What is least for the best run."""
        return metrics.described(self._metric)

    @cached_property
    def _metric(self) -> Any:
        configs = (run.record.get("config") or {} for run in self.runs)
        chosen = next((config["optimized_metric"] for config in configs if "optimized_metric" in config), "total")
        try:
            return metrics.weights(chosen) and chosen
        except InputError:  # of a record that another program wrote
            return "total"

    @property
    def of_one_command(self) -> bool:
        """Whether the runs are the jobs of one sweep, which are numbered, not single runs that share a folder."""
        return all(run.folder.name.isdigit() for run in self.runs) or len(self.commands) < 2

    @property
    def commands(self) -> list[str]:
        """The command lines that started the runs; those of one sweep have one."""
        return list(dict.fromkeys(str(run.record["command"]) for run in self.runs if run.record.get("command")))

    @cached_property
    def sections(self) -> list[Section]:
        """The grid. Empty if fewer than two keys were swept, or if the runs would fill less than half of it."""
        if len(self.keys) < GRID_KEYS or not self.of_one_command:
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
        sections = []
        for title in titles:
            cells = [[places[title, row, column] for column in columns] for row in rows]
            first = next(cell[0] for line in cells for cell in line if cell)
            originals = [each for key in outer for each in self.originals_of(key, self.value(first, key))]
            sections.append(Section(title, originals, rows, columns, cells))
        return sections

    @cached_property
    def shared_originals(self) -> list[Original]:
        """The originals of the roles for which all runs used the same images."""
        shared = []
        for role in dict.fromkeys(original.role for run in self.runs for original in run.originals):
            used = [[original for original in run.originals if original.role == role] for run in self.runs]
            used = [originals for originals in used if originals]
            if len({tuple(sha256(original.path) for original in originals) for originals in used}) == 1:
                shared += used[0]
        return shared

    def own_originals(self, run: Run) -> list[Original]:
        """The originals of a run for roles for which other runs used other images."""
        shared = {original.role for original in self.shared_originals}
        return [original for original in run.originals if original.role not in shared]

    def originals_of(self, key: str, value: str) -> list[Original]:
        """The images that a value of a swept key stands for, from the first run that has the value."""
        roles = self.roles.get(key, set())
        runs = [run for run in self.runs if roles and self.value(run, key) == value and run.originals]
        return [original for original in (runs[0].originals if runs else []) if original.role in roles]


def read(folder: Path) -> Sweep:
    """The runs in a sweep's folder, or the single run of a run's folder. Raises InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = [folder / "record.json"] if (folder / "record.json").is_file() else list(folder.glob("*/record.json"))
    paths = paths or list(folder.glob("*/*/record.json"))  # outputs/, whose folders are days
    if not paths:
        raise InputError(f"{folder} holds no run: expected the folder of a run or of a sweep, with its record.json")
    # jobs are numbered: 10 comes after 9
    paths.sort(key=lambda path: (len(path.parent.name) if path.parent.name.isdigit() else 0, path.parent.name))
    return Sweep(folder, [read_run(path.parent) for path in paths])
