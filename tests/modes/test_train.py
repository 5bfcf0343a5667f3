"""mode=train, mode=stylize and mode=export through the door."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nst.generators import onnx
from nst.generators.data import CropDataset, Positions, find_images
from nst.generators.files import encode, load
from nst.generators.networks import Generator
from nst.modes.stylize.paint import results_of
from nst.modes.train.task import Train
from tests.cli.test_sweeps import stop_at
from tests.conftest import Door, pixels
from tools.soak.processes import Command

SMALL = ("mode=train", "generator.width=4", "generator.blocks=1", "data.size=48", "data.workers=0", "tracking=none")
STYLIZE = ("mode=stylize", "tracking=none")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine images in folders within folders, and three files that are no images."""
    generator = np.random.default_rng(0)
    for index in range(9):
        path = tmp_path / "photos" / "ab"[index % 2] / f"{index}.{('jpg', 'png', 'bmp')[index % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((70, 90), Image.Resampling.BICUBIC).save(path)
    for name in ("notes.txt", "b/empty.jpg", "b/page.html"):
        (tmp_path / "photos" / name).write_text("" if "empty" in name else "no image")
    return tmp_path / "photos"


def cut_short(photos: Path) -> None:
    """Let one of the images end in its middle."""
    (photos / "b" / "3.jpg").write_bytes((photos / "b" / "3.jpg").read_bytes()[:700])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small generator's file, with weights that nobody trained."""
    torch.manual_seed(0)
    path = tmp_path / "generator.safetensors"
    path.write_bytes(encode(Generator("johnson", 4, 1), {"style": {"path": "swirl.jpg"}}))
    return path


@pytest.mark.parametrize("name", ["johnson", "cyclegan"])
def test_twenty_steps_make_the_held_out_loss_fall(name: str, nst: Door) -> None:
    result = nst(*SMALL, f"generator={name}", "steps=20", "tracking.loss_every=10")
    assert result.status == 0, result.err
    rows = result.rows()
    assert [row["step"] for row in rows] == [0, 10, 20]
    assert rows[-1]["loss/style"] < rows[0]["loss/style"] / 2
    assert result.record["losses"]["loss/total"] < rows[0]["loss/total"] / 2
    assert result.record["timings"]["images_per_second"] > 0
    assert result.record["data"]["images"] == 6  # the bundled photographs but for one
    assert result.pixels().shape == (48, 48, 3)  # the one that was held out
    _, description = load(result.folder / "generator.safetensors")
    assert description["generator"] == {"name": name, "width": 4, "blocks": 1}
    assert description["steps"] == 20


def test_a_folder_is_read_to_any_depth_and_what_is_unreadable_is_passed_over(nst: Door, photos: Path) -> None:
    cut_short(photos)
    result = nst(*SMALL, f"data.dir={photos}", "epochs=4", "data.batch=2")
    assert result.status == 1, result.err
    assert "left out images that could not be used: 1; the exit status is 1" in result.out
    data = result.record["data"]
    assert (data["images"], data["not_images"]) == (8, 3)
    assert data["unreadable"] == 1  # the one that is cut short
    assert result.record["decided"]["steps"] == 4 * 8 // 2

    empty = photos / "none"
    empty.mkdir()
    for folder, expected in ((empty, "0 images among 0 files"), ("nowhere", "no such folder")):
        refused = nst(*SMALL, f"data.dir={folder}")
        assert refused.status == 2
        assert expected in refused.err
        assert refused.err.count("\n") == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_training_goes_on_to_the_same_result(
    workers: int, nst: Door, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*SMALL, f"data.dir={photos}", "steps=9", "tracking.loss_every=3", f"data.workers={workers}")
    whole = nst(*arguments)

    stop_at(5, monkeypatch)
    assert nst(*arguments, "trainer.checkpoint_seconds=1e-6").status == 130
    assert nst(*STYLIZE, "checkpoint=run2", "content=coffee", "size=32").status == 0  # with what it has so far
    resumed = nst(*arguments, "resume=run2")
    assert resumed.status == 0, resumed.err
    assert [row["loss/total"] for row in resumed.rows()] == [row["loss/total"] for row in whole.rows()]
    assert (resumed.folder / "generator.safetensors").read_bytes() == (
        whole.folder / "generator.safetensors"
    ).read_bytes()
    other = nst(*arguments, "resume=run2", "generator=cyclegan")
    assert other.status == 2
    assert "that run had generator.name=johnson" in other.err


