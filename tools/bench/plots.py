"""Plots of what was measured, as SVG files."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nst.report.chart import STYLE
from tools.bench.measurements import Measurement
from tools.bench.tables import medians

DASHES = {"float32": "solid", "tf32": "dashdot", "bfloat16": "dashed"}
"""Line style by precision."""
PANELS = {"seconds per step": "seconds", "peak memory, MB": "peak_memory_mb"}


def steps(measured: Sequence[Measurement]) -> bytes:
    """Seconds per step and peak memory against size, for the first optimizer that was measured."""
    optimizer = next((each["optimizer"] for each in measured if each.get("optimizer")), "")
    shown = [each for each in measured if each.get("optimizer") in ("", optimizer)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        for panel, (title, value) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
            lines: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
            for (*subject, size), median in medians(shown, value, "loop", "backbone", "precision", "size").items():
                lines.setdefault((subject[0], subject[1], subject[2]), []).append((size, median))
            colors = {each: f"C{number}" for number, each in enumerate(dict.fromkeys(key[:2] for key in lines))}
            for (loop, backbone, precision), line in lines.items():
                named = (loop.replace("_", " "), backbone, precision)
                panel.plot(
                    *zip(*sorted(line), strict=True),
                    color=colors[loop, backbone],
                    linestyle=DASHES[precision],
                    marker="o",
                    linewidth=1.5,
                    label=" ".join(each for each in named if each != "float32"),
                )
            panel.set(title=title, xlabel="pixels a side")
            _logarithmic(panel)
            sizes = sorted({size for line in lines.values() for size, _ in line})
            panel.set_xticks(sizes, list(map(str, sizes)))
        return _svg(figure, panel)


def descents(measured: Sequence[Measurement]) -> bytes:
    """Total loss against seconds, of the first repeat."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.8), layout="constrained")
        panel = figure.subplots()
        for each in measured:
            if "descent" in each and each["repeat"] == 0:
                seconds, losses = zip(*each["curve"], strict=True)
                panel.plot(seconds, losses, marker="o" if len(losses) == 1 else None, label=each["descent"])
        panel.set(title="total loss", xlabel="seconds")
        _logarithmic(panel)
        return _svg(figure, panel)


def _logarithmic(panel: Any) -> None:
    """Make both axes logarithmic, labeled with plain numbers."""
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
