"""The runs of a folder together: which keys were swept, what the runs are called, and how they are laid out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

from nst import metrics
from nst.errors import InputError
from nst.files import sha256
from nst.report.grid import GRID_KEYS, Section, sections_of
from nst.report.records import Original, Run, read_run
from nst.text import encodable, number

MAKE_THE_TOTAL = (
    *("content_weight", "style_weight", "tv_weight", "structure_weight", "range_weight", "style_layer_weights"),
    *("content_loss", "style_loss", "layers", "content_layers", "style_layers", "backbone", "mode"),
    *("content", "style", "size", "mask", "regions", "colors"),
)
"""Keys and groups that change what a total means."""
TOGETHER = " + "
"""Between the keys of `zip`, which are one key of a report."""


@dataclass(frozen=True)
class Sweep:
    """Runs that are reported together, in their order."""

    folder: Path
    runs: list[Run]
    top: int | None = None
    """Show the pictures of so many runs, from the best on; None: of all."""

    @cached_property
    def keys(self) -> list[str]:
        """The keys that were given by hand or by the sweep and differ between the runs, outermost first."""
        given = dict.fromkeys(key for run in self.runs for key in run.overrides)
        zipped = {key for run in self.runs for key in run.zipped}
        swept = [key for key in given if len({run.value(key) for run in self.runs}) > 1]
        swept = [key for key in swept if key != "seed" or not self.has_repeats]
        together = [key for key in swept if key in zipped]
        joined = TOGETHER.join(together)
        return list(dict.fromkeys(joined if key in together else key for key in swept))

    @cached_property
    def has_repeats(self) -> bool:
        """Whether runs differ in nothing but their seeds, by `repeats`."""
        return any(run.is_repeated for run in self.runs)

    @cached_property
    def repeats(self) -> dict[Run, list[Run]]:
        """Each run that is shown → it, and its repeats with other seeds."""
        groups: dict[Any, list[Run]] = {}
        for run in self.runs:
            settings = tuple(_full(run, key) for key in self.keys)
            groups.setdefault((settings, None if run.is_repeated else run), []).append(run)
        return {next((run for run in group if run.picture), group[0]): group for group in groups.values()}

    @property
    def shown(self) -> list[Run]:
        """The runs whose pictures are shown: without their repeats, and if `top` says so only the best."""
        return list(self.repeats) if self.top is None else sorted(self._costs, key=self._costs.__getitem__)[: self.top]

    @cached_property
    def roles(self) -> dict[str, set[str]]:
        """Key whose values are images → the roles that its images have."""
        roles: dict[str, set[str]] = {}
        for run in self.runs:
            for key, names in run.record["roles"].items():
                roles.setdefault(key, set()).update(names)
        for key in self.keys:
            if TOGETHER in key:
                roles[key] = {role for each in key.split(TOGETHER) for role in roles.get(each, ())}
        return roles

    def shortened(self, key: str, value: str) -> str:
        """A key's value in short: a number as 1e6, an image by the name of its file without folder and suffix."""
        if TOGETHER in key:
            parts = zip(key.split(TOGETHER), value.split(TOGETHER), strict=True)
            return TOGETHER.join(self.shortened(*each) for each in parts)
        if key in self.roles:  # also inside {mask:a/sky.png, style:swirl}
            return re.sub(r"[^,:{}\[\] ][^,:{}\[\]]*", lambda path: Path(path[0]).stem, value) or "–"
        return ", ".join(number(word) for word in value.split(", ")) or "–"

    @cached_property
    def _names(self) -> dict[str, dict[str, str]]:
        """Swept key → value → what it is called: the short form, unless two values have the same one."""
        names = {}
        for key in self.keys:
            short = {value: self.shortened(key, value) for value in (_full(run, key) for run in self.runs)}
            names[key] = short if len(set(short.values())) == len(short) else {value: value for value in short}
        return names

    def values(self, key: str) -> list[str]:
        """What the values of a swept key are called, in the order of the runs."""
        return list(self._names[key].values())

    def value(self, run: Run, key: str) -> str:
        """What a run's value of a swept key is called."""
        return self._names[key][_full(run, key)]

    def label(self, run: Run, keys: Iterable[str] | None = None) -> str:
        """What distinguishes a run from the others: `style_weight 1e6, init noise`; of equal runs, the folder, too."""
        label = self._settings_of(run, self.keys if keys is None else keys)
        if keys is None and sum(label == self._settings_of(other, self.keys) for other in self.repeats) > 1:
            return f"{label}, {encodable(run.folder.name)}"
        return label

    def _settings_of(self, run: Run, keys: Iterable[str]) -> str:
        labels = [f"{self.named(key)} {self.value(run, key)}" for key in keys]
        return ", ".join(labels) or str(run.record.get("name") or encodable(run.folder.name))

    def _said(self, key: str) -> str:
        """What the first run that says anything says for the report."""
        return next((said for run in self.runs if (said := run.said(key))), "")

    def named(self, key: str) -> str:
        """What a key or a column is called: by the experiment's `labels`, else as it is."""
        return str(
            self._labels.get(key) or TOGETHER.join(str(self._labels.get(each, each)) for each in key.split(TOGETHER))
        )

    @cached_property
    def _labels(self) -> dict[str, str]:
        return next((labels for run in self.runs if (labels := run.texts("labels"))), {})

    @property
    def names(self) -> list[str]:
        """What the swept keys are called."""
        return [self.named(key) for key in self.keys]

    def caption(self, run: Run) -> str:
        """The experiment's caption for a run: of `captions`, that whose words, such as init=noise, all hold."""
        own = {f"{key}={value}" for key in self.keys for value in (self.value(run, key), run.overrides.get(key))}
        found = [text for words, text in run.texts("captions").items() if set(words.split()) <= own]
        return found[0] if found else ""

    @property
    def title(self) -> str:
        """The report's title: the experiment's, or its question."""
        return self._said("title") or self.question

    @property
    def question(self) -> str:
        """The question that the experiment asks; without one, the swept keys."""
        return self._said("question") or " × ".join(map(self.named, self.keys)) or self.label(self.runs[0])

    @property
    def finding(self) -> str:
        """The answer, as the experiment's file has it; empty for none."""
        return self._said("finding")

    @cached_property
    def best(self) -> Run | None:
        """The finished run whose `optimized_metric` is the least, if runs can be compared by it.

        They cannot by a loss where what the loss is made of differs, unless the experiment chose that metric.
        """
        if self.best_by == metrics.METRICS["total"] and any(key.startswith(MAKE_THE_TOTAL) for key in self.keys):
            return None
        return min(self._costs, key=self._costs.__getitem__) if len(self._costs) > 1 else None

    @cached_property
    def _costs(self) -> dict[Run, float]:
        """Run → what is least for the best one, its mean over repeats."""
        found: dict[Run, list[float]] = {}
        for run, group in self.repeats.items():
            costs = [metrics.cost(self._metric, each.metrics) for each in group if each.status == "finished"]
            found[run] = [cost for cost in costs if cost is not None]
        return {run: mean(costs) for run, costs in found.items() if costs}

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
        return sections_of(self) if len(self.keys) >= GRID_KEYS and self.of_one_command and not self.top else []

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


def _full(run: Run, key: str) -> str:
    """The value of a key, or the values of keys that go together, in full."""
    return TOGETHER.join(run.value(each) for each in key.split(TOGETHER))


def read(folder: Path) -> Sweep:
    """The runs in a sweep's folder, or the single run of a run's folder. Raises InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = [folder / "record.json"] if (folder / "record.json").is_file() else _records_in(_folders_in(folder))
    if not paths:  # outputs/, whose folders are days
        paths = _records_in(run for day in _folders_in(folder) for run in _folders_in(day))
    if not paths:
        raise InputError(
            f"{folder} holds no run: expected the folder of a run or of a sweep, with its record.json; "
            "links to folders are not followed"
        )
    return Sweep(folder, [read_run(path.parent) for path in sorted(paths, key=_place)])


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_dir() and not path.is_symlink()]


def _records_in(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders if (path := folder / "record.json").exists()]


def _place(path: Path) -> tuple[str, int, str]:
    """Where a record comes among others: the folders of days, or of sweeps, by name; jobs by number, 10 after 9."""
    name = path.parent.name
    return path.parent.parent.name, len(name) if name.isdigit() else 0, name