def test_crops_do_not_depend_on_who_draws_them(photos: Path) -> None:
    crops = CropDataset(find_images(photos)[0], 32, seed=3)
    again = CropDataset(find_images(photos)[0], 32, seed=3)
    assert torch.equal(crops[40][0], again[40][0])
    assert not torch.equal(crops[40][0], crops[49][0])  # an epoch later, another part
    assert not torch.equal(crops[40][0], CropDataset(crops.paths, 32, seed=4)[40][0])
    shares = [set(Positions(0, 36, rank, 3)) for rank in range(3)]
    assert set.union(*shares) == set(range(36))
    assert sum(map(len, shares)) == 36


def probe() -> None:
    """Let a process write down which images it reads, and what it has at its end."""
    seen, read, end = list[int](), CropDataset.__getitem__, Train.end

    def reading(crops: CropDataset, position: int) -> Any:
        seen.append(position)
        return read(crops, position)

    def ended(task: Train) -> None:
        own = int(task.unreadable[:-1].sum())
        end(task)
        weights = [value.double().sum().item() for value in task.generator.state_dict().values()]
        facts = {"seen": seen, "weights": weights, "own": own, "together": task.data_facts()["unreadable"]}
        Path(f"rank{torch.distributed.get_rank()}.json").write_text(json.dumps(facts))

    CropDataset.__getitem__ = reading  # type: ignore[method-assign]
    Train.end = ended  # type: ignore[method-assign, assignment]


def test_two_processes_see_all_data_once_and_end_with_equal_weights(
    nst: Door, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(photos)
    arguments = [*SMALL, f"data.dir={photos}", "epochs=1", "data.batch=4"]
    alone = nst(*arguments)
    shared = [*arguments, "hydra.run.dir=shared", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    commands = []
    for rank in range(2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))  # as a cluster starts them
        commands.append(Command(*shared, before=probe))
    done = [command.end(200) for command in commands]
    assert done[0].status == 1, done[0].said + done[1].said
    assert "".join(each.out for each in done).count("finished in") == 1
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert sorted(ranks[0]["seen"] + ranks[1]["seen"]) == list(range(8))
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert [rank["own"] for rank in ranks].count(1) == 1  # one process met the image that cannot be read
    assert [rank["together"] for rank in ranks] == [1, 1]  # and both know of it
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == sorted(
        path.name for path in alone.folder.iterdir()
    )
    record = json.loads((tmp_path / "shared" / "record.json").read_text())
    assert record["losses"]["loss/total"] == pytest.approx(alone.record["losses"]["loss/total"], rel=1e-3)
    assert record["data"] == alone.record["data"]
    assert record["data"]["unreadable"] == 1


def test_ctrl_c_ends_several_processes_with_a_checkpoint(nst: Door, photos: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, f"data.dir={photos}", "tracking.loss_every=5"]
    shared = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=shared", "steps=100000"]
    command = [sys.executable, "-m", "nst.run", *arguments, *shared]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    losses = tmp_path / "shared" / "losses.csv"
    while not losses.exists() or len(losses.read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    record = json.loads((tmp_path / "shared" / "record.json").read_text())
    assert record["status"] == "interrupted"
    steps = torch.load(tmp_path / "shared" / "checkpoint.ckpt", weights_only=True)["progress"]["step"]
    resumed = nst(*arguments, f"steps={steps + 5}", "resume=shared")
    assert resumed.status == 0, resumed.err
    assert resumed.rows()[-1]["step"] == steps + 5


def test_what_several_processes_cannot_do_is_refused(nst: Door) -> None:
    shared = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    assert "takes one process" in nst("mode=transfer", *shared, "tracking=none").err
    assert "must be a multiple of the 2 processes" in nst(*SMALL, *shared, "data.batch=3").err
    swept = nst("-m", *SMALL, *shared, "seed=0,1")
    assert swept.status == 2
    assert "not in a sweep" in swept.err


def test_what_a_generator_cannot_be_trained_with_is_refused(nst: Door) -> None:
    assert "belongs to another choice of optimizer" in nst(*SMALL, "optimizer=lbfgs").err
    assert "raise data.size" in nst(*SMALL, "data.size=16", "style_layers=[conv_5]", "style_size=64").err


def test_bfloat16_keeps_the_gram_matrix_in_float32(nst: Door) -> None:
    result = nst(*SMALL, "trainer.precision=bfloat16", "trainer=cpu", "steps=4", "style_loss.normalize=none")
    assert result.status == 0, result.err
    assert all(np.isfinite(value) for row in result.rows() for value in row.values())
    from nst.losses.style.gram import gram

    features = torch.rand(1, 3, 20, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = gram(features)
        assert (features[0, 0] @ features[0, 0]).dtype is torch.bfloat16  # what autocast does to other products
    assert torch.equal(mixed, gram(features))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_on_a_gpu_gives_no_nan(nst: Door) -> None:
    result = nst(*SMALL, "trainer=gpu", "trainer.precision=bfloat16", "steps=50", "style_loss.normalize=none")
    assert result.status == 0, result.err
    assert all(np.isfinite(value) for row in result.rows() for value in row.values())


def test_a_painted_image_is_what_the_generator_makes_of_it(nst: Door, checkpoint: Path, photo: Path) -> None:
    result = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photo}")
    assert result.status == 0, result.err
    generator, _ = load(checkpoint)
    image = torch.from_numpy(pixels(photo).copy()).permute(2, 0, 1)[None].float() / 255
    expected = generator(image)[0].permute(1, 2, 0).mul(255).round().numpy()
    assert np.abs(expected - result.pixels()).max() <= 1
    assert result.record["timings"]["median_milliseconds"] > 0
    assert result.record["data"]["generator"]["style"] == {"path": "swirl.jpg"}
    smaller = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photo}", "size=32")
    assert smaller.pixels().shape == (24, 32, 3)
    tiled = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photo}", "tile=16")
    assert np.abs(tiled.pixels().astype(int) - result.pixels()).max() <= 1


