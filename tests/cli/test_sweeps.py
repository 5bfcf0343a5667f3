"""Sweeps: their folder and exit status, what jobs share, and that launchers make no difference."""

import json
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from nst.cli import sweeps
from nst.engine.task import Task
from nst.losses.terms import Style
from nst.modes.pixels.task import Pixels
from tests.conftest import SMALL, Door, pixels
from tests.tracking.test_wandb import TRACKED, group
from tools.soak.processes import Command

LAUNCHERS = {
    "hydra_submitit_launcher": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
    "hydra_ray_launcher": ["hydra/launcher=ray", "+hydra.launcher.ray.init.include_dashboard=false"],
}


@pytest.mark.parametrize("plugin", LAUNCHERS)
def test_a_sweep_goes_on_and_ends_the_same_under_every_launcher(
    plugin: str, nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}", reason=f"{plugin} is not installed")
    whole = nst(*TRACKED, "content=chelsea", "steps=6", "tracking.loss_every=2")
    asked = ["-m", *TRACKED, "content=chelsea,missing.png", "steps=6", "tracking.loss_every=2"]
    asked += ["hydra.sweep.dir=sweeps/today"]
    sweep = tmp_path / "sweeps" / "today"
    stop_at(4, monkeypatch)
    assert nst(*asked, "trainer.checkpoint_seconds=1e-6").status == 130
    assert json.loads((sweep / "0" / "record.json").read_text())["status"] == "interrupted"
    assert not (sweep / "1").exists()

    done = Command(*asked, *LAUNCHERS[plugin]).end(200)
    assert done.status == 2, done.said
    assert np.array_equal(pixels(sweep / "0" / "result.png"), whole.pixels())
    rows = (sweep / "0" / "losses.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "2", "4", "6"]
    records = [json.loads((sweep / str(job) / "record.json").read_text()) for job in range(2)]
    assert [record["status"] for record in records] == ["finished", "refused"]
    assert all("-m size=64" in record["command"] for record in records)
    assert "content=missing.png: no such file or sample" in records[1]["error"]
    assert "content missing <strong>refused</strong>" in (sweep / "report.html").read_text()
    runs = group(sweep)
    assert set(runs) == {"transfer content=chelsea", "report"}
    assert {run["run_group"] for run, _ in runs.values()} == {"sweeps_today"}


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, when a job of this process has got to a step."""

    def stop(task: Task) -> None:
        if task.step == step:
            monkeypatch.setattr(Task, "before_chunk", lambda task: None)
            raise KeyboardInterrupt

    monkeypatch.setattr(Task, "before_chunk", stop)


def test_the_same_command_in_the_same_folder_completes_a_sweep(
    nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = (
        "-m",
        "size=64",
        "steps=4",
        "tracking=none",
        "judge=none",
        "tracking.loss_every=2",
        "optimizer=adam,lbfgs",
        "seed=0,1",
    )
    sweep = tmp_path / "sweep"
    stop_at(2, monkeypatch)
    stopped = nst(*asked, "hydra.sweep.dir=sweep")
    assert stopped.status == 130
    assert stopped.out.splitlines()[-1].startswith("continue nst -m size=64 steps=4")
    assert nst(*asked, "hydra.sweep.dir=sweep").status == 0

    before = {path: path.stat().st_mtime_ns for path in sweep.glob("[0-9]/*")}
    shutil.rmtree(sweep / "2")
    assert nst(*asked, "hydra.sweep.dir=sweep").status == 0
    kept = {path: path.stat().st_mtime_ns for path in sweep.glob("[0-9]/*")}
    assert {path for path in before if kept[path] != before[path]} == {
        path for path in before if path.parent.name == "2"
    }


def test_a_sweep_does_not_mix_with_what_a_folder_holds(nst: Door, photo: Path, tmp_path: Path) -> None:
    from PIL import Image

    arguments = ("size=64", "steps=1", "tracking=none", "judge=none", f"content={photo}")
    assert nst("-m", *arguments, "seed=0,1", "hydra.sweep.dir=sweep").status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "sweep").glob("[0-9]/*.*")}
    other = nst("-m", *arguments, "seed=1,2", "hydra.sweep.dir=sweep")
    assert other.status == 2
    assert "sweep/0: that run had seed=0, this one has seed=1" in other.err
    Image.open(photo).rotate(180).save(photo)
    changed = nst("-m", *arguments, "seed=0,1", "hydra.sweep.dir=sweep")
    assert changed.status == 2
    assert "made from another content" in changed.err
    assert {path: path.read_bytes() for path in (tmp_path / "sweep").glob("[0-9]/*.*")} == before

    alone = nst(*arguments)
    into = nst("-m", *arguments, "seed=0,1", f"hydra.sweep.dir={alone.folder}")
    assert into.status == 2
    assert "a single run is there" in into.err
    assert into.err.count("\n") == 1


@pytest.mark.parametrize("name", ["multirun.yaml", "1", "wandb", "report.html"])
def test_a_sweep_follows_no_link_in_its_folder(name: str, nst: Door, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "notes").write_text("mine")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).symlink_to(private / "notes" if "." in name else private)
    asked = ("-m", "size=64", "steps=1", "seed=0,1", "tracking=none", "hydra.sweep.dir=sweep")
    result = nst(*asked)
    assert result.status == 2
    assert result.err.endswith(f"{name}: a link; a run continues only in a folder that holds the files themselves\n")
    assert (private / "notes").read_text() == "mine"
    assert [path.name for path in private.iterdir()] == ["notes"]
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == [name]


def test_a_job_of_a_sweep_gives_the_picture_it_gives_alone(nst: Door, tmp_path: Path) -> None:
    arguments = ("size=64", "steps=4", "tracking=none", "judge=none", "init=noise")
    swept = "style=swirl,waves", "style_weight=1e3,1e6", "style_layers=[conv_1],[conv_2]"
    assert nst("-m", *arguments, *swept, "hydra.sweep.dir=sweep").status == 0
    for job, alone in (
        (0, ("style=swirl", "style_weight=1e3", "style_layers=[conv_1]")),
        (3, ("style=swirl", "style_weight=1e6", "style_layers=[conv_2]")),
        (6, ("style=waves", "style_weight=1e6", "style_layers=[conv_1]")),
    ):
        assert np.array_equal(pixels(tmp_path / "sweep" / str(job) / "result.png"), nst(*arguments, *alone).pixels())


def test_jobs_share_the_backbone_and_what_is_encoded(
    nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nst.backbones import Backbone

    passes: list[int] = []
    forward = Backbone.forward

    def counted(self: Backbone, image: object) -> object:
        passes.append(id(self))
        return forward(self, image)  # type: ignore[arg-type]

    monkeypatch.setattr(Backbone, "forward", counted)
    counts: list[int] = []
    for weights in ("1", "1,2,3"):
        passes.clear()
        asked = ("optimizer=adam", "size=64", "steps=3", "tracking=none", "judge=none", "backbone.scale=as_trained")
        varied = (f"seed={len(counts)}", f"style_weight={weights}", f"hydra.sweep.dir=sweep{weights[-1]}")
        assert nst("-m", *asked, *varied).status == 0
        counts.append(len(passes))
        assert len(set(passes)) == 1
    # content, style and the memory of a step once in each sweep
    assert counts[1] - 3 == 3 * (counts[0] - 3)


def test_a_changed_file_is_read_again(nst: Door, photo: Path, tmp_path: Path) -> None:
    from PIL import Image

    arguments = ("size=64", "steps=1", "tracking=none", "judge=none", "init=content", f"content={photo}")
    first = nst(*arguments)
    Image.open(photo).rotate(180).save(photo)
    second = nst(*arguments)
    assert first.record["inputs"]["content"] != second.record["inputs"]["content"]
    assert not np.array_equal(first.pixels(), second.pixels())


def test_a_search_minimizes_a_figure_of_the_record(nst: Door, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra optuna is not installed")
    import yaml

    arguments = ("size=64", "steps=3", "tracking=none", "judge=none", "optimized_metric=tv", "hydra.sweeper.n_trials=5")
    result = nst("experiment=adam_search", *arguments, "hydra.sweep.dir=search")
    assert result.status == 0, result.err
    records = [json.loads(path.read_text()) for path in tmp_path.glob("search/*/record.json")]
    assert len(records) == 5
    best = min(records, key=lambda record: record["losses"]["loss/tv"])
    found = yaml.safe_load((tmp_path / "search" / "optimization_results.yaml").read_text())
    assert found["best_value"] == pytest.approx(best["losses"]["loss/tv"])
    assert found["best_params"]["optimizer.lr"] == pytest.approx(best["config"]["optimizer"]["lr"])

    refused = nst("experiment=adam_search", *arguments, "content=missing.png", "hydra.sweep.dir=none")
    assert refused.status == 2
    assert "content=missing.png: no such file or sample" in refused.err
    assert "No trials are completed" not in refused.err
    assert not (tmp_path / "none").exists()


ZIPPED = "zip={content:[coffee,rocket],style:[waves,swirl]}"


def test_keys_that_go_together(nst: Door, tmp_path: Path) -> None:
    small = ("size=64", "steps=1", "tracking=none", "judge=none")
    result = nst(ZIPPED, "style_weight=1e3,1e6", *small, "hydra.sweep.dir=sweep")  # -m is understood
    assert result.status == 0, result.err
    configs = [json.loads(path.read_text())["config"] for path in sorted(tmp_path.glob("sweep/*/record.json"))]
    assert [(each["content"], each["style"], each["style_weight"]) for each in configs] == [
        ("coffee", "waves", 1e3),
        ("coffee", "waves", 1e6),
        ("rocket", "swirl", 1e3),
        ("rocket", "swirl", 1e6),
    ]
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert page.count("<td><figure") + page.count("<td>\n") == 4  # pairs × weights are a grid
    assert "coffee + waves" in page
    header = (tmp_path / "sweep" / "runs.csv").read_text().splitlines()[0]
    assert header.startswith("folder,content,style,style_weight,")
    again = nst("resume=sweep", "hydra.run.dir=unused")
    assert again.status == 0, again.err
    assert again.out.count("kept ") == 4


def test_a_zip_of_nothing_is_none(nst: Door) -> None:
    assert nst("zip=null", *SMALL, "steps=1", "hydra.sweep.dir=sweep").status == 0


@pytest.mark.parametrize(("error", "status"), [(OSError(28, "No space", "it"), 2), (RuntimeError("a bug"), 1)])
def test_a_sweep_whose_start_fails_runs_nothing_and_leaves_nothing(
    error: Exception, status: int, nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(sweeps, "write_json", fails)
    result = nst("-m", *SMALL, "seed=1,2", "hydra.sweep.dir=some/sweep")
    assert result.status == status
    assert ("Traceback" in result.err) == (status == 1)
    assert list(tmp_path.iterdir()) == []


def test_groups_go_together_too_and_come_from_an_experiment(nst: Door, tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "# @package _global_\nzip:\n  style_loss: [gram, moments]\n  style_weight: [1, 2]\n"
        "  style: [[swirl, waves], mosaic]\nhydra:\n  mode: MULTIRUN\n"
    )
    result = nst(
        "experiment=experiment/mine.yaml", "size=64", "steps=1", "tracking=none", "judge=none", "hydra.sweep.dir=sweep"
    )
    assert result.status == 0, result.err
    configs = [json.loads(path.read_text())["config"] for path in sorted(tmp_path.glob("sweep/*/record.json"))]
    found = [(each["style_loss"]["name"], each["style_weight"], each["style"]) for each in configs]
    assert found == [("gram", 1, ["swirl", "waves"]), ("moments", 2, "mosaic")]


def test_repeats_are_one_row_with_a_mean_and_a_deviation(nst: Door, tmp_path: Path) -> None:
    asked = ("repeats=3", "init=noise", "style_weight=1e3,1e6", *SMALL, "steps=2", "seed=5", "hydra.sweep.dir=sweep")
    result = nst(*asked)
    assert result.status == 0, result.err
    records = [json.loads((tmp_path / "sweep" / str(job) / "record.json").read_text()) for job in range(6)]
    seeds = [(record["config"]["style_weight"], record["config"]["seed"]) for record in records]
    assert seeds == [(weight, seed) for weight in (1e3, 1e6) for seed in (5, 6, 7)]
    header, _, *rows = (tmp_path / "sweep" / "runs.md").read_text().splitlines()
    assert len(rows) == 2
    columns = header.strip("| ").split(" | ")
    totals = [record["losses"]["loss/total"] for record in records[:3]]
    shown = rows[0].strip("| ").replace("*", "").split(" | ")[columns.index("loss/total")]
    mean, deviation = (float(each) for each in shown.split(" ± "))
    assert mean == pytest.approx(np.mean(totals), rel=1e-2)
    assert deviation == pytest.approx(np.std(totals, ddof=1), rel=0.1)
    assert len((tmp_path / "sweep" / "runs.csv").read_text().splitlines()) == 7
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert page.count('id="picture-') == 2
    assert page.count("one of 3") == 2
    assert page.count("seed 7</figcaption>") == 2  # a click away


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["zip={content:[coffee],style:[waves,swirl]}"], "content has 1, style has 2"),
        (["zip=[coffee]"], "must be lists that go together"),
        (["zip={content:coffee}"], "must be lists that go together"),
        ([ZIPPED, "content=rocket"], "sets content already"),
        (["repeats=2", "seed=1,2"], "the seeds are chosen already"),
        (["repeats=0"], "repeats=0: must be at least 1"),
        (["repeats=2", "experiment=adam_search"], "a search chooses its own runs"),
        (["zip={styl:[a,b]}"], "no key 'styl'"),
        (["-m", "seed=range(0,1000000000)"], "asks for 10001 jobs or more; a sweep has at most 10000"),
        (["-m", "style_weight=range(0,1,0.01)", "seed=range(0,200)"], "asks for 20000 jobs or more"),
    ],
)
def test_what_cannot_go_together_is_refused(asked: list[str], said: str, nst: Door, tmp_path: Path) -> None:
    result = nst(*asked, "size=64", "steps=1", "tracking=none", "judge=none", "hydra.sweep.dir=sweep")
    assert result.status == 2
    assert said in result.err
    assert result.err.count("\n") == 1, result.err
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("submitit_slurm", "submitit"), ("joblib", "joblib")])
def test_a_launcher_that_is_not_installed_is_named_with_its_extra(launcher: str, extra: str) -> None:
    from hydra.errors import MissingConfigException

    from nst.cli.messages import explain

    error = MissingConfigException("", f"hydra/launcher/{launcher}", ["basic"])
    assert f"pip install -e '.[{extra}]'" in (explain(error) or "")


def test_a_job_that_breaks_costs_no_other_and_keeps_its_own_traceback(
    nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(task: Task) -> None:
        assert isinstance(task, Pixels)
        style = task.objective.terms["style"]
        assert isinstance(style, Style)
        if len(style.targets) == 1:
            raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Task, "before_chunk", broken)
    asked = ("-m", "size=64", "steps=2", "tracking=none", "judge=none", "hydra.sweep.dir=sweep")
    swept = "style_layers=[conv_1,conv_2],[conv_1],[conv_1,conv_3]"
    result = nst(*asked, swept)
    assert result.status == 1
    records = [json.loads((tmp_path / "sweep" / str(job) / "record.json").read_text()) for job in range(3)]
    assert [record["status"] for record in records] == ["finished", "failed", "finished"]
    assert records[1]["error"] == "RuntimeError: a bug of ours"
    (log,) = (tmp_path / "sweep").glob("*/error.log")
    assert log.parent.name == "1"
    assert "Traceback (most recent call last)" in log.read_text()
    assert "before_chunk" in log.read_text()


def test_joblib_goes_on_and_ends_the_same_and_a_signal_lets_its_processes_save(
    nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="joblib is not installed")
    common = (*SMALL, "optimizer=adam", "tracking.loss_every=2")
    whole = nst(*common, "steps=6", "optimizer.lr=0.02")
    jobs = "zip={optimizer.lr:[0.02,1e30,0.02],steps:[6,6,100000]}"
    asked = ["-m", *(each for each in common if not each.startswith("steps=")), jobs, "hydra.sweep.dir=sweep"]
    stop_at(4, monkeypatch)
    assert nst(*asked, "trainer.checkpoint_seconds=1e-6").status == 130
    sweep = tmp_path / "sweep"
    assert statuses(sweep) == ["interrupted"]

    process = Command(*asked, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    while not (sweep / "2" / "losses.csv").exists() or statuses(sweep)[:2] != ["finished", "diverged"]:
        assert process.status is None, process.said
        time.sleep(0.05)
    process.send(signal.SIGTERM)
    assert process.end().status == 128 + signal.SIGTERM, process.said
    assert statuses(sweep) == ["finished", "diverged", "interrupted"]
    assert np.array_equal(pixels(sweep / "0" / "result.png"), whole.pixels())
    assert (sweep / "2" / "checkpoint.ckpt").exists()
    assert "the pixels have left all bounds" in process.err


def statuses(sweep: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in sorted(sweep.glob("*/record.json"))]


def test_a_sweep_can_stop_at_the_first_failure_and_be_completed(nst: Door, photo: Path, tmp_path: Path) -> None:
    asked = ("-m", *SMALL, "steps=1", "content=chelsea,later.png,coffee,rocket", "hydra.sweep.dir=sweep")
    result = nst(*asked, "sweep.fail_fast=true")
    assert result.status == 1
    assert statuses(tmp_path / "sweep") == ["finished", "refused", "skipped", "skipped"]
    assert "job 1 refused, and sweep.fail_fast=true" in result.out
    assert "skipped" in (tmp_path / "sweep" / "report.html").read_text()
    photo.rename("later.png")
    completed = nst(*asked, "sweep.fail_fast=true")
    assert completed.status == 0, completed.err
    assert statuses(tmp_path / "sweep") == ["finished"] * 4
    assert completed.out.count("kept ") == 1


def test_no_job_starts_when_the_time_is_over(nst: Door, tmp_path: Path) -> None:
    asked = ("-m", *SMALL, "steps=1", "seed=0,1,2", "hydra.sweep.dir=sweep")
    result = nst(*asked, "sweep.minutes=1e-9")
    assert result.status == 1
    assert statuses(tmp_path / "sweep") == ["skipped"] * 3
    assert result.out.splitlines()[-1].startswith("continue ")
    assert nst(*asked, "sweep.minutes=10").status == 0
    assert statuses(tmp_path / "sweep") == ["finished"] * 3


def test_a_dry_run_tells_time_and_memory_and_leaves_nothing(nst: Door, tmp_path: Path) -> None:
    asked = ("-m", *SMALL, "style_weight=1e3,1e6", "size=96,128", "hydra.sweep.dir=sweep", "sweep.dry_run=true")
    result = nst(*asked)
    assert result.status == 0, result.err
    jobs = [line for line in result.out.splitlines() if line.startswith("job ")]
    found = [re.fullmatch(r"job (\d)   (.+)   6 steps   about ([\d.]+) s   0.0\d+ GB", line) for line in jobs]
    assert [match[2] for match in found if match] == [
        f"size={size} style_weight={weight}" for size in (96, 128) for weight in ("1e3", "1e6")
    ]
    assert re.search(r"^4 jobs   about [\d.]+ s in all", result.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []
    assert nst("experiment=adam_search", "sweep.dry_run=true").status == 2
    assert "leave out hydra/launcher=" in nst(*asked, "hydra/launcher=submitit_local").err
    assert list(tmp_path.iterdir()) == []
