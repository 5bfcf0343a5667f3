"""Weights & Biases: an offline run holds everything, and trouble with the server costs nothing."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nst.session import Session
from nst.tracking import TrackedRun
from nst.tracking.wandb import Wandb, WandbMode, WandbTracker
from tests.conftest import SMALL, Door
from tools.soak.processes import Command

TRACKED = [argument for argument in SMALL if argument != "tracking=none"]
WANDB = str(Path(sys.executable).with_name("wandb"))


def inspect(folder: Path, *options: str) -> str:
    command = [WANDB, "leet", "inspect", "--json", *options, str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_offline_run_read_back_holds_config_losses_images_and_timings(nst: Door) -> None:
    result = nst(*TRACKED, "tracking.loss_every=2", "tracking.image_every=2", "tracking.tags=[mine]")
    assert result.status == 0, result.err
    assert len((result.out + result.err).splitlines()) < 25
    assert "wandb leet" in result.out
    assert "wandb sync" in result.out
    folder = next(result.folder.glob("wandb/offline-run-*"))
    assert result.record["tracker"]["mode"] == "offline"
    assert Path(result.record["tracker"]["folder"]).name == folder.name

    run = json.loads(inspect(folder, "--summary"))
    assert run["state"] == "finished"
    assert run["exit_code"] == 0
    assert run["config"]["style_weight"] == 1e6
    assert run["config"]["content_layers"] == ["conv2_1"]
    assert run["tags"] == ["transfer", "slim", "mine"]
    assert {"setup_seconds", "seconds_per_step", "total_seconds", "peak_memory_mb"} <= set(run["summary"])
    assert run["summary"]["loss/total"] == pytest.approx(result.record["losses"]["loss/total"])

    history = [
        record["history"]["item"]
        for line in inspect(folder).splitlines()
        if (record := json.loads(line))["type"] == "history"
    ]
    curve = {item["_step"]: item["loss/style"] for item in history if "loss/style" in item}
    assert sorted(curve) == [0, 2, 4, 6]
    assert curve[6] < curve[0]
    assert all({"loss/content", "loss/tv", "weighted/style", "seconds"} <= set(item) for item in history)
    shown = [item["_step"] for item in history if "images/result.path" in item]
    assert shown == [2, 4, 6]
    assert all(
        {"images/content.path", "images/style.path"} <= set(item) for item in history if "images/result.path" in item
    )
    assert len(list(folder.glob("files/media/images/**/result_*.jpg"))) == 3


def group(sweep: Path) -> dict[str, tuple[dict[str, Any], Path]]:
    """The offline runs of a sweep by name: what W&B knows of each, and its folder."""
    found = {}
    for folder in sorted(sweep.glob("wandb/offline-run-*")):
        records = [json.loads(line) for line in inspect(folder).splitlines()]
        run = next(record["run"] for record in records if record["type"] == "run")
        found[run["display_name"]] = (run, folder)
    return found


def test_a_sweep_is_one_group_of_runs_and_a_report_of_them(nst: Door, tmp_path: Path) -> None:
    nst("-m", *TRACKED, "style_weight=1e3,1e9", "tracking.tags=[mine]", "steps=4", "hydra.sweep.dir=sweeps/today")
    runs = group(tmp_path / "sweeps" / "today")
    assert set(runs) == {"transfer style_weight=1e3", "transfer style_weight=1e9", "report"}
    assert {run["run_group"] for run, _ in runs.values()} == {"sweeps_today"}
    assert {name: run["job_type"] for name, (run, _) in runs.items()} == {
        "transfer style_weight=1e3": "transfer",
        "transfer style_weight=1e9": "transfer",
        "report": "report",
    }
    assert all("mine" in run["tags"] for run, _ in runs.values())

    _, folder = runs["report"]
    assert len(list(folder.glob("files/media/images/sheet_*.jpg"))) == 1
    (table,) = folder.glob("files/media/table/runs_*.table.json")
    logged = json.loads(table.read_text())
    columns = ["style_weight", "picture", "loss/total", "loss/content", "loss/style", "loss/tv"]
    assert logged["columns"] == [*columns, "seconds_per_step", "total_seconds", "peak_memory_mb"]
    assert [row[0] for row in logged["data"]] == ["1e3", "1e9"]
    # W&B keeps a table's images in its staging folder until they are uploaded
    staged = {path.read_bytes() for path in tmp_path.glob(".cache/artifacts/staging/*")}
    assert {path.read_bytes() for path in tmp_path.glob("sweeps/today/*/result.png")} <= staged
    record = json.loads((tmp_path / "sweeps" / "today" / "0" / "record.json").read_text())
    assert logged["data"][0][2] == pytest.approx(record["losses"]["loss/total"])
    assert json.loads(inspect(folder, "--summary"))["summary"]["finished"] == 2


@pytest.fixture(autouse=True)
def _reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.tracking.wandb.accepts_connections", lambda url: True)


def test_a_server_without_a_route_is_given_up_once_and_the_key_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", key)
    # a process of its own, as W&B's service keeps the settings that it was started with
    done = Command("-m", *TRACKED, "steps=1", "seed=0,1", "hydra.sweep.dir=sweep").end()
    said = done.said
    assert done.status == 0, said
    assert said.count("W&B could not be reached") == 1
    records = [json.loads(path.read_text()) for path in tmp_path.glob("sweep/*/record.json")]
    assert [record["tracker"]["mode"] for record in records] == ["offline", "offline"]
    written = [path for path in (tmp_path / "sweep").rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if key.encode() in path.read_bytes()]
    assert key not in said


def test_wandb_mode_goes_before_the_config(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    result = nst(*TRACKED, "tracking.mode=online", "steps=1")
    assert result.record["tracker"] is None
    assert not (result.folder / "wandb").exists()
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    refused = nst(*TRACKED, "steps=1")
    assert refused.status == 2
    assert "WANDB_MODE=sometimes: must be one of" in refused.err


def test_an_online_run_that_goes_on_is_the_same_run_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    asked: list[dict[str, Any]] = []

    def init(**arguments: Any) -> object:
        asked.append(arguments)
        return SimpleNamespace(offline=True, entity="me")

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "init", init)
    for mode, then in (("online", "online"), ("offline", "online"), ("online", "offline")):
        tracker(tmp_path, mode, {"id": "abc", "mode": then})
    assert [each.get("id") for each in asked] == ["abc", None, None]
    assert [each["config"].get("continues") for each in asked] == [None, "abc", "abc"]


def tracker(folder: Path, mode: str = "auto", previous: dict[str, Any] | None = None) -> WandbTracker:
    run = TrackedRun(folder, "a run", "transfer", {}, previous=previous)
    return WandbTracker(Wandb(mode=WandbMode(mode)), run, Session())


@pytest.mark.parametrize("error", ["CommError", "AuthenticationError", "UsageError"])
def test_an_unreachable_server_means_offline_not_failure(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    init = wandb.init
    modes: list[str] = []

    def unreachable(**arguments: Any) -> Any:
        modes.append(arguments["mode"])
        if arguments["mode"] == "online":
            raise getattr(wandb.errors, error)("no answer")
        return init(**arguments)

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "init", unreachable)
    run = tracker(tmp_path)
    run.finish({})
    assert modes == ["online", "offline"]
    assert (run.facts() or {})["mode"] == "offline"


def test_nobody_logged_in_means_offline_without_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    run = tracker(tmp_path)
    run.finish({})
    assert (run.facts() or {})["mode"] == "offline"


def test_results_are_artifacts_that_name_what_they_were_made_from(nst: Door) -> None:
    result = nst(*TRACKED, "steps=2")
    folder = next(result.folder.glob("wandb/offline-run-*"))
    records = [json.loads(line) for line in inspect(folder).splitlines()]
    (artifact,) = [record["artifact"] for record in records if record["type"] == "artifact"]
    assert artifact["type"] == "result"
    assert [each["path"] for each in artifact["manifest"]["contents"]] == ["result.png"]
    made_from = json.loads(artifact["metadata"])
    assert made_from["style"] == result.record["inputs"]["style"]
    assert made_from["slim"][0]["sha256"] == result.record["weights"]["slim"]["sha256"]
    summary = json.loads(inspect(folder, "--summary"))["summary"]
    assert summary["optimized_metric"] == pytest.approx(result.record["losses"]["loss/total"])

    without = nst(*TRACKED, "steps=2", "tracking.artifacts=false")
    lines = inspect(next(without.folder.glob("wandb/offline-run-*"))).splitlines()
    assert "artifact" not in {json.loads(line)["type"] for line in lines}


def test_online_an_artifact_has_a_lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    used: list[wandb.Artifact] = []
    logged: list[wandb.Artifact] = []
    run = SimpleNamespace(offline=False, entity="me", id="abc", use_artifact=used.append, log_artifact=logged.append)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    (tmp_path / "generator.safetensors").write_bytes(b"weights")
    facts = {"path": "a b/ü.png", "sha256": "0123456789abcdef"}
    made_from = {"style": [facts], "vgg19": [facts]}
    described = TrackedRun(tmp_path, "a run", "train", {}, made_from=made_from)
    WandbTracker(Wandb(mode=WandbMode.online), described, Session()).log_results([tmp_path / "generator.safetensors"])
    assert [(each.type, each.name) for each in used] == [
        ("style", "style-0123456789ab"),
        ("vgg19", "vgg19-0123456789ab"),
    ]
    assert [each.metadata for each in used] == [facts, facts]
    assert [(each.type, each.name) for each in logged] == [("generator", "generator-abc")]
