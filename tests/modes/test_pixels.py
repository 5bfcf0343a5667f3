"""Whole runs through the door: the picture, the record, and what happens when one is stopped."""

import json
import os
import re
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch.nn import functional as F

from nst.engine.task import Task
from nst.images.files import load
from nst.images.samples import find
from nst.runner.recorded import RecordedRun
from tests.cli.test_sweeps import stop_at
from tests.conftest import SHARED, SMALL, TINY, Door, pixels
from tools.soak.processes import Command


def likeness(image: np.ndarray[Any, Any], pixels: np.ndarray[Any, Any]) -> float:
    """SSIM of an image in [0, 1] and 8-bit pixels."""
    return float(structural_similarity(image, pixels / np.float32(255), channel_axis=2, data_range=1))  # type: ignore[no-untyped-call]


def test_a_transfer_leaves_its_whole_record(nst: Door, photo: Path) -> None:
    result = nst(*SMALL, f"content={photo}", "style=swirl", "tracking.loss_every=2", "tracking.image_every=3")
    assert result.status == 0
    files = {str(path.relative_to(result.folder)) for path in result.folder.rglob("*") if path.is_file()}
    inputs = {"inputs/content.jpg", "inputs/style.jpg"}
    pictures = {"result.png", "progress/step_000003.jpg", "progress/step_000006.jpg"}
    assert files == pictures | {"checkpoint.ckpt", "losses.csv", "record.json"} | inputs

    record = result.record
    assert record["status"] == "finished"
    assert record["config"]["style_layers"] == ["conv_1", "conv_2"]  # as asked for
    assert record["decided"]["style_layers"] == ["conv1_1", "conv2_1"]  # canonical names
    assert [file["path"] for file in record["inputs"]["content"]] == [str(photo)]
    made_from = [*record["weights"].values(), *(file for several in record["inputs"].values() for file in several)]
    assert all(len(file["sha256"]) == 64 for file in made_from)
    assert set(record["versions"]) >= {"python", "torch", "nst"}
    assert record["device"]["type"]
    assert record["timings"]["total_seconds"] > record["timings"]["steps_seconds"] > 0
    assert record["timings"]["peak_memory_mb"] > 100

    rows = result.rows()
    header = (result.folder / "losses.csv").read_text().splitlines()[0]
    assert header == "step,seconds,loss/total,loss/content,loss/style,loss/tv"
    assert [row["step"] for row in rows] == [0, 2, 3, 4, 6]
    assert rows[0]["loss/content"] == 0  # it starts from the content
    assert rows[-1]["loss/total"] < rows[0]["loss/total"] / 10
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert record["losses"]["loss/total"] == rows[-1]["loss/total"]

    with Image.open(result.folder / "result.png") as png:
        text = json.loads(png.info["nst"])
    assert text["config"] == record["config"]
    assert text["inputs"] == record["inputs"]
    assert result.pixels().shape == (48, 64, 3)
    assert "result.png" in result.out
    assert len((result.out + result.err).splitlines()) < 25


def test_the_final_losses_are_those_of_the_picture(nst: Door, photo: Path) -> None:
    from nst.backbones import Backbone

    result = nst(*SMALL, f"content={photo}", "style=swirl", "backbone.scale=as_trained")
    backbone = Backbone("slim", ["conv_2"], padding="reflect")
    target, features = (backbone(load(path, 64))["conv2_1"] for path in (photo, result.folder / "result.png"))
    # but for the rounding to 8 bits
    assert float(F.mse_loss(features, target)) == pytest.approx(result.record["losses"]["loss/content"], rel=0.02)


def test_clamping_the_picture_hardly_changes_its_losses(nst: Door) -> None:
    rows = nst("size=96", "steps=60", "tracking=none", "tracking.loss_every=1").rows()
    assert rows[-1]["loss/total"] < 1.05 * rows[-2]["loss/total"]  # the last row is of the clamped picture


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_same_seed_gives_the_same_pixels_and_another_does_not(optimizer: str, nst: Door) -> None:
    arguments = (*SMALL, "init=noise", f"optimizer={optimizer}")
    first, second, other = nst(*arguments), nst(*arguments), nst(*arguments, "seed=1")
    assert np.array_equal(first.pixels(), second.pixels())
    assert not np.array_equal(first.pixels(), other.pixels())


