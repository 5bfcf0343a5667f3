"""mode=distill on the command line, with a teacher and photographs made here; and its parts on their own."""

import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import vgg16

from nst.backbones import Backbone
from nst.losses.style import StyleLoss
from nst.losses.style.gram import Gram
from nst.losses.style.wasserstein import Wasserstein
from nst.slim.distill import Distill
from nst.slim.errors import guidance_error
from nst.slim.on_policy import BATCHES_PAINTED, COARSE_VISITS, VISITS, OnPolicy, Painter
from nst.slim.photos import Crops
from nst.slim.start import pick_channels, reconstruction, squeezed, start_from
from nst.slim.student import Student, folded, of_slim, tap
from tests.conftest import Door


@pytest.fixture
def arguments(teacher: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A teacher with three layers, photographs, and few of their crops to start from."""
    monkeypatch.setattr("nst.slim.distill.START_CROPS", 8)
    return [
        "mode=distill",
        "distill.photos=photos",
        "distill.weights=vgg.safetensors",
        "distill.layers=[relu1_1,relu1_2,relu2_1]",
        "distill.crop=64",
        "distill.batch=2",
        "tracking=none",
        "tracking.loss_every=4",
    ]


def test_slim_starts_from_its_teacher_learns_and_can_be_used(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = nst(*arguments, "steps=4").rows()
    with monkeypatch.context() as patched:
        patched.setattr("nst.slim.distill.start_from", lambda *_: None)
        result = nst(*arguments, "distill.on_policy=0", "distill.lr=0.01", "steps=24", "tracking.loss_every=12")
    assert result.status == 0, result.err
    rows = result.rows()
    assert [row["step"] for row in rows] == [0, 12, 24]
    for layer in ("relu1_1", "relu2_1"):
        assert 0 < started[0][f"loss/{layer}"] < 0.9 * rows[0][f"loss/{layer}"]
    assert rows[-1]["loss/total"] < 0.95 * rows[0]["loss/total"]
    assert result.record["weights"]["vgg16"]["path"].endswith("vgg.safetensors")

    state = load_file(result.folder / "slim.safetensors")
    assert state["taps.conv2_1.weight"].dtype == torch.float16
    used = Backbone("slim", ["conv1_1", "conv2_1"], str(result.folder / "slim.safetensors"), padding="reflect")
    assert used(torch.rand(1, 3, 32, 32))["conv2_1"].shape == (1, 48, 16, 16)


def test_paintings_are_trained_on_too(nst: Door, arguments: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "paintings"
    folder.mkdir()
    for index in range(2):  # the first is held out
        Image.new("RGB", (150, 140), (250, 10, 20)).save(folder / f"{index}.png")
    trained = [nst(*arguments, "steps=4", *more) for more in ([], ["distill.paintings=paintings"])]
    assert [run.status for run in trained] == [0, 0], trained[1].err
    without, with_paintings = ((run.folder / "slim.safetensors").read_bytes() for run in trained)
    assert without != with_paintings
    assert "0 images to train on of 128 px" in nst(*arguments, f"distill.paintings={tmp_path}").err
    assert trained[1].record["data"] == {"photos": 29, "paintings": 1, "held_out": 3}


def test_pictures_are_painted_coarse_first_and_begin_again() -> None:
    crops = Crops([torch.randint(0, 256, (3, 80, 80), dtype=torch.uint8)], [], side=33)  # odd: half of it is 16
    torch.manual_seed(0)
    pictures, sides = OnPolicy(crops, batch=2), []

    def painter(contents: Tensor) -> Painter:
        sides.append(contents.shape[2])
        return Painter(lambda image: {"conv1_1": image}, ["conv1_1"], Gram())

    started = pictures.painted.clone()
    for turn in range(VISITS + 1):
        pictures.paint_on(turn * BATCHES_PAINTED, painter)  # always the first batch
        if turn == VISITS - 1:
            finished = pictures.painted[:2].clone()
    assert sides == [16] * COARSE_VISITS + [33] * (VISITS - COARSE_VISITS) + [16]
    assert torch.equal(pictures.painted[2:], started[2:])
    assert finished.isfinite().all()
    assert (finished - started[:2]).abs().mean() > 0.01
    assert (pictures.painted[:2] - finished).abs().mean() > 0.05  # begun again
    images, styles = pictures.draw(5)
    assert images.shape == styles.shape == (5, 3, 33, 33)


def test_squeezed_layers_start_from_the_teacher_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {f"features.{name}": value for name, value in vgg16(weights=None).features[:12].state_dict().items()}
    save_file(state, tmp_path / "vgg.safetensors")
    layers = ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"]  # the last two have squeezed inputs
    teacher = Backbone("vgg16", layers, str(tmp_path / "vgg.safetensors"), padding="reflect")
    images = torch.rand(6, 3, 48, 48)

    def unexplained(student: Student) -> list[float]:
        with torch.no_grad():
            given, wanted = student(images), teacher(images)
            errors = []
            for layer in layers:
                weight, bias = reconstruction(given[of_slim(layer)], wanted[layer])
                left = tap(given[of_slim(layer)], weight, bias) - wanted[layer]
                errors.append(float(left.var() / wanted[layer].var((0, 2, 3)).mean()))
        return errors

    student = Student(teacher.mean, teacher.std)
    at_random = unexplained(student)
    start_from(teacher, student, images)
    started = unexplained(student)
    assert all(after < 0.9 * before for after, before in zip(started, at_random, strict=True)), (started, at_random)
    with torch.no_grad():
        squares = [float(each.square().mean()) for layer, each in student(images).items() if layer <= "conv3_1"]
    assert squares == pytest.approx([1.0] * len(layers), rel=0.01)


def test_a_tap_keeps_the_distances_of_its_head() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, one, other = (torch.randn(shape, generator=generator) for shape in ((7, 4), (4,), (4,)))
    tapped, shift = folded(weight, weight @ one)
    assert tapped.shape == (4, 4)
    torch.testing.assert_close((tapped @ (one - other)).norm(), (weight @ (one - other)).norm())
    # the bias keeps products, too, if it is in the range of the head's weight
    torch.testing.assert_close((tapped @ other + shift).norm(), (weight @ other + weight @ one).norm())


def test_a_squeezed_convolution_is_exact_if_its_input_has_as_few_dimensions() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, few = torch.randn(5, 8, 3, 3, generator=generator), torch.randn(2, 3, 12, 12, generator=generator)
    given = torch.einsum("of,bfhw->bohw", torch.randn(8, 3, generator=generator), few) + 2
    wanted = F.conv2d(given, weight)
    down, up, shift = squeezed(weight, 3, given)
    torch.testing.assert_close(F.conv2d(tap(given, down, torch.zeros(3)), up, shift), wanted, rtol=1e-3, atol=1e-2)
    down, up, shift = squeezed(weight, 2, given)
    error = F.conv2d(tap(given, down, torch.zeros(2)), up, shift) - wanted
    assert 0.01 < float(error.var() / wanted.var()) < 0.5
    assert float(error.mean().abs()) < 0.05 * float(wanted.std())  # the bias makes up for what is lost


@pytest.mark.parametrize("loss", [Gram(), Wasserstein()])
def test_guidance_error_is_0_between_a_network_and_itself(loss: StyleLoss) -> None:
    images, styles = torch.rand(2, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    networks = [torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Softplus()) for _ in range(2)]
    slim, teacher = ((lambda x, network=network: {"one": network(x), "two": network(x) ** 2}) for network in networks)
    layers = ["two", "one"]
    assert guidance_error(teacher, teacher, (images, styles), layers, loss).item() == pytest.approx(0, abs=1e-5)
    first = guidance_error(slim, teacher, (images, styles), layers, loss)
    assert first.item() > 0.1
    # minimizing it makes the networks guide alike, and does not touch the teacher
    optimizer = torch.optim.Adam(networks[0].parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(guidance_error(slim, teacher, (images, styles), layers, loss))
        optimizer.step()
    assert guidance_error(slim, teacher, (images, styles), layers, loss).item() < 0.3 * first.item()
    assert all(parameter.grad is None for parameter in networks[1].parameters())


def test_bfloat16_trains_like_float32(nst: Door, arguments: list[str]) -> None:
    result = nst(*arguments, "steps=4")
    assert result.status == 0, result.err
    assert result.record["config"]["trainer"]["precision"] == "bfloat16"
    exact = nst(*arguments, "steps=4", "trainer.precision=float32").rows()
    assert result.rows()[-1]["loss/total"] == pytest.approx(exact[-1]["loss/total"], rel=0.1)
    assert "only modes that optimize" in nst("mode=stylize", "trainer.precision=bfloat16").err


def test_a_resumed_run_equals_one_that_was_not_stopped(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = (*arguments, "steps=6", "tracking.loss_every=2")
    whole = nst(*few)

    def interrupt(task: Distill) -> None:
        if task.step == 2:
            signal.raise_signal(signal.SIGINT)  # the run stops at the next report, after step 4

    with monkeypatch.context() as patched:
        patched.setattr(Distill, "before_chunk", interrupt)
        stopped = nst(*few)
    assert stopped.status == 130
    resumed = nst("resume=run2", "hydra.run.dir=run2")
    assert resumed.status == 0, resumed.err
    assert [row["loss/total"] for row in stopped.rows()] == [row["loss/total"] for row in whole.rows()]
    trained = [(run.folder / "slim.safetensors").read_bytes() for run in (stopped, whole)]
    assert trained[0] == trained[1]


def test_too_few_photographs_are_refused(nst: Door, arguments: list[str], tmp_path: Path) -> None:
    for path in sorted((tmp_path / "photos").iterdir())[:18]:
        path.unlink()
    result = nst(*arguments)
    assert result.status == 2
    assert "12 images to train on of 128 px a side or more, with one in 12 held out; needed: at least 24" in result.err
    for layers in ("relu9_1", "relu1_1,relu2_1", "conv1_1", ""):
        refused = nst(*arguments, f"distill.layers=[{layers}]")
        assert f"distill.layers=[{layers}]: must be the first of [relu1_1,relu1_2," in refused.err
    assert "no such folder" in nst(*arguments, "distill.photos=nowhere").err


def test_picked_channels_explain_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    free = torch.randn(3, 500, generator=generator) * torch.tensor([[3.0], [2.0], [1.0]])
    copies = torch.cat([free, free[0:1] * 0.5, free[1:2] + free[0:1] * 0.01])
    assert set(pick_channels(torch.cov(copies), 3)) in ({0, 1, 2}, {0, 2, 4})
