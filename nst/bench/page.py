"""What was measured, as tables and a plot: experiments/speed."""

import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nst.bench.stages import Facts
from nst.files import encode_csv, write_whole
from nst.report.chart import STYLE
from nst.report.publish import finding, gather
from nst.report.runs import markdown
from nst.report.template import fill

Medians = dict[tuple[Any, ...], float]
Table = tuple[list[str], list[list[str]]]
"""Columns and rows."""
SUBJECT = ("loop", "backbone", "optimizer", "precision", "size")


def write(measured: Sequence[Facts], machine: str, command: str, folder: Path) -> dict[str, Path]:
    """README.md, steps.csv and steps.svg in a folder, and the README.md of the folder around it.

    What stands under `## Finding` is kept. Raises InputError as `report.publish` does.
    """
    tables = {
        "A step": _steps_table(measured),
        "From the shell to the end of the first step": _start_table(measured),
        "Everything else": _others_table(measured),
        "Loss against seconds": _descents_table(measured),
    }
    told = {title: markdown(*table) for title, table in tables.items() if table[1]}
    descended = any("descent" in facts for facts in measured)
    text = fill(
        "speed.md",
        descents=descended,
        machine=machine,
        command=command,
        tables=told,
        finding=finding(folder),
    )
    steps = [facts for facts in measured if "loop" in facts]
    columns = [*SUBJECT, "repeat", "seconds", "peak_memory_mb"]
    files = {folder / "README.md": text.encode(), folder / "steps.csv": encode_csv(columns, steps)}
    files |= {
        folder / "steps.svg": _plot(measured),
        folder.parent / "README.md": gather(folder.parent, {folder.name: text}).encode(),
    }
    if descended:
        files[folder / "descents.svg"] = _plot_descents(measured)
    for path, content in files.items():
        write_whole(path, content)
    return {path.name: path for path in files}