def test_a_reconstruction_resembles_its_content(nst: Door) -> None:
    result = nst("mode=reconstruct", "content_layers=[conv_2]", "size=96", "steps=60", "tracking=none")
    assert set(result.record["inputs"]) == {"content"}
    content = load(find("content", "chelsea"), 96)[0].permute(1, 2, 0).numpy()
    assert likeness(content, result.pixels()) > 0.8  # noise has about 0.01


def test_a_texture_has_the_style_s_colors_and_not_its_places(nst: Door) -> None:
    result = nst("mode=texture", "style_layers=[conv_1,conv_2,conv_3]", "size=96", "steps=80", "tracking=none")
    assert set(result.record["inputs"]) == {"style"}
    style = load(find("style", "swirl"), 96)[0].permute(1, 2, 0).numpy()
    texture = result.pixels() / np.float32(255)
    assert texture.mean((0, 1)) == pytest.approx(style.mean((0, 1)), abs=0.05)
    assert likeness(style, result.pixels()) < 0.3
    rows = result.rows()
    assert rows[-1]["loss/style"] < rows[0]["loss/style"] / 1000


def test_large_weights_are_no_trouble_to_the_optimizer(nst: Door) -> None:
    def weights(factor: int) -> list[str]:
        factors = {"content_weight": 1, "style_weight": 1e6, "tv_weight": 5}
        return [f"{name}={value * 2.0**factor}" for name, value in factors.items()]

    arguments = ("size=64", "steps=20", "tracking=none", "judge=none")
    plain, large = nst(*arguments, *weights(0)), nst(*arguments, *weights(60))
    assert large.status == 0, large.err
    assert np.array_equal(plain.pixels(), large.pixels())  # a power of two changes no digit
    unnormalized = nst(*arguments, "style_loss=gram", "style_loss.normalize=none").rows()
    assert unnormalized[-1]["loss/style"] < unnormalized[0]["loss/style"] / 100


def test_starting_from_the_content_starts_from_just_that(nst: Door) -> None:
    # chelsea is 451×300 pixels: at 64 px its sides have to be rounded
    assert nst(*SMALL, "content=chelsea", "steps=1").rows()[0]["loss/content"] == 0


def test_init_takes_a_style_or_a_file(nst: Door, photo: Path) -> None:
    barely = (*SMALL, "content=coffee", "optimizer=adam", "optimizer.lr=1e-6", "steps=1")
    from_file = nst(*barely, f"init={photo}")
    assert set(from_file.record["inputs"]) == {"content", "style", "init"}
    height, width = from_file.pixels().shape[:2]
    difference = from_file.pixels().astype(float) - pixels(photo, (width, height))
    assert np.abs(difference).mean() < 12
    assert nst(*barely, "init=style", "style=waves").pixels().shape == (height, width, 3)


def test_sizes_are_those_asked_for(nst: Door, photo: Path) -> None:
    result = nst(*SMALL, f"content={photo}", "size=80", "style_size=40")
    assert result.pixels().shape == (60, 80, 3)
    assert max(pixels(result.folder / "inputs" / "style.jpg").shape) == 40


def test_a_path_with_spaces_and_brackets_works_unquoted(nst: Door, photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, tmp_path / "my pic (1)=final.png")
    result = nst(*SMALL, "content=my pic (1)=final.png", "steps=1")
    assert result.status == 0
    assert result.record["config"]["content"] == "my pic (1)=final.png"


@pytest.mark.parametrize("name", ["日本.png", "a${b}.png"])
def test_a_path_outside_ascii_or_like_an_interpolation_works(name: str, nst: Door, photo: Path) -> None:
    photo.rename(photo.with_name(name))
    result = nst(*SMALL, f"content={name}", "steps=1")
    assert result.status == 0, result.err
    assert result.record["inputs"]["content"][0]["path"] == name


