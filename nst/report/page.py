"""The page: one HTML file that needs nothing else, no network and no server."""

import base64
import io
import shlex
from math import sqrt
from pathlib import Path

import yaml
from PIL import Image

from nst.report import chart
from nst.report.runs import Run, Sweep, cell
from nst.report.template import fill

PIXELS = 12_000_000
"""About so many pixels of results are embedded, so that a page of 200 runs opens like a page of one."""
SIDES = (320, 1600)
"""Pixels an embedded result's longest side has at most, with many runs and with few."""
QUALITY = 88


def render(sweep: Sweep) -> str:
    """The page of a sweep, or of a single run, as HTML text."""
    columns, rows = sweep.table()
    return fill(
        "report.html",
        filters={"cell": cell, "embed": _Embedder(sweep)},
        sweep=sweep,
        chart=chart.draw(sweep),
        columns=columns,
        rows=rows,
        index={run: place for place, run in enumerate(sweep.runs)},
        alone={run: _alone(run) for run in sweep.runs},
        config={run: _config(run) for run in sweep.runs},
        made_with=_made_with(sweep),
    )


class _Embedder:
    """An image file as a `data:` address."""

    def __init__(self, sweep: Sweep) -> None:
        self._side = int(min(max(sqrt(PIXELS / len(sweep.runs)), SIDES[0]), SIDES[1]))

    def __call__(self, path: Path) -> str:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((self._side, self._side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _alone(run: Run) -> str:
    """The command that makes this run without the others of its sweep."""
    return shlex.join(["python", "-m", "nst.run", *map(str, run.record.get("overrides", [])), "hydra.mode=RUN"])


def _config(run: Run) -> str:
    return _yaml(run.record["config"]) if "config" in run.record else ""


def _made_with(sweep: Sweep) -> list[str]:
    """Versions, commit, device and weights, each state of them once."""
    names = ("versions", "git", "device", "weights")
    facts = [{name: run.record[name] for name in names if run.record.get(name)} for run in sweep.runs]
    return list(dict.fromkeys(_yaml(each) for each in facts if each))


def _yaml(facts: object) -> str:
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
