"""The benchmark measures what it says, keeps it, and writes its page; how fast anything is, no test asks."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nst.bench.__main__ import main


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `python -m nst.bench ARGUMENTS` in an empty folder and returns its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        few = ("--repeats", "1", "--seconds", "0.01", "--device", "cpu")
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *few])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run


def test_a_step_is_measured_beside_the_textbook_s_and_the_floor(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("steps", "--sizes", "32", "--backbones", "slim", "--optimizers", "adam", "--publish", "speed")
    assert bench(*asked) == 0, capsys.readouterr().err
    with (tmp_path / "speed" / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    measured = [(row["loop"], row["backbone"]) for row in rows]
    assert measured == [("textbook", "vgg19"), ("floor", "slim"), ("nst", "slim")]
    assert all(float(row["seconds"]) > 0 and float(row["peak_memory_mb"]) > 100 for row in rows)
    record = json.loads(next(tmp_path.rglob("record.json")).read_text())
    assert record["wandb"]["mode"] == "offline"  # nst is measured with its tracking
    assert record["config"]["levels"] == 1  # and at one size, as the others
    readme = tmp_path / "speed" / "README.md"
    text = readme.read_text()
    pace = {row["loop"]: float(row["seconds"]) for row in rows}
    assert f"| {pace['nst'] / pace['floor']:.2f} | {pace['textbook'] / pace['nst']:.2f} |" in text

    readme.write_text(text + "\nWhat it shows.\n")
    kept = (tmp_path / "outputs" / "bench" / "measured.jsonl").read_bytes()
    assert bench(*asked) == 0  # nothing is measured twice
    assert (tmp_path / "outputs" / "bench" / "measured.jsonl").read_bytes() == kept
    assert readme.read_text().endswith("## Finding\n\nWhat it shows.\n")


def test_answers_start_and_sweep_are_measured(bench: Callable[..., int], tmp_path: Path) -> None:
    assert bench("answers", "start", "sweep", "--backbones", "slim", "--publish", "speed") == 0
    lines = (tmp_path / "speed" / "README.md").read_text().splitlines()
    phases = next(line for line in lines if line.startswith("| backbone | interpreter and composition"))
    assert " | imports | weights | images | targets | tracking | rest | first step | in all |" in phases
    seconds = [float(each.removesuffix(" s")) for each in lines[lines.index(phases) + 2].strip("| ").split(" | ")[1:]]
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.1)
    assert min(seconds) >= 0
    for what in ("--help", "tab completion", "a refused override", "a job of a sweep, beside its steps"):
        assert any(line.startswith(f"| {what} | 0.") or line.startswith(f"| {what} | 1.") for line in lines), what


def test_an_unknown_stage_is_refused_in_one_line(
    bench: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("stepz") == 2
    said = capsys.readouterr().err
    assert said == "nst: no stage 'stepz'; the stages are steps, descents, answers, start, sweep, generator\n"
    assert not list(tmp_path.iterdir())