def test_transparency_and_own_colors_are_kept(nst: Door, checkpoint: Path, tmp_path: Path) -> None:
    opaque = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (40, 1))
    blue = np.dstack([np.zeros_like(opaque), opaque // 2, np.full_like(opaque, 200), opaque])
    Image.fromarray(blue).save(tmp_path / "clear.png")
    result = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=clear.png")
    assert result.pixels().shape == (40, 64, 4)
    assert np.array_equal(result.pixels()[..., 3], opaque)

    def chroma(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(Image.fromarray(image[..., :3]).convert("YCbCr"), dtype=int)[..., 1:]

    content = np.asarray(Image.open(tmp_path / "clear.png").convert("RGB")).copy()
    content[:] = (120, 110, 140)
    Image.fromarray(content).save(tmp_path / "even.png")
    own = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=even.png", "colors=content")
    styled = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=even.png")
    assert np.abs(chroma(own.pixels()) - chroma(content)).max() <= 2
    assert np.abs(chroma(styled.pixels()) - chroma(content)).max() > 10


def test_a_folder_keeps_its_names(nst: Door, checkpoint: Path, photos: Path) -> None:
    cut_short(photos)
    named = b"b/\xff.png".decode("utf-8", "surrogateescape") if sys.platform == "linux" else "b/ÿ.png"
    Image.new("RGB", (40, 40)).save(photos / "b" / ("n" * 251 + ".png"))
    Image.new("RGB", (40, 40)).save(photos / named)
    Image.new("RGB", (40, 40)).save(photos / "results", "PNG")
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(photos / "pipe.png")
    before = {path: path.read_bytes() for path in photos.rglob("*.*") if path.is_file()}
    result = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photos}", "size=40")
    assert result.status == 1, result.err
    assert "left out images that could not be used: 1; the exit status is 1" in result.out
    found = {path.relative_to(result.folder / "results").as_posix() for path in result.folder.glob("results/*/*")}
    found_in_a = {f"results/{name.removeprefix('a/')}" for name in found if name.startswith("a/")}
    assert found == {
        *("a/0.jpg", "a/2.bmp.png", "a/4.png", "a/6.jpg", "a/8.bmp.png"),
        *("b/1.png", "b/5.bmp.png", "b/7.png", "b/" + "n" * 251 + ".png", named),
    }
    assert pixels(result.folder / "results" / "a" / "0.jpg").shape == (40, 31, 3)
    data: Mapping[str, Any] = result.record["data"]
    assert (data["images"], data["painted"], data["not_images"]) == (12, 11, 3)
    assert data["passed_over"] == ["results/b/3.jpg"]
    assert "passed over" in result.out
    assert {path: path.read_bytes() for path in photos.rglob("*.*") if path.is_file()} == before

    assert result.record["figures"] == {}
    judged = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photos / 'a'}", "size=40", "judge=slim")
    assert judged.status == 0, judged.err
    lines = (judged.folder / "figures.csv").read_text().splitlines()
    assert lines[0].startswith("picture,judge/ssim,judge/self_similarity")
    assert {line.split(",")[0] for line in lines[1:]} == found_in_a
    likeness = [float(line.split(",")[1]) for line in lines[1:]]
    assert judged.record["figures"]["judge/ssim"] == pytest.approx(sum(likeness) / len(likeness))
    assert judged.record["judge"]["network"] == "slim"

    swept = nst("-m", *STYLIZE, f"checkpoint={checkpoint}", f"content={photos / 'a'},{photos / 'b'}", "size=20,30")
    assert swept.status == 1, swept.err
    assert "sheet.jpg" in swept.out

    (photos / "none").mkdir()
    none = nst(*STYLIZE, f"checkpoint={checkpoint}", f"content={photos / 'none'}")
    assert none.status == 2
    assert "no image among its 0 files" in none.err


def test_names_that_would_collide_and_hidden_files(tmp_path: Path) -> None:
    for name in ("a.bmp", "a.bmp.png", ".hidden/b.png", "c/.d.png", "c/e.GIF"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="PNG")
    images, others = find_images(tmp_path)
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in results_of(tmp_path, images).items()} == {
        "results/a.bmp.png": "a.bmp.png",
        "results/a.bmp.png.png": "a.bmp",
        "results/c/e.GIF.png": "c/e.GIF",
    }
    assert others == 0


