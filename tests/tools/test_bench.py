"""The benchmark measures what it says, keeps it, and writes its page. No test asks how fast anything is."""

import csv
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nst.errors import InputError
from tests.conftest import exit_status
from tools.bench import processes, stages
from tools.bench.__main__ import main
from tools.bench.descents import OPTIMIZERS, descend, slim_objective
from tools.bench.tables import descents
from tools.soak.processes import Command


def forked(command: list[str], env: Mapping[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
    """As subprocess.run, for `python -m MODULE ARGUMENTS`, without the seconds that the imports take."""
    module, *arguments = command[2:]
    with pytest.MonkeyPatch.context() as patched:
        for name, value in env.items():
            patched.setenv(name, value)
        done = Command(*arguments, module=module).end()
    return subprocess.CompletedProcess(command, done.status or 0, done.out, done.err)


def test_a_process_is_timed_and_one_that_fails_is_told() -> None:
    printed, seconds = processes.python("-c", "import time; time.sleep(0.1); print(1)")
    assert printed == "1\n"
    assert seconds > 0.1
    with pytest.raises(InputError, match="exit status 1: it is broken"):
        processes.python("-c", "import sys; sys.exit('it is broken')")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `python -m tools.bench ARGUMENTS` in an empty folder and returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(run=forked))
    monkeypatch.setattr(stages, "JOBS", 4)
    monkeypatch.setattr(stages, "START", 64)

    def run(*arguments: str) -> int:
        few = ("--repeats", "1", "--seconds", "0.01", "--device", "cpu")
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *few])
        return exit_status(main)

    return run


def kept(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "outputs" / "bench" / "measured.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_a_step_is_measured_next_to_the_baseline_and_the_lower_bound(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("steps", "--sizes", "32", "--backbones", "slim", "--optimizers", "adam", "--publish", "speed")
    assert bench(*asked) == 0, capsys.readouterr().err
    with (tmp_path / "speed" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    measured = [(row["loop"], row["backbone"]) for row in rows]
    assert measured == [("baseline", "vgg19"), ("lower_bound", "slim"), ("nst", "slim")]
    record = json.loads(next(tmp_path.rglob("record.json")).read_text())
    assert record["tracker"]["mode"] == "offline"  # nst is measured with its tracking
    assert record["config"]["scales"] == 1  # and at one scale, like the other loops
    readme = tmp_path / "speed" / "README.md"
    text = readme.read_text()
    pace = {row["loop"]: float(row["seconds"]) for row in rows}
    assert "| nst ÷ lower bound | baseline ÷ nst |" in text
    assert f"| {pace['nst'] / pace['lower_bound']:.2f} | {pace['baseline'] / pace['nst']:.2f} |" in text

    readme.write_text(text + "\nWhat it shows.\n")
    before = kept(tmp_path)
    assert bench(*asked) == 0
    assert kept(tmp_path) == before  # nothing was measured twice
    assert readme.read_text().endswith("## Finding\n\nWhat it shows.\n")


def test_answers_start_and_sweep_are_measured(bench: Callable[..., int], tmp_path: Path) -> None:
    assert bench("answers", "start", "sweep", "--backbones", "slim", "--publish", "speed") == 0
    lines = (tmp_path / "speed" / "README.md").read_text().splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("| backbone | interpreter"))
    phases = next(each["phases"] for each in kept(tmp_path) if "start" in each)
    assert {"imports", "weights", "images", "targets", "tracking", "rest", "first step"} < phases.keys()
    assert cells(lines[header]) == ["backbone", *phases, "total"]
    seconds = [*phases.values(), sum(phases.values())]
    assert cells(lines[header + 2]) == ["slim", *(f"{each:.2f} s" for each in seconds)]
    for task in ("--help", "tab completion", "a refused override", "a job of a sweep, without its steps"):
        assert any(re.fullmatch(rf"\| {task} \| -?\d+\.\d\d s \|", line) for line in lines), task


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_leaves_the_content(name: str) -> None:
    content, style = torch.rand(2, 1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    objective = slim_objective(content, style)
    (reached,) = descend(content, objective, name, seconds=1e-9)  # one turn
    assert math.isfinite(reached[1])
    assert reached[1] != float(objective(content)["total"])


def test_a_table_of_descents_has_the_median_loss_at_four_times() -> None:
    curves = {0: [(1.0, 100.0), (4.0, 60.0), (8.0, 7.0)], 1: [(2.0, 90.0), (8.0, 5.0)]}
    measured = [{"descent": "lbfgs", "repeat": repeat, "curve": curve} for repeat, curve in curves.items()]
    table = descents([*measured, {"descent": "nst", "repeat": 0, "curve": [(5.0, 8.0)]}])
    assert table.columns == ["optimizer", "after 1 s", "after 2 s", "after 4 s", "after 8 s"]
    assert table.rows == [["lbfgs", "", "95", "75", "6"], ["nst", "", "", "", "8"]]


def test_an_unknown_stage_is_refused_in_one_line(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("stepz") == 2
    message = capsys.readouterr().err
    assert message == "nst: no stage 'stepz'; the stages are steps, descents, answers, start, sweep, generator\n"
    assert not list(tmp_path.iterdir())
