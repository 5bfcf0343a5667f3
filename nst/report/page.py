"""The page: one self-contained HTML file that needs no network and no server."""

import base64
import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from urllib.parse import quote

import numpy as np
import yaml

from nst.images.written import read_written, written_images
from nst.report import chart, front
from nst.report.pairs import compared
from nst.report.records import Original, Run
from nst.report.sweep import Sweep
from nst.report.table import build, cell
from nst.report.template import fill

PIXELS = 12_000_000
"""About the number of pixels of all results together, so that a page of 200 runs opens as fast as a page of one."""
SIDES = (320, 1600)
"""Longest side of an embedded result, in pixels: with many runs, and with few."""
FRAMES = 30
"""Most progress pictures of a single run on its page."""
QUALITY = 88
"""Of the embedded JPEGs."""


def render(sweeps: Sequence[Sweep], title: str | None = None, beside: Path | None = None) -> str:
    """One page of sweeps or single runs, as HTML text.

    title: in place of the first sweep's. beside: the folder that the page will be in; None: the first sweep's.
    """
    count = sum(len(sweep.runs) for sweep in sweeps)
    beside, places = beside or sweeps[0].folder, iter(range(count))
    parts = [_part(sweep, count, places, beside, len(sweeps) > 1) for sweep in sweeps]
    return fill("report.html", title=title or sweeps[0].title, parts=parts)


def render_pairs(sweeps: Sequence[Sweep], key: str, title: str | None = None) -> str:
    """One page of the runs that differ in one key alone, side by side. Raises InputError if there are none."""
    comparisons = compared(sweeps, key)
    embed = _Embedder(sum(len(each.runs) for each in comparisons))
    part = fill("pairs.html", filters={"embed": embed}, comparisons=comparisons, key=key)
    return fill("report.html", title=title or f"By {key}", parts=[part])


def render_front(sweeps: Sequence[Sweep], title: str | None = None) -> str:
    """One page of the Pareto front. Raises InputError if fewer than two runs can be compared."""
    axes, points = front.measured(sweeps)
    best = front.front(points)
    shown = [best[round(place)] for place in np.linspace(0, len(best) - 1, min(len(best), front.MOST))]
    facts = {
        "axes": axes,
        "points": points,
        "front": best,
        "shown": shown,
        "count": len(points),
        "label": {run: sweep.label(run) for sweep in sweeps for run in sweep.repeats},
        "plot": front.draw(axes, points, shown),
    }
    part = fill("front.html", filters={"cell": cell, "embed": _Embedder(len(shown))}, **facts)
    return fill("report.html", title=title or "The best of content and style", parts=[part])


def _part(sweep: Sweep, count: int, places: Iterator[int], beside: Path, several: bool) -> str:
    """A sweep's part of a page of so many runs, whose numbers on the page are the next of `places`."""
    columns, rows = build(sweep)
    return fill(
        "part.html",
        filters={"cell": cell, "embed": _Embedder(count)},
        sweep=sweep,
        several=several,
        chart=chart.draw(sweep),
        way=_way(sweep.runs[0]) if len(sweep.runs) == 1 else [],
        columns=columns,
        rows=rows,
        index={run: next(places) for run in sweep.runs},
        address={run: quote(os.fsencode(os.path.relpath(run.folder / "result.png", beside))) for run in sweep.runs},
        single={run: _single_command(run) for run in sweep.runs},
        config={run: _config(run) for run in sweep.runs},
        made_with=_made_with(sweep),
    )


def _way(run: Run) -> list[Original]:
    """The progress pictures of a run, at most FRAMES of them, and its result."""
    images = written_images(run.folder / "progress", "step_*.jpg")
    steps = [path for path in images if re.fullmatch("step_[0-9]+", path.stem)]
    shown = steps[:: -(-len(steps) // FRAMES) or 1]
    frames = [Original("progress", path, f"step {int(path.stem.removeprefix('step_'))}") for path in shown]
    result = run.picture
    return [*frames, *([Original("result", result, "result")] if result else [])] if len(frames) > 1 else []


class _Embedder:
    """Turns an image file into a `data:` URL. count: pictures on the page."""

    def __init__(self, count: int) -> None:
        self._side = int(min(max(sqrt(PIXELS / count), SIDES[0]), SIDES[1]))

    def __call__(self, path: Path) -> str:
        buffer = io.BytesIO()
        read_written(path, self._side).save(buffer, format="JPEG", quality=QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _single_command(run: Run) -> str:
    """The command that repeats this run without the others of its sweep."""
    return shlex.join(["python", "-m", "nst.run", *map(str, run.record.get("overrides", [])), "hydra.mode=RUN"])


def _config(run: Run) -> str:
    """The config as it was asked for, and below it the values that the run decided on; empty if it was refused."""
    decided = run.record["decided"]
    text = _yaml(run.record["config"]) if "config" in run.record else ""
    return f"{text}\n# decided by the run\n{_yaml(decided)}" if text and decided else text


def _made_with(sweep: Sweep) -> list[str]:
    """Versions, commit, device and hashes of weights; each combination once."""
    names = ("versions", "git", "device")
    facts = []
    for run in sweep.runs:
        files = {name: file["sha256"] for name, file in (run.record.get("weights") or {}).items()}
        facts.append({name: run.record[name] for name in names if run.record.get(name)} | {"weights": files})
    return list(dict.fromkeys(_yaml(each) for each in facts if any(each.values())))


def _yaml(facts: object) -> str:
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
