"""Measuring in processes of their own: each begins as a user's does, and its peak memory is its own."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from nst.errors import InputError


def python(*arguments: str | Path, status: int = 0, environment: Mapping[str, str] | None = None) -> tuple[str, float]:
    """What `python ARGUMENTS` prints, and the seconds it takes. Raises InputError for another exit status."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        # tracked, and no matter what the network does
        env=os.environ | {"WANDB_MODE": "offline"} | dict(environment or {}),
    )
    seconds = time.perf_counter() - began
    if done.returncode != status:
        said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise InputError(f"python {' '.join(map(str, arguments))}: exit status {done.returncode}: {said}")
    return done.stdout, seconds


def told(module: str, *arguments: str | Path) -> dict[str, Any]:
    """What a module of this package, run by itself, measured."""
    printed, _ = python("-m", f"nst.bench.{module}", *arguments)
    facts: dict[str, Any] = json.loads(printed)
    return facts


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    """The record of a run through nst's own door, and `asked`: when, in seconds since the epoch."""
    asked = time.time()
    python("-m", "nst.run", *overrides, f"hydra.run.dir={folder}")
    record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return record | {"asked": asked}


def chunks(folder: Path) -> list[float]:
    """Seconds a step of each chunk of a run but the first, in which the libraries still make ready."""
    with (folder / "losses.csv").open(encoding="utf-8", newline="") as file:
        at = [(int(row["step"]), float(row["seconds"])) for row in csv.DictReader(file)]
    return [(now[1] - then[1]) / (now[0] - then[0]) for then, now in pairwise(at[1:])]