def medians(measured: Iterable[Facts], value: str, *by: str) -> Medians:
    """What a measurement is named by → the median of its repeats."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for facts in measured:
        if value in facts and all(name in facts for name in by):
            groups.setdefault(tuple(facts[name] for name in by), []).append(facts[value])
    return {key: statistics.median(values) for key, values in groups.items()}


def _ratio(measured: Sequence[Facts], above: Mapping[str, Any], below: Mapping[str, Any]) -> str:
    """The median over the repeats of how many times longer a step of one loop takes than a step of another."""

    def of(which: Mapping[str, Any]) -> dict[int, float]:
        return {facts["repeat"]: facts["seconds"] for facts in measured if which.items() <= facts.items()}

    longer, shorter = of(above), of(below)
    ratios = [longer[repeat] / shorter[repeat] for repeat in longer.keys() & shorter.keys()]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _steps_table(measured: Sequence[Facts]) -> Table:
    seconds, memory, work = (medians(measured, value, *SUBJECT) for value in ("seconds", "peak_memory_mb", "gigaflop"))
    products = [facts | {"rate": facts["gigaflop"] / facts["seconds"]} for facts in measured if "matmul" in facts]
    matmul = medians(products, "rate", "matmul")
    rows = []
    for loop, backbone, optimizer, precision, size in sorted(
        seconds, key=lambda key: (key[4], key[1] != "vgg19", key[3] != "float32", key[2])
    ):
        if loop != "nst":
            continue
        subjects = [
            ("textbook", "vgg19", optimizer, "float32", size),
            ("floor", backbone, "", precision, size),
            (loop, backbone, optimizer, precision, size),
        ]
        times = [f"{seconds[key]:.3g}" if key in seconds else "" for key in subjects]
        peaks = [f"{memory[key]:.0f}" if key in memory else "" for key in subjects]
        textbook, floor, nst = (dict(zip(SUBJECT, key, strict=True)) for key in subjects)
        ratios = [_ratio(measured, nst, floor), _ratio(measured, textbook, nst)]
        rate = work.get(subjects[1], 0.0) / seconds[subjects[2]]
        rates = [f"{rate:.0f}", f"{100 * rate / matmul[precision,]:.0f} %"] if rate and matmul else ["", ""]
        rows.append([str(size), backbone, optimizer, precision, *times, *ratios, *rates, *peaks])
    columns = [
        "size",
        "backbone",
        "optimizer",
        "precision",
        *("textbook, s", "floor, s", "nst, s", "nst ÷ floor", "textbook ÷ nst", "nst, GFLOP/s", "of matmul's"),
    ]
    return [*columns, *(f"{loop}, MB" for loop in ("textbook", "floor", "nst"))], rows


def _descents_table(measured: Sequence[Facts]) -> Table:
    """The total loss that was reached in some seconds, the median over the repeats."""
    descents = [facts for facts in measured if "descent" in facts]
    longest = max((facts["curve"][-1][0] for facts in descents), default=0.0)
    looks = [longest / share for share in (8, 4, 2, 1)]
    rows = []
    for name in dict.fromkeys(facts["descent"] for facts in descents):
        curves = [facts["curve"] for facts in descents if facts["descent"] == name]
        reached = [[_reached(curve, seconds) for curve in curves] for seconds in looks]
        rows.append([name, *("" if None in each else f"{statistics.median(each):.3g}" for each in reached)])  # type: ignore[type-var]
    return ["optimiser", *(f"after {seconds:.2g} s" for seconds in looks)], rows


def _reached(curve: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """The loss at the last look before so many seconds; None before the first."""
    return next((loss for clock, loss in reversed(curve) if clock <= seconds), None)


def _start_table(measured: Sequence[Facts]) -> Table:
    starts = [facts for facts in measured if "start" in facts]
    phases = list(dict.fromkeys(name for facts in starts for name in facts["phases"]))
    flat = [{"start": facts["start"]} | facts["phases"] | {"in all": sum(facts["phases"].values())} for facts in starts]
    of = {phase: medians(flat, phase, "start") for phase in (*phases, "in all")}
    backbones = dict.fromkeys(facts["start"] for facts in starts)
    return ["backbone", *of], [
        [backbone, *(f"{seconds[backbone,]:.2f} s" if (backbone,) in seconds else "" for seconds in of.values())]
        for backbone in backbones
    ]


def _others_table(measured: Sequence[Facts]) -> Table:
    answers, jobs = medians(measured, "seconds", "answer"), medians(measured, "seconds", "jobs")
    learnt = medians(measured, "images_per_second", "generator")
    painted = medians(measured, "milliseconds", "generator", "size")
    return ["what", "takes"], [
        *([what, f"{each:.2f} s"] for (what,), each in answers.items()),
        *(["a job of a sweep, beside its steps", f"{each:.2f} s"] for each in jobs.values()),
        *(["training a generator", f"{each:.1f} images/s"] for each in learnt.values()),
        *([f"stylising at {size} px", f"{each:.0f} ms"] for (_, size), each in painted.items()),
    ]


DASHES = {"float32": "solid", "tf32": "dashdot", "bfloat16": "dashed"}
"""How the lines of a precision are drawn."""


def _plot(measured: Sequence[Facts]) -> bytes:
    """Seconds a step and peak memory against size, of one optimiser, an SVG file."""
    shown = {"seconds a step": "seconds", "peak memory, MB": "peak_memory_mb"}
    optimizer = next((facts["optimizer"] for facts in measured if facts.get("optimizer")), "")
    told = [facts for facts in measured if facts.get("optimizer") in ("", optimizer)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        for panel, (title, value) in zip(figure.subplots(1, 2), shown.items(), strict=True):
            lines: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
            for (*subject, size), median in medians(told, value, "loop", "backbone", "precision", "size").items():
                lines.setdefault((subject[0], subject[1], subject[2]), []).append((size, median))
            colours = {each: f"C{number}" for number, each in enumerate(dict.fromkeys(key[:2] for key in lines))}
            for (loop, backbone, precision), line in lines.items():
                panel.plot(
                    *zip(*sorted(line), strict=True),
                    color=colours[loop, backbone],
                    linestyle=DASHES[precision],
                    marker="o",
                    linewidth=1.5,
                    label=" ".join(each for each in (loop, backbone, precision) if each != "float32"),
                )
            panel.set(title=title, xlabel="pixels a side")
            _logarithmic(panel)
            sizes = sorted({size for line in lines.values() for size, _ in line})
            panel.set_xticks(sizes, list(map(str, sizes)))
        return _svg(figure, panel)


def _plot_descents(measured: Sequence[Facts]) -> bytes:
    """Total loss against seconds, an SVG file."""
    descents = [facts for facts in measured if "descent" in facts and facts["repeat"] == 0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.8), layout="constrained")
        panel = figure.subplots()
        for facts in descents:
            seconds, losses = zip(*facts["curve"], strict=True)
            panel.plot(seconds, losses, marker="o" if len(losses) == 1 else None, label=facts["descent"])
        panel.set(title="total loss", xlabel="seconds")
        _logarithmic(panel)
        return _svg(figure, panel)


def _logarithmic(panel: Any) -> None:
    """Both axes logarithmic, with plain numbers."""
    panel.set(xscale="log", yscale="log")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.25)


def _svg(figure: Figure, panel: Any) -> bytes:
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