def test_opacity_turns_and_shrinks_with_its_image(nst: Door, checkpoint: Path, tmp_path: Path) -> None:
    image = Image.new("RGBA", (60, 30), (200, 10, 10, 255))
    image.paste((0, 0, 0, 0), (0, 0, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter to the right
    image.save(tmp_path / "turned.png", exif=exif)
    result = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=turned.png", "size=40")
    assert result.pixels().shape == (40, 20, 4)
    assert result.pixels()[:15, :, 3].max() == 0
    assert result.pixels()[25:, :, 3].min() == 255


def test_an_image_too_small_to_paint_is_refused(nst: Door, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    Image.new("RGB", (3, 3)).save(tmp_path / "many" / "tiny.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "many" / "small.png")
    alone = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=many/tiny.png")
    assert alone.status == 2
    assert "3×3 pixels is too small" in alone.err
    assert not alone.folder.exists()
    both = nst(*STYLIZE, f"checkpoint={checkpoint}", "content=many")
    assert both.status == 1, both.err
    assert both.record["data"]["passed_over"] == ["results/tiny.png"]


def test_steps_by_hand_go_before_the_epochs_of_an_experiment(nst: Door) -> None:
    small = ("data.size=32", "data.workers=0", "generator.width=4", "generator.blocks=0", "tracking=none")
    assert nst("experiment=feedforward", *small, "steps=2").record["decided"]["steps"] == 2


@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports
def test_an_exported_generator_paints_the_same(nst: Door, checkpoint: Path, photo: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        onnxruntime = pytest.importorskip(package, reason="the extra onnx is not installed")
    exported = nst("mode=export", f"checkpoint={checkpoint}", "tracking=none")
    assert exported.status == 0, exported.err
    assert exported.record["data"]["largest_difference"] < onnx.LARGEST_DIFFERENCE
    session = onnxruntime.InferenceSession(exported.folder / "generator.onnx")
    (given,), (painted,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("image", ["batch", 3, "height", "width"])
    assert (painted.name, painted.shape) == ("painted", given.shape)
    painted = [
        nst(*STYLIZE, f"checkpoint={each}", f"content={photo}", "size=50")
        for each in (checkpoint, exported.folder / "generator.onnx", exported.folder / "generator.safetensors")
    ]
    assert [each.status for each in painted] == [0, 0, 0]
    assert np.abs(painted[0].pixels().astype(int) - painted[1].pixels()).max() <= 1
    assert np.array_equal(painted[0].pixels(), painted[2].pixels())
    assert painted[1].record["data"]["generator"]["style"] == {"path": "swirl.jpg"}
    again = nst("mode=export", f"checkpoint={exported.folder / 'generator.onnx'}", "tracking=none")
    assert again.status == 2
    assert "is ONNX already" in again.err
