"""The page: one self-contained HTML file that needs no network and no server."""

import base64
import io
import shlex
from math import sqrt
from pathlib import Path

import yaml
from PIL import Image

from nst.report import chart
from nst.report.records import Run
from nst.report.sweep import Sweep
from nst.report.table import build, cell
from nst.report.template import fill

PIXELS = 12_000_000
"""About the number of pixels of all results together, so that a page of 200 runs opens as fast as a page of one."""
SIDES = (320, 1600)
"""Longest side of an embedded result, in pixels: with many runs, and with few."""
QUALITY = 88
"""Of the embedded JPEGs."""


def render(sweep: Sweep) -> str:
    """The page of a sweep, or of a single run, as HTML text."""
    columns, rows = build(sweep)
    return fill(
        "report.html",
        filters={"cell": cell, "embed": _Embedder(sweep)},
        sweep=sweep,
        chart=chart.draw(sweep),
        columns=columns,
        rows=rows,
        index={run: place for place, run in enumerate(sweep.runs)},
        single={run: _single_command(run) for run in sweep.runs},
        config={run: _config(run) for run in sweep.runs},
        made_with=_made_with(sweep),
    )


class _Embedder:
    """Turns an image file into a `data:` URL."""

    def __init__(self, sweep: Sweep) -> None:
        self._side = int(min(max(sqrt(PIXELS / len(sweep.runs)), SIDES[0]), SIDES[1]))

    def __call__(self, path: Path) -> str:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((self._side, self._side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=QUALITY)
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
