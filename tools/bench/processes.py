"""Runs measurements in processes of their own: each starts as a user's does and has its own peak memory."""

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

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: its code is measured, in whatever folder a process works."""


def python(*arguments: str | Path, status: int = 0, environment: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run `python ARGUMENTS`. Returns what it prints and how many seconds it takes.

    environment: variables to add. W&B is offline, so that no measurement depends on the network.
    Raises InputError if the exit status is not `status`.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": path} | dict(environment or {}),
    )
    seconds = time.perf_counter() - started
    if done.returncode != status:
        message = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"python {' '.join(map(str, arguments))}: exit status {done.returncode}: {message}")
    return done.stdout, seconds


def run_module(module: str, *arguments: str | Path) -> dict[str, Any]:
    """Run a module of this package as a program. Returns the JSON object that it prints."""
    printed, _ = python("-m", f"tools.bench.{module}", *arguments)
    measured: dict[str, Any] = json.loads(printed)
    return measured


def run_nst(folder: Path, *overrides: str) -> dict[str, Any]:
    """Run nst from the command line. Returns its record, and `called`: when, in seconds since the epoch."""
    called = time.time()
    python("-m", "nst.run", *overrides, f"hydra.run.dir={folder}")
    record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return record | {"called": called}


def seconds_per_step(folder: Path) -> list[float]:
    """Seconds per step between successive rows of a run's losses.csv. The steps before the second row are a warm-up."""
    with (folder / "losses.csv").open(encoding="utf-8", newline="") as file:
        rows = [(int(row["step"]), float(row["seconds"])) for row in csv.DictReader(file)]
    return [(now[1] - before[1]) / (now[0] - before[0]) for before, now in pairwise(rows[1:])]
