"""The table of a sweep: one row a run, one column a fact. A new column is one line in COLUMNS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev
from typing import Any

from nst.files import encode_csv
from nst.report.records import Run
from nst.report.sweep import TOGETHER, Sweep
from nst.text import encodable, number

Table = tuple[list[str], list[list[Any]]]
"""Names of the columns, and the rows."""


def _always(values: Sequence[Any]) -> bool:
    return True


def _unless_all_finished(values: Sequence[Any]) -> bool:
    return set(values) != {"finished"}


@dataclass(frozen=True)
class Spread:
    """A number over repeats: its mean and its standard deviation (of a sample, N - 1)."""

    mean: float
    deviation: float
    count: int

    def __str__(self) -> str:
        return cell(self)

    def __bool__(self) -> bool:
        return bool(self.mean)


@dataclass(frozen=True)
class Column:
    """A column: its name, a run's value, and whether it is shown, given the values of all runs."""

    name: str
    value: Callable[[Run], Any]
    shown: Callable[[Sequence[Any]], bool] = _always


def metric(name: str, shown: Callable[[Sequence[Any]], bool] = _always) -> Column:
    """The column of a metric; empty for a run that does not have it. shown=any: only if some run's is not 0."""
    return Column(name, lambda run: run.metrics.get(name), shown)


STATUS = Column("status", lambda run: run.status, _unless_all_finished)
COLUMNS = (
    metric("images_per_second", shown=any),
    metric("median_milliseconds", shown=any),
    metric("seconds_per_step"),
    metric("total_seconds"),
    metric("peak_memory_mb"),
)
"""The columns behind those of the swept keys, of the status and of the losses, which differ between sweeps."""
PICTURE = Column("picture", lambda run: run.picture)
FOLDER = Column("folder", lambda run: encodable(run.folder.name))
ERROR = Column("error", lambda run: run.error)


def build(sweep: Sweep, pictures: bool = False) -> Table:
    """The table that readers see: swept keys, status, unweighted losses, a judge's figures, times, memory.

    The status is left out if all runs finished, a loss if it is 0 in all runs. pictures: add the path of each result.
    """
    return _fill(sweep, [*_keys(sweep), *([PICTURE] if pictures else []), *_measured(sweep)], sweep.repeats)


def to_csv(sweep: Sweep) -> bytes:
    """The table as a CSV file, with the values of the keys in full, and with each run's folder and error."""
    names = [name for key in sweep.keys for name in key.split(TOGETHER)] + ["seed"] * sweep.has_repeats
    keys = [Column(name, partial(Run.value, key=name)) for name in names] or _keys(sweep)
    columns, rows = _fill(sweep, [FOLDER, *keys, *_measured(sweep), ERROR], {run: [run] for run in sweep.runs})
    head = [_no_formula(column) for column in columns]
    return encode_csv(head, [dict(zip(head, map(_no_formula, row), strict=True)) for row in rows])


def _no_formula(value: Any) -> Any:
    """The value, with a ' before a text that a spreadsheet would compute: it may be a stranger's."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _keys(sweep: Sweep) -> list[Column]:
    """What distinguishes the runs: a column for each swept key, or the run's name if there is none."""
    return [Column(key, partial(sweep.value, key=key)) for key in sweep.keys] or [Column("run", sweep.label)]


def _measured(sweep: Sweep) -> list[Column]:
    named = dict.fromkeys(name for run in sweep.runs for name in run.metrics if name.startswith(("loss/", "judge/")))
    return [STATUS, *(metric(name, shown=any) for name in named), *COLUMNS]


def _fill(sweep: Sweep, columns: Sequence[Column], groups: Mapping[Run, Sequence[Run]]) -> Table:
    """groups: for each row its run, and the runs over which its numbers are averaged."""
    filled = {column.name: [_together(column, group) for group in groups.values()] for column in columns}
    shown = {column.name: filled[column.name] for column in columns if column.shown(filled[column.name])}
    return list(shown), [list(row) for row in zip(*shown.values(), strict=True)]


def _together(column: Column, runs: Sequence[Run]) -> Any:
    """The value of runs that are repeats of each other."""
    values = [value for run in runs if (value := column.value(run)) is not None]
    if len(values) > 1 and all(isinstance(value, int | float) for value in values):
        return Spread(mean(values), stdev(values), len(values))
    return next((value for value in values if value != "finished"), values[0] if values else None)


def cell(value: Any) -> str:
    """A value as tables show it: numbers with three digits, nothing for None, repeats as mean ± standard deviation."""
    if isinstance(value, Spread):
        return f"{cell(value.mean)} ± {cell(float(f'{value.deviation:.2g}'))}"
    if isinstance(value, float):
        return f"{value:.0f}" if 1e3 <= abs(value) < 1e5 else number(f"{value:.3g}")
    return "" if value is None else str(value)


def to_markdown(sweep: Sweep) -> str:
    """The table in Markdown, with the experiment's labels; the best run is bold."""
    columns, rows = build(sweep)
    marked = [
        [f"**{cell(value)}**" if run == sweep.best and value is not None else value for value in row]
        for run, row in zip(sweep.repeats, rows, strict=True)
    ]
    return markdown([sweep.named(column) for column in columns], marked)


def to_latex(sweep: Sweep) -> str:
    """The table as a LaTeX tabular with the rules of booktabs; the best run is bold."""
    columns, rows = build(sweep)
    lines = ["\\begin{tabular}{" + "l" + "r" * (len(columns) - 1) + "}", "\\toprule"]
    lines += [" & ".join(_latex_cell(sweep.named(column)) for column in columns) + r" \\", "\\midrule"]
    for run, row in zip(sweep.repeats, rows, strict=True):
        bold = "\\textbf{%s}" if run == sweep.best else "%s"
        lines.append(" & ".join(bold % _latex_cell(value) for value in row) + r" \\")
    return "\n".join(["% needs \\usepackage{booktabs}", *lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, numbers with three digits."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines) + "\n"


def _markdown_cell(value: Any) -> str:
    return " ".join(cell(value).replace("|", "\\|").replace("<", "&lt;").splitlines())


LATEX = {each: f"\\{each}" for each in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
}
"""Character → how LaTeX writes it."""


def _latex_cell(value: Any) -> str:
    return "".join(LATEX.get(each, each) for each in " ".join(cell(value).splitlines()))