def test_a_canvas_smaller_than_the_deepest_layer_is_refused(nst: Door) -> None:
    result = nst("mode=texture", "size=16", "style_size=64", "tracking=none")
    assert result.status == 2
    assert "the image is 16×16 pixels" in result.err


def test_a_folder_holds_one_run(nst: Door, tmp_path: Path) -> None:
    assert nst(*SMALL, "hydra.run.dir=here").status == 0
    before = (tmp_path / "here" / "record.json").read_bytes()
    again = nst(*SMALL, "hydra.run.dir=here")
    assert again.status == 2
    assert "holds a run already" in again.err
    assert (tmp_path / "here" / "record.json").read_bytes() == before


def test_a_loss_that_is_not_finite_ends_the_run_with_one_line(nst: Door) -> None:
    result = nst(*SMALL, "style_weight=1e38", "style_loss=gram", "style_loss.normalize=none")
    assert result.status == 3
    assert "not finite" in result.err
    assert result.err.count("\n") == 1
    assert result.record["status"] == "diverged"
    assert not (result.folder / "result.png").exists()


def test_a_picture_is_laid_out_small_and_finished_large(nst: Door) -> None:
    def sides(*overrides: str) -> list[int]:
        texture = any(each == "mode=texture" for each in overrides)
        result = nst(*(SMALL[:-2] if texture else SMALL), "steps=8", "tracking.image_every=2", *overrides)
        assert result.pixels().shape == (64, 64, 3)
        return [max(pixels(path).shape) for path in sorted((result.folder / "progress").iterdir())]

    assert sides("content=astronaut") == [64] * 4
    assert sides("content=astronaut", "scales=2") == [32, 32, 64, 64]
    assert sides("content=astronaut", "scales=3") == [16, 32, 64, 64]
    deepest = "style_layers=[conv_5]"  # needs 32 pixels a side
    assert "take scales=2" in nst(*SMALL, "content=astronaut", "scales=3", deepest).err
    texture = ("mode=texture", "style=swirl", deepest, "scales=2")
    assert sides(*texture) == [32, 32, 64, 64]
    fewer = nst(*SMALL[:-2], *texture[:-1], "size=40", "smallest_scale=5")  # four scales, but for the deepest layer
    assert fewer.pixels().shape == (40, 40, 3)
    assert fewer.record["decided"]["scales"] < 4
    assert [nst(*SMALL, "steps=2", f"size={size}").record["decided"]["scales"] for size in (191, 192)] == [1, 2]


def test_in_bfloat16_the_picture_is_nearly_the_same(nst: Door) -> None:
    arguments = (*SMALL, "content=astronaut", "steps=20")
    exact, half = nst(*arguments), nst(*arguments, "trainer.precision=bfloat16")
    assert half.record["losses"]["loss/total"] == pytest.approx(exact.record["losses"]["loss/total"], rel=0.2)
    assert not np.array_equal(exact.pixels(), half.pixels())
    assert likeness(exact.pixels() / np.float32(255), half.pixels()) > 0.9


def test_seen_in_strips_the_picture_is_the_same(nst: Door) -> None:
    arguments = (*SMALL, "content=astronaut", "size=96", "layers=classroom", "steps=3")
    at_once, in_strips = nst(*arguments), nst(*arguments, "strip=32")
    assert (at_once.record["memory"]["strips"], in_strips.record["memory"]["strips"]) == (1, 3)
    assert np.abs(at_once.pixels().astype(int) - in_strips.pixels()).max() <= 1
    assert "memory   about" in at_once.out
    assert "in 3 strips" in in_strips.out


