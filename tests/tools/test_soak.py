"""Ten seconds of the soak; and that it sees what does not hold."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import exit_status, pixels

pytest.importorskip("resource", reason="Windows has no limits of a process")
from tools.soak import kills, mutations
from tools.soak.__main__ import KINDS, main
from tools.soak.case import Case, Counts, Failure
from tools.soak.kills import FOLDER, JOBS, Job
from tools.soak.stock import SMALL, Stock

KILLED, MUTATED = ("transfer-scales", "report-pairs"), ("image", "values", "picture-rerun")
"""Kinds of the short soak: they need little that must be made first."""
AS_THEY_ARE = ("record-rerun", "checkpoint-alone", "training-checkpoint", "weights", "generator", "experiment")


@pytest.fixture
def soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `python -m tools.soak ARGUMENTS`, with one kill a case, and returns its exit status."""
    monkeypatch.setattr(kills, "KILLS", 1)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["soak", *arguments, "--work", str(tmp_path / "soak")])
        return exit_status(main)

    return run


@pytest.mark.parametrize("kinds", [KILLED, MUTATED], ids=["killed", "mutated"])
def test_five_seconds_are_clean(
    kinds: tuple[str, ...], soak: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    status = soak("--seconds", "5", "--only", *kinds)
    said = capfd.readouterr().out
    assert status == 0, said
    columns, *rows, total = (line.split() for line in said.splitlines())
    assert columns == ["kind", "tried", "killed", "refused", "accepted", "failed"]
    assert {row[0] for row in rows} <= {*kinds}
    assert rows
    assert all(int(row[1]) >= 1 for row in rows)
    assert total[-1] == "0"


def test_one_bit_is_the_end(
    soak: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    real = kills._never_killed

    def one_bit_off(job: Job, case: Case) -> tuple[Path, float]:
        whole, seconds = real(job, case)
        picture = whole / FOLDER / "result.png"
        values = pixels(picture).copy()
        values[0, 0, 0] ^= 1
        Image.fromarray(values).save(picture)
        return whole, seconds

    monkeypatch.setattr(kills, "_never_killed", one_bit_off)
    assert soak("--seconds", "100", "--only", "transfer-scales") == 1
    said = capfd.readouterr().out
    assert said.startswith("FAILED  --case transfer-scales 0: SIGKILL after ")
    assert "result.png differs from that of a run never killed" in said
    assert said.splitlines()[-1].split() == ["all", "1", "0", "0", "0", "1"]
    assert (tmp_path / "soak" / "failed" / "transfer-scales-0" / "here" / FOLDER / "result.png").exists()


def break_a_rule(rule: str, case: Case) -> Counts:
    if rule == "status":
        return case.use("steps=0", allowed=[0])
    if rule == "lines":
        return case.use("--nonsense", module="nst.report.__main__")
    if rule == "time":
        return Case(case.kind, 0, case.folder, case.stock, 0.01).use(*SMALL)
    if rule == "beside":
        return case.use(*SMALL, "output=../out.png", "hydra.run.dir=run")
    return case.use(*SMALL, "output=../outside/out.png", "hydra.run.dir=run")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("status", "exit status 2: nst: steps=0: must be at least 1"),
        ("lines", "refused in "),
        ("time", "still at work after 0.01 s"),
        ("beside", "wrote out.png, outside of its folder"),
        ("outside", "changed out.png, outside of its folder"),
    ],
)
def test_each_rule_can_be_broken(rule: str, said: str, tmp_path: Path) -> None:
    case = Case("rule", 0, tmp_path / "case", None, 60)  # type: ignore[arg-type]
    with pytest.raises(Failure, match=said.replace(".", r"\.")):
        break_a_rule(rule, case)


def test_a_kind_and_a_seed_are_one_mutation(soak: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, object]] = []

    def look(case: Case) -> Counts:
        name = f"{case.kind} {case.seed}"
        path = case.take("photo.png")
        mutations._mutate(case, path)
        drawn.append((name, (case.notes, path.read_bytes() if path.is_file() else os.path.islink(path))))
        return {"accepted": 1}

    monkeypatch.setitem(KINDS, "image", look)
    for seed in ("3", "4", "3"):
        assert soak("--case", "image", seed) == 0
    assert drawn[0] == drawn[2] != drawn[1]


def test_every_mode_is_killed() -> None:
    from nst.modes import all_modes

    asked = {word.removeprefix("mode=") for job in JOBS.values() for word in job.arguments if word.startswith("mode=")}
    assert asked | {"transfer"} == set(all_modes())


def test_what_is_mutated_is_accepted_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "mutate_file", lambda *_: "as it is")
    stock = Stock(tmp_path / "stock")
    for kind in AS_THEY_ARE:
        assert KINDS[kind](Case(kind, 1, tmp_path / kind, stock, 60)) == {"accepted": 1}, kind
