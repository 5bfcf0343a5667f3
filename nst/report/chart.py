"""The loss chart: the unweighted losses of every run against its steps."""

import io
import re
from collections.abc import Sequence
from html import escape
from statistics import mean, stdev
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from nst.report.records import Run
from nst.report.sweep import Sweep

LABEL = 48
"""Most characters of a line in the legend."""
LEGEND = 12
"""Most runs with a legend. With more, only the color and pointing at a line show which run it is."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "svg.hashsalt": "nst",  # the same runs give the same file
    "text.parse_math": False,  # a $ in a name is no formula
    "font.size": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(sweep: Sweep) -> str:
    """An <svg> element with a panel for each unweighted loss, on logarithmic axes; empty if no run has a loss.

    Of repeats it shows the mean, and around it a band as wide as their standard deviation on both sides.
    """
    curves = {name: [(run, *_together(runs, name)) for run, runs in sweep.repeats.items()] for name in _losses(sweep)}
    curves = {name: lines for name, lines in curves.items() if any(value > 0 for line in lines for value in line[2])}
    if not curves:
        return ""
    colors = matplotlib.colormaps["viridis"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5 * len(curves) + 1.5, 3.6), layout="constrained")
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for panel, (name, lines) in zip(panels, curves.items(), strict=True):
            for index, (run, steps, values, deviations) in enumerate(lines):
                # the last colors of viridis are too light for a white page
                color = colors(0.9 * index / max(len(sweep.repeats) - 1, 1))
                label = sweep.value(run, *sweep.keys) if len(sweep.keys) == 1 else sweep.label(run)
                panel.plot(steps, values, color=color, linewidth=1.5, label=label[:LABEL], gid=f"{name}-{index}")
                if any(deviations):
                    around = [(value - each, value + each) for value, each in zip(values, deviations, strict=True)]
                    panel.fill_between(steps, *zip(*around, strict=True), color=color, alpha=0.2, linewidth=0)
            panel.set(title=sweep.named(name), xlabel="step")
            panel.set_yscale("log", nonpositive="mask")  # a run with init=content starts at a content loss of 0
            panel.yaxis.set_major_formatter(LogFormatter())
            panel.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.5)))
            panel.grid(alpha=0.25)
        if 1 < len(sweep.repeats) <= LEGEND:
            title = sweep.names[0] if len(sweep.keys) == 1 else None
            entries = panels[0].get_legend_handles_labels()
            figure.legend(*entries, title=title, loc="outside right upper", frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for name in curves:
        for index, run in enumerate(sweep.repeats):
            line = f'<g id="{name}-{index}">'
            svg = svg.replace(line, f"{line}<title>{escape(sweep.label(run))}</title>")
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


def _together(runs: Sequence[Run], name: str) -> tuple[list[float], list[float], list[float]]:
    """Steps, means and standard deviations of a loss over repeats, at the steps that all of them logged."""
    curves = [dict(zip(*run.curve(name), strict=True)) for run in runs]
    steps = [step for step in curves[0] if all(step in curve for curve in curves)]
    values = [[curve[step] for curve in curves] for step in steps]
    return steps, [mean(each) for each in values], [stdev(each) if len(each) > 1 else 0.0 for each in values]


def _losses(sweep: Sweep) -> list[str]:
    """The losses that compare with an image, so not the total variation; or the total, if there are none or over 3."""
    names = dict.fromkeys(name for run in sweep.runs for name in _columns(run))
    terms = [name for name in names if name not in ("loss/total", "loss/tv")]
    return terms if 0 < len(terms) <= 3 else [name for name in names if name == "loss/total"]


def _columns(run: Run) -> list[str]:
    return [name for name in run.metrics if name.startswith("loss/")]
