"""The Pareto front: runs that no other beats both in what is kept of the content and in closeness to the style."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import LogFormatter

from nst.errors import InputError
from nst.images.written import read_written
from nst.report.chart import STYLE
from nst.report.records import Run
from nst.report.sweep import Sweep

AXES = (("judge/self_similarity", "judge/w2"), ("loss/content", "loss/style"))
"""Distance from the content and from the style: a judge's, or, of runs that nobody judged, the losses."""
SIDE = 90
"""Longest side of a picture in the plot, in points."""
WIDE = 20
"""Ratio of the largest value to the smallest above which an axis is logarithmic."""
MOST = 12
"""Pictures in the plot: more would cover each other."""


def measured(sweeps: Sequence[Sweep]) -> tuple[tuple[str, str], dict[Run, tuple[float, float]]]:
    """The two distances that are compared, and each finished run's, of the first two that at least two runs have.

    Raises InputError if there are none.
    """
    runs = [run for sweep in sweeps for run in sweep.repeats if run.status == "finished" and run.picture]
    for axes in AXES:
        found = {run: (run.metrics[axes[0]], run.metrics[axes[1]]) for run in runs if {*axes} <= run.metrics.keys()}
        if len(found) > 1:
            return axes, found
    raise InputError("--best: needs two runs that have both a distance from the content and one from the style")


def front(points: dict[Run, tuple[float, float]]) -> list[Run]:
    """The runs that no other beats in one distance without being worse in the other, by the first distance."""
    best, found = float("inf"), []
    for run in sorted(points, key=lambda run: points[run]):
        if points[run][1] < best:
            best = points[run][1]
            found.append(run)
    return found


def draw(axes: tuple[str, str], points: dict[Run, tuple[float, float]], shown: Sequence[Run]) -> str:
    """The plot as an <svg> element: each run a point, and the pictures of the runs in `shown`."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 7), layout="constrained")
        panel = figure.subplots()
        kept, close = zip(*points.values(), strict=True)
        panel.scatter(kept, close, s=14, color="#888888", zorder=1)
        panel.step(*zip(*(points[run] for run in shown), strict=True), where="post", color="#1b6ac9", zorder=2)
        for number, run in enumerate(shown, 1):
            image = OffsetImage(np.asarray(read_written(run.picture, 2 * SIDE)), zoom=0.5)  # type: ignore[arg-type]
            offset = (0.6 * SIDE, 0.6 * SIDE)
            box = AnnotationBbox(image, points[run], offset, boxcoords="offset points", arrowprops={"arrowstyle": "-"})
            panel.add_artist(box)
            panel.annotate(str(number), points[run], fontweight="bold", color="#1b6ac9")
        for values, set_scale, axis in ((kept, panel.set_xscale, panel.xaxis), (close, panel.set_yscale, panel.yaxis)):
            if min(values) > 0 and max(values) > WIDE * min(values):
                set_scale("log")
                axis.set_major_formatter(LogFormatter())
        panel.set(xlabel=f"{axes[0]} (from the content)", ylabel=f"{axes[1]} (from the style)")
        panel.margins(0.15)
        panel.grid(alpha=0.25)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]