def test_an_image_too_large_for_the_memory_is_seen_in_strips_or_refused(
    nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*SMALL, "size=128", "content=astronaut")
    needed = nst(*arguments).record["memory"]["estimated_mb"] * 1e6
    monkeypatch.setattr("nst.modes.pixels.build.free_bytes", lambda device: 0.95 * needed)
    tight = nst(*arguments)
    assert tight.record["memory"]["strips"] == 2
    assert tight.record["decided"]["strip"] == 64  # what it takes to make it again
    monkeypatch.setattr("nst.modes.pixels.build.free_bytes", lambda device: 0.25 * needed)
    refused = nst(*arguments)
    assert refused.status == 2
    said = re.fullmatch(
        r"nst: size: 128×128 pixels take .* even in strips, and .* are free; take size=(\d+)\n", refused.err
    )
    assert said, refused.err
    assert nst(*arguments, f"size={said[1]}").status == 0


def test_where_memory_runs_out_it_is_said_what_takes_less(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def runs_out(task: Task) -> None:
        torch.empty(2**55)  # more than there is

    monkeypatch.setattr(Task, "before_chunk", runs_out)
    result = nst(*SMALL, "content=astronaut")
    assert result.status == 2
    assert result.err == "nst: out of memory: take size=32 or strip=32\n"
    assert result.record["status"] == "refused"


@pytest.mark.parametrize(("optimizer", "end"), [("lbfgs", 4), ("lbfgs", 6), ("adam", 2), ("adam", 6)])
def test_a_run_resumed_from_a_checkpoint_ends_where_the_whole_one_does(
    optimizer: str, end: int, nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*SMALL, "steps=8", "scales=2", f"optimizer={optimizer}", "tracking.loss_every=2")
    whole = nst(*arguments)

    stop_at(end, monkeypatch)
    stopped = nst(*arguments, "trainer.checkpoint_seconds=1e-6")
    assert stopped.status == 130
    assert stopped.record["status"] == "interrupted"
    assert (stopped.folder / "result.png").exists()  # the picture so far
    assert (stopped.folder / "checkpoint.ckpt").stat().st_size < 10e6  # the image, not the network
    assert [row["step"] for row in stopped.rows()] == list(range(0, end, 2))

    resumed = nst(*arguments, "resume=run2")
    assert resumed.status == 0, resumed.err
    assert [row["step"] for row in resumed.rows()] == [0, 2, 4, 6, 8]
    assert np.array_equal(resumed.pixels(), whole.pixels())
    assert resumed.record["losses"] == whole.record["losses"]

    fewer = nst(*arguments, "resume=run2", f"steps={end}")
    assert fewer.status == 2
    assert f"had got to step {end}; ask for more than steps={end}" in fewer.err
    other = nst(*arguments, "resume=run2", "style_weight=7")
    assert other.status == 2
    assert "that run had style_weight=1000000.0, this one has style_weight=7.0" in other.err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_record_and_the_run_goes_on_from_there(
    sent: signal.Signals, nst: Door, tmp_path: Path
) -> None:
    small = (*SMALL, "init=noise")
    process = Command(*small, "steps=100000", "hydra.run.dir=stopped")
    while not (tmp_path / "stopped" / "losses.csv").exists():
        assert process.status is None
        time.sleep(0.05)
    process.send(sent)
    assert process.end(60).status == 128 + sent, process.said
    assert "Traceback" not in process.said
    record = json.loads((tmp_path / "stopped" / "record.json").read_text())
    assert record["status"] == "interrupted"
    assert (tmp_path / "stopped" / "result.png").exists()
    last = (tmp_path / "stopped" / "losses.csv").read_text().splitlines()[-1].split(",")
    assert record["losses"]["loss/total"] == float(last[2])  # of the picture that was saved

    steps = int(last[0]) + 10
    resumed = nst(*small, f"steps={steps}", "resume=stopped")
    whole = nst(*small, f"steps={steps}")
    assert resumed.status == 0, resumed.err
    assert np.array_equal(resumed.pixels(), whole.pixels())


def test_a_signal_while_the_picture_is_judged_has_its_own_status(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RecordedRun, "_judge", lambda *_: signal.raise_signal(signal.SIGTERM))
        stopped = nst(*TINY)
    assert stopped.status == 128 + signal.SIGTERM
    assert stopped.record["status"] == "interrupted"
    assert nst("resume=run", "hydra.run.dir=run").status == 0


def test_a_terminal_shows_a_bar_with_losses_pace_and_time_left() -> None:
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (40, 160)) if hasattr(termios, "tcsetwinsize") else pytest.skip("Python 3.10")
    process = Command(*SMALL, "steps=200", "hydra.run.dir=run", terminal=os.ttyname(end))
    shown = b""
    while process.status is None:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 1024)
    assert process.end().status == 0
    assert re.search(
        r"/200 steps, \d\d:\d\d left, total \S+  content \S+  style \S+  tv \S+  \S+ s/step", shown.decode()
    )
    assert "step 0/" not in process.out  # the lines are for where there is no terminal
    os.close(end)
    os.close(terminal)


