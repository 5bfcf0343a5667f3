"""resume and rerun: runs and sweeps taken up by what they left, and a machine that kills them at any moment."""

import json
import os
import random
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst import run
from nst.errors import InputError
from nst.files import locked
from nst.record.record import Record
from tests.cli.test_sweeps import stop_at
from tests.conftest import ROOT, SMALL, Door, exit_status, pixels
from tools.soak.processes import Command

KILLS = 2
"""How often a run is killed before it may end; `make soak` does it for longer, and in every mode."""


def test_a_run_goes_on_in_its_own_folder(nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = (*SMALL, "init=noise", "steps=8", "tracking.loss_every=2", "question=is it the same?")
    whole = nst(*asked, "hydra.run.dir=whole")
    stop_at(4, monkeypatch)
    assert nst(*asked, "hydra.run.dir=half", "trainer.checkpoint_seconds=1e-6").status == 130
    monkeypatch.chdir(tmp_path)
    resumed = nst("resume=half", "hydra.run.dir=half")
    assert resumed.status == 0, resumed.err
    assert np.array_equal(pixels(tmp_path / "half" / "result.png"), pixels(tmp_path / "whole" / "result.png"))
    steps = [line.split(",")[0] for line in (tmp_path / "half" / "losses.csv").read_text().splitlines()]
    assert steps == ["step", "0", "2", "4", "6", "8"]
    record = json.loads((tmp_path / "half" / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["config"]["question"] == "is it the same?"
    assert "steps=8" in record["command"]
    assert [each["command"] for each in record["resumed"]] == ["python -m nst.run resume=half hydra.run.dir=half"]
    assert whole.status == 0

    again = nst("resume=half", "hydra.run.dir=half")
    assert again.status == 2
    assert "that run has finished" in again.err


def test_a_run_goes_on_with_more_steps_and_with_nothing_else_changed(
    nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = (*SMALL, "steps=6", "tracking.loss_every=2", "hydra.run.dir=half")
    stop_at(2, monkeypatch)
    assert nst(*asked, "trainer.checkpoint_seconds=1e-6").status == 130
    before = {path: path.read_bytes() for path in (tmp_path / "half").glob("*.*")}
    other = nst("resume=half", "style_weight=3", "hydra.run.dir=half")
    assert other.status == 2
    assert "that run had style_weight=1000000.0, this one has style_weight=3.0" in other.err
    several = nst("resume=half", "rerun=half")
    assert several.status == 2
    assert {path: path.read_bytes() for path in (tmp_path / "half").glob("*.*")} == before
    assert nst("resume=half", "steps=8", "hydra.run.dir=half").status == 0
    assert (tmp_path / "half" / "losses.csv").read_text().splitlines()[-1].startswith("8,")


def test_a_sweep_goes_on_with_what_is_missing(nst: Door, tmp_path: Path) -> None:
    assert nst("-m", *SMALL, "seed=0,1,2", "init=noise", "hydra.sweep.dir=my sweep").status == 0
    sweep = tmp_path / "my sweep"
    before = {job: (sweep / job / "result.png").stat().st_mtime_ns for job in "012"}
    missing = pixels(sweep / "1" / "result.png")
    shutil.rmtree(sweep / "1")
    resumed = nst("resume=my sweep", "hydra.sweep.dir=ignored", "-m")
    assert resumed.status == 0, resumed.err
    assert np.array_equal(pixels(sweep / "1" / "result.png"), missing)
    after = {job: (sweep / job / "result.png").stat().st_mtime_ns for job in "012"}
    assert [job for job in "012" if before[job] != after[job]] == ["1"]


def test_a_picture_is_made_again_from_its_own_text(nst: Door, photo: Path, tmp_path: Path) -> None:
    first = nst(*SMALL, f"content={photo.name}", "init=noise", "seed=5", "style=waves", "optimizer=adam")
    shutil.copy(first.folder / "result.png", tmp_path / "kept.png")
    shutil.rmtree(first.folder)
    again = nst("rerun=kept.png", "tracking=none")
    assert again.status == 0, again.err
    assert np.array_equal(again.pixels(), pixels(tmp_path / "kept.png"))
    assert "again    kept.png, bit for bit" in again.out
    assert "differs" not in again.out
    other = nst("rerun=kept.png", "tracking=none", "seed=6")
    assert "of 255 levels" in other.out
    assert other.record["config"]["seed"] == 6

    Image.open(photo).rotate(180).save(photo)
    changed = nst(f"rerun={again.folder}", "tracking=none")
    assert changed.status == 0
    assert "differs  content: " in changed.out
    assert any(line.startswith("content: ") for line in changed.record["rerun"]["differs"])
    photo.unlink()
    gone = nst("rerun=kept.png", "tracking=none")
    assert gone.status == 2
    assert (
        gone.err == "nst: rerun=kept.png: its content, photo.png, is gone; put it back, or give another with content=\n"
    )


def test_a_training_is_taken_up_with_its_own_sections(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ("generator.width=4", "generator.blocks=0", "data.size=32", "data.workers=0", "tracking=none")
    asked = ("mode=train", *small, "steps=4", "style_layers=[conv_1]", "tracking.loss_every=2")
    whole = nst(*asked, "hydra.run.dir=whole")
    assert whole.status == 0, whole.err
    stop_at(2, monkeypatch)
    assert nst(*asked, "hydra.run.dir=half", "trainer.checkpoint_seconds=1e-6").status == 130
    resumed = nst("resume=half", "hydra.run.dir=half")
    assert resumed.status == 0, resumed.err
    generators = [Path(folder, "generator.safetensors").read_bytes() for folder in ("half", "whole")]
    assert generators[0] == generators[1]
    again = nst("rerun=whole", "tracking=none", "hydra.run.dir=again")
    assert again.status == 0, again.err
    assert "bit for bit" in again.out
    varied = nst("rerun=whole", "data.batch=2", "tracking=none", "hydra.run.dir=varied")
    assert varied.status == 0, varied.err
    assert json.loads(Path("varied/record.json").read_text())["config"]["data"]["batch"] == 2


def test_a_record_with_old_names_is_made_again(nst: Door) -> None:
    first = nst(*SMALL, "init=noise", "scales=1", "style_loss=gram", "style_loss.normalize=hw")
    record = first.record
    config = record["config"] | {"levels": 1, "alpha": "white", "minimise": "total", "style_loss": {"gram": "hw"}}
    for name in ("scales", "background", "optimized_metric"):
        del config[name]
    config["optimizer"] = {"name": "lbfgs", "lr": 1.0, "history": 10}
    for name in ("judge", "sweep", "repeats", "zip"):  # they came later
        del config[name]
    config["pair"] = ["chelsea", "swirl"]  # it was replaced by zip, and was in content and style, too
    config["trainer"]["processes"] = config["trainer"].pop("devices")
    old = {"config": config, "inputs": {role: files[0] for role, files in record["inputs"].items()}}
    del record["decided"], record["roles"]
    (first.folder / "record.json").write_text(json.dumps(record | old))
    again = nst(f"rerun={first.folder}", "tracking=none")
    assert again.status == 0, again.err
    assert "bit for bit" in again.out


def test_a_run_from_before_there_were_judges_goes_on(nst: Door) -> None:
    first = nst(*SMALL)
    record = first.record
    for name in ("judge", "sweep", "repeats", "zip"):
        del record["config"][name]
    record["config"] |= {"pair": None, "optimized_metric": "loss/total"}
    (first.folder / "record.json").write_text(json.dumps(record))
    longer = nst(f"resume={first.folder}", "steps=8", "hydra.run.dir=run")
    assert longer.status == 0, longer.err
    assert json.loads((first.folder / "record.json").read_text())["figures"]


@pytest.mark.parametrize(("key", "value"), [("style_loss", "${steps}"), ("style", 3), ("style", {"a": 1})])
def test_a_record_with_another_kind_of_value_is_refused(key: str, value: object, nst: Door) -> None:
    record = (first := nst(*SMALL, "steps=1")).record
    record["config"][key] = value
    (first.folder / "record.json").write_text(json.dumps(record))
    again = nst("rerun=run", "tracking=none")
    assert again.status == 2
    assert again.err.startswith("nst: ")
    assert again.err.count("\n") == 1, again.err


def test_what_differs_from_the_machine_of_then_is_said(nst: Door) -> None:
    first = nst(*SMALL)
    record = first.record
    record["versions"]["torch"], record["git"] = "1.0", {"commit": "0123456789abcdef", "changed": False}
    (first.folder / "record.json").write_text(json.dumps(record))
    again = nst(f"rerun={first.folder}", "tracking=none")
    assert "differs  torch: 1.0 then" in again.out
    assert "differs  commit: 0123456789 then" in again.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no record of a run"),
        ("{", "no record of a run: no JSON"),
        ("[" * 100_000, "no record of a run: no JSON"),
        ('{"losses": {"loss/total": NaN}}', "no JSON (NaN is no number)"),
        (
            '{"inputs": {"content": [{"path": 3, "sha256": ""}]}}',
            "inputs.content.0.path: Input should be a valid string",
        ),
        ('{"config": ' + '{"a": ' * 40 + "1" + "}" * 41, "nested more than 32 deep"),
        (
            '{"config": {"optimizer": {"lr": 1' + "0" * 400 + "}}}",
            "config.optimizer.lr: a number of more than 38 digits",
        ),
        ('{"version": 2}', "version: Input should be less than or equal to 1"),
        (
            '{"config": {"mode": "transfer", "steps": 3}, "inputs": {}, "weights": {}}',
            "made by another version of nst, or by none",
        ),
        (
            '{"config": {"mode": "transfer", "optimizer": {"name": "adam"}, "stepz": 3}, "inputs": {}, "weights": {}, '
            '"git": {"commit": "0123456789abcdef", "changed": false}}',
            "made by another version of nst, commit 0123456789, or by none",
        ),
    ],
)
def test_a_picture_without_a_record_is_not_made_again(text: str | None, said: str, nst: Door, tmp_path: Path) -> None:
    chunk = PngInfo()
    if text:
        chunk.add_text("nst", text)
    Image.new("RGB", (8, 8)).save("it.png", pnginfo=chunk)
    result = nst("rerun=it.png")
    assert result.status == 2
    assert said in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["it.png"]


def test_a_run_that_is_killed_at_any_moment_goes_on_to_the_same_picture(nst: Door, tmp_path: Path) -> None:
    asked = [*SMALL, "init=noise", "scales=2", f"steps={100 * KILLS + 100}"]
    asked += ["tracking.loss_every=3", "tracking.image_every=9"]
    whole = nst(*asked, "hydra.run.dir=whole")
    assert whole.status == 0
    drawn = random.Random(KILLS)
    asked += ["trainer.checkpoint_seconds=1e-3", "hydra.run.dir=killed"]
    folder, kills = tmp_path / "killed", 0
    while kills < KILLS:
        begun = (folder / "record.json").exists()
        process = Command(*(["resume=killed"] if begun else asked))
        before = (folder / "losses.csv").stat().st_mtime_ns if (folder / "losses.csv").exists() else 0
        while process.status is None:
            if (folder / "losses.csv").exists() and (folder / "losses.csv").stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, 0.3))
        process.send(signal.SIGKILL)
        assert process.end().status == -signal.SIGKILL, process.said
        json.loads((folder / "record.json").read_text())
        kills += 1
        for path in folder.glob("progress/*.jpg"):
            pixels(path)
    done = Command("resume=killed").end()
    assert done.status == 0, done.said
    assert np.array_equal(pixels(folder / "result.png"), pixels(tmp_path / "whole" / "result.png"))
    rows, expected = ((tmp_path / name / "losses.csv").read_text().splitlines() for name in ("killed", "whole"))
    assert [row.split(",")[0] for row in rows] == [row.split(",")[0] for row in expected]
    assert not list(folder.rglob("*.part"))


def test_inputs_are_found_from_another_folder_and_known_by_what_is_in_them(
    nst: Door, photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = (*SMALL, "init=noise", f"content={photo.name}", "steps=4", "tracking.loss_every=2")
    assert nst(*asked, "hydra.run.dir=whole").status == 0
    for folder in ("half", "moved"):
        stop_at(2, monkeypatch)
        assert nst(*asked, f"hydra.run.dir={folder}").status == 130
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    resumed = nst("resume=../half", "hydra.run.dir=../half")
    assert resumed.status == 0, resumed.err
    photo.rename(elsewhere / "renamed.png")
    gone = nst("resume=../moved", "hydra.run.dir=../moved")
    assert gone.status == 2
    assert "content=photo.png: no such file" in gone.err
    given = nst("resume=../moved", "content=renamed.png", "hydra.run.dir=../moved")
    assert given.status == 0, given.err
    for folder in ("half", "moved"):
        assert np.array_equal(pixels(tmp_path / folder / "result.png"), pixels(tmp_path / "whole" / "result.png"))


def test_every_relative_path_of_a_run_is_found_from_another_folder(
    nst: Door, photo: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save("half.png")
    shutil.copy(ROOT / "nst" / "backbones" / "slim.safetensors", "weights.safetensors")
    shutil.copytree(photos, "styles")
    for path in sorted(Path("styles").iterdir())[2:]:
        path.unlink()
    regions = "regions=[{mask: half.png, style: photos/0.png}, {mask: rest, style: waves}]"
    small = ("mode=train", "tracking=none", "generator.width=4", "generator.blocks=1", "data.size=48", "data.workers=0")
    asked = {
        "regions": (*SMALL, "content=photo.png", regions, "init=photo.png", "backbone.weights=weights.safetensors"),
        "folder": (*SMALL, "content=photo.png", "style=styles", "init=noise"),
        "train": (*small, "data.dir=photos", "style=photo.png", "data.batch=2", "steps=6"),
    }
    for name, words in asked.items():
        stop_at(2, monkeypatch)
        stopped = nst(*words, f"hydra.run.dir={name}", "trainer.checkpoint_seconds=1e-6", "tracking.loss_every=2")
        assert stopped.status == 130, stopped.err
    swept = nst("-m", *SMALL, "steps=1", "content=photo.png,half.png", regions, "hydra.sweep.dir=sweep")
    assert swept.status == 0, swept.err
    shutil.rmtree("sweep/1")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    Path("init").mkdir()
    monkeypatch.chdir(elsewhere)
    for name in asked:
        resumed = nst(f"resume=../{name}", f"hydra.run.dir=../{name}")
        assert resumed.status == 0, resumed.err
    again = nst("resume=../sweep")
    assert again.status == 0, again.err
    assert "kept     ../sweep/0" in again.out
    painted = nst(
        "mode=stylize", "checkpoint=../train", "content=../photo.png", "tracking=none", "hydra.run.dir=../painted"
    )
    assert painted.status == 0, painted.err
    monkeypatch.chdir(tmp_path)
    for name in ("painted", "regions"):
        again = nst(f"rerun={name}", f"hydra.run.dir=again/{name}")
        assert again.status == 0, again.err
    assert np.array_equal(pixels(Path("again/regions/result.png")), pixels(Path("regions/result.png")))


def test_a_path_is_not_taken_from_where_something_else_is(nst: Door, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch" / "deep").mkdir(parents=True)
    Path("link").symlink_to(tmp_path / "scratch" / "deep")
    assert nst(*SMALL, "steps=1", "content=photo.png", "hydra.run.dir=link/run").status == 0
    (tmp_path / "elsewhere").mkdir()
    os.chdir("elsewhere")
    rerun = nst("rerun=../link/run", "tracking=none", "hydra.run.dir=again")
    assert rerun.status == 0, rerun.err
    assert rerun.out.splitlines()[-1].endswith("bit for bit")
    record = json.loads(Path("again/record.json").read_text())
    assert record["config"]["content"] == "../photo.png"

    lone = tmp_path / "theirs" / "x" / "a" / "b" / "lone.png"
    lone.parent.mkdir(parents=True)
    shutil.copy("../link/run/result.png", lone)
    for folder in lone.parents[:4]:
        Image.new("RGB", (64, 48)).save(folder / "photo.png")  # of theirs, where ours was from the run's folder
    gone = nst(f"rerun={lone}", "hydra.run.dir=alone")
    assert (gone.status, "its content, photo.png, is gone" in gone.err) == (2, True)

    far = Path("../link/run/record.json")
    far.write_text(json.dumps(json.loads(far.read_text()) | {"working_folder": "../" * 1300}))
    refused = nst("rerun=../link/run", "hydra.run.dir=far")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "its content, photo.png, is gone" in refused.err


def test_a_run_does_not_go_on_with_its_files_in_other_places(
    nst: Door, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(photo, "other.png")
    asked = (*SMALL, "init=noise", "hydra.run.dir=half", "trainer.checkpoint_seconds=1e-6", "tracking.loss_every=2")
    stop_at(2, monkeypatch)
    assert nst(*asked, "style=[photo.png,photo.png,waves]").status == 130
    refused = nst(*asked, "style=[photo.png,waves,waves]", "resume=half")
    assert refused.status == 2
    assert (
        "had style=['photo.png', 'photo.png', 'waves'], this one has style=['photo.png', 'waves', 'waves']"
        in refused.err
    )
    assert nst(*asked, "style=[other.png,other.png,waves]", "resume=half").status == 0
    stop_at(2, monkeypatch)
    asked = (*asked[:-3], "hydra.run.dir=one", "trainer.checkpoint_seconds=1e-6", "tracking.loss_every=2")
    assert nst(*asked, "style=photo.png").status == 130
    assert nst(*asked, "style=[other.png]", "resume=one").status == 0


def test_a_job_whose_picture_is_gone_makes_it_again_and_an_unreadable_one_is_left_alone(
    nst: Door, tmp_path: Path
) -> None:
    asked = ("-m", *SMALL, "seed=0,1", "init=noise", "hydra.sweep.dir=sweep")
    assert nst(*asked).status == 0
    sweep = tmp_path / "sweep"
    before = pixels(sweep / "0" / "result.png")
    (sweep / "0" / "result.png").unlink()
    (sweep / "1" / "record.json").write_text('{"config": 3}')
    again = nst(*asked)
    assert again.status == 2, again.err
    assert "1/record.json: no record of a run: config: Input should be a valid dictionary" in again.err
    assert "Error executing" not in again.err
    assert np.array_equal(pixels(sweep / "0" / "result.png"), before)
    assert (sweep / "1" / "record.json").read_text() == '{"config": 3}'


def test_a_sweep_that_was_killed_before_its_first_record_goes_on(nst: Door, tmp_path: Path) -> None:
    assert nst("-m", *SMALL, "steps=1", "seed=0,1", "hydra.sweep.dir=sweep").status == 0
    for job in "01":
        shutil.rmtree(tmp_path / "sweep" / job)
    assert nst("resume=sweep").status == 0
    assert len(list((tmp_path / "sweep").glob("*/result.png"))) == 2


def test_without_folders_that_can_be_locked_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.files.fcntl", None)
    with locked(tmp_path):
        with pytest.raises(InputError, match="another process is working there"), locked(tmp_path):
            pass
        assert (tmp_path / ".lock").exists()
    assert not list(tmp_path.iterdir())


def die_after_the_last_step() -> None:
    Record.add_results = lambda *given: os._exit(9)  # type: ignore[method-assign]


def test_a_run_that_was_killed_after_its_last_step_writes_its_files(nst: Door) -> None:
    asked = [*SMALL, "init=noise"]
    assert nst(*asked, "hydra.run.dir=whole").status == 0
    killed = Command(*asked, "hydra.run.dir=killed", before=die_after_the_last_step).end()
    assert killed.status == 9, killed.said
    assert not Path("killed/result.png").exists()
    done = nst("resume=killed", "hydra.run.dir=killed")
    assert done.status == 0, done.err
    assert np.array_equal(pixels(Path("killed/result.png")), pixels(Path("whole/result.png")))


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each of the next seconds, one run has finished and another is at work."""
    now = datetime.now()
    with ExitStack() as stack:
        for after in range(60):
            folder = tmp_path / (now + timedelta(seconds=after)).strftime("outputs/%Y-%m-%d/%H-%M-%S")
            (working := folder.with_name(f"{folder.name}-2")).mkdir(parents=True)
            folder.mkdir()
            (folder / "record.json").write_text('{"status": "finished"}')
            stack.enter_context(locked(working))
        for _ in range(2):
            monkeypatch.setattr(sys, "argv", ["nst", *SMALL])
            assert exit_status(run.main) == 0
    made = [path.parent.name.rpartition("-")[2] for path in tmp_path.glob("outputs/*/*/result.png")]
    assert made.count("3") + made.count("4") == 2


def test_a_sweep_that_is_told_to_stop_saves_and_goes_on(tmp_path: Path) -> None:
    asked = ["-m", *SMALL, "steps=100000", "seed=0,1", "hydra.sweep.dir=sweep"]
    process = Command(*asked)
    while not (tmp_path / "sweep" / "0" / "losses.csv").exists():
        assert process.status is None
        time.sleep(0.05)
    second = Command(*asked).end()
    assert second.status == 2
    assert "another process is working there" in second.err
    process.send(signal.SIGTERM)
    assert process.end(60).status == 128 + signal.SIGTERM, process.said
    assert "Traceback" not in process.said
    assert json.loads((tmp_path / "sweep" / "0" / "record.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "sweep" / "0" / "checkpoint.ckpt").exists()
    assert not (tmp_path / "sweep" / "1").exists()


def test_a_run_from_before_the_losses_had_one_scale_is_made_again_but_not_resumed(nst: Door) -> None:
    first = nst(*SMALL)
    record = first.record
    del record["config"]["content_loss"]
    (first.folder / "record.json").write_text(json.dumps(record))
    resumed = nst(f"resume={first.folder}", "steps=9")
    assert resumed.status == 2
    assert "of an older nst, whose losses had another scale; rerun= makes it anew" in resumed.err
    again = nst(f"rerun={first.folder}", "tracking=none")
    assert again.status == 0, again.err
    assert "losses: then with another scale and other layer weights" in again.out + again.err