def test_a_sweep_is_one_folder_of_numbered_runs(nst: Door, tmp_path: Path) -> None:
    result = nst("-m", *SMALL, "style_weight=1e3,1e6,1e9", "steps=1", "hydra.sweep.dir=sweep")
    assert result.status == 0
    records = [json.loads((tmp_path / "sweep" / str(job) / "record.json").read_text()) for job in range(3)]
    assert [record["config"]["style_weight"] for record in records] == [1e3, 1e6, 1e9]
    assert len({record["name"] for record in records}) == 3


def test_a_sweep_of_refused_jobs_leaves_nothing(nst: Door, tmp_path: Path) -> None:
    result = nst("-m", *SMALL, "content=missing.png,chelsa")
    assert result.status == 2
    assert result.err.count("\n") == 2
    assert list(tmp_path.iterdir()) == []


def hide_wandb() -> None:
    assert "wandb" not in sys.modules
    sys.modules["wandb"] = None  # type: ignore[assignment]


def test_a_signal_that_c_code_turns_into_another_error_stops_the_run(
    nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallowed(path: Path) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ValueError("cannot convert") from None

    monkeypatch.setattr("nst.backbones.weights.load_file", swallowed)
    result = nst(*SMALL, "steps=1")
    assert result.status == 128 + signal.SIGTERM
    assert result.err == ""
    assert not result.folder.exists()


def test_it_runs_without_wandb_installed(tmp_path: Path) -> None:
    done = Command(*SMALL, "steps=1", "hydra.run.dir=run", before=hide_wandb).end()
    assert done.status == 0, done.said
    refused = Command(*SMALL, "tracking=wandb", "hydra.run.dir=refused", before=hide_wandb).end()
    assert refused.status == 2
    assert "tracking=none" in refused.err
    assert not (tmp_path / "refused").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_run_gives_nearly_the_cpu_s_picture(nst: Door) -> None:
    cpu, gpu = (nst(*SMALL, "optimizer=adam", f"trainer={device}") for device in ("cpu", "gpu"))
    assert gpu.record["device"]["type"] == "cuda"
    assert np.abs(cpu.pixels().astype(int) - gpu.pixels().astype(int)).mean() < 2


def test_a_missing_gpu_is_said_in_one_line(nst: Door) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = nst(*SMALL, "trainer=gpu")
    assert result.status == 2
    assert "trainer=auto" in result.err


@pytest.mark.real_weights
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared with real weights")
@pytest.mark.parametrize(
    "arguments",
    [
        ("backbone=squeezenet", "layers=squeezenet", "backbone.weights={}/squeezenet1_0.safetensors"),
        (
            "backbone=vgg19",
            "backbone.weights={}/vgg19_to_conv3_1.safetensors",
            "style_layers=[conv_1,conv_2,conv_3]",
            "content_layers=[conv_3]",
        ),
    ],
    ids=["squeezenet", "vgg19"],
)
def test_real_weights_transfer(arguments: tuple[str, ...], nst: Door) -> None:
    filled = [argument.format(os.fspath(SHARED / "weights")) for argument in arguments]
    result = nst(*filled, "size=64", "steps=20", "tracking=none", "judge=none")
    assert result.status == 0, result.err
    assert result.rows()[-1]["loss/total"] < result.rows()[0]["loss/total"] / 5
