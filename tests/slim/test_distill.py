"""mode=distill on the command line, with a teacher and photographs made here; and its parts on their own."""

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nst.backbones import Backbone
from nst.slim.distill import Distill
from nst.slim.errors import guidance_error
from nst.slim.start import pick_channels
from nst.slim.student import fold_heads
from nst.slim.teacher import crop_like
from tests.conftest import Door


@pytest.fixture
def arguments(teacher: Path, photos: Path) -> list[str]:
    """A teacher with three layers, and photographs."""
    return [
        "mode=distill",
        "distill.photos=photos",
        "~distill.teachers.squeezenet",
        "distill.teachers.vgg19.weights=vgg.safetensors",
        "~distill.teachers.vgg19.layers.relu2_2",
        "~distill.teachers.vgg19.layers.relu3_1",
        "distill.crop=64",
        "distill.batch=4",
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
        assert 0 < started[0][f"loss/vgg19_{layer}"] < 0.9 * rows[0][f"loss/vgg19_{layer}"]
    assert rows[-1]["loss/total"] < 0.95 * rows[0]["loss/total"]
    assert result.record["weights"]["vgg19"]["path"].endswith("vgg.safetensors")

    state = load_file(result.folder / "slim.safetensors")
    assert state["taps.conv2_1.weight"].dtype == torch.float16
    used = Backbone("slim", ["conv1_1", "conv2_1"], str(result.folder / "slim.safetensors"), padding="reflect")
    assert used(torch.rand(1, 3, 32, 32))["conv2_1"].shape == (1, 48, 16, 16)


def test_a_tap_keeps_the_distances_of_the_heads_folded_into_it() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(7, 4, generator=generator), torch.randn(7, generator=generator)
    tapped, shift = fold_heads([weight[:3], weight[3:]], [bias[:3], bias[3:]])
    assert tapped.shape == (4, 4)
    one, other = torch.randn(2, 4, generator=generator)
    torch.testing.assert_close((tapped @ (one - other)).norm(), (weight @ (one - other)).norm())
    # the bias keeps products, too, if it is in the range of the heads' weights
    tapped, shift = fold_heads([weight], [weight @ one])
    torch.testing.assert_close((tapped @ other + shift).norm(), (weight @ other + weight @ one).norm())


def test_guidance_error_is_0_between_a_network_and_itself() -> None:
    images, styles = torch.rand(2, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    networks = [torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Softplus()) for _ in range(2)]
    slim, teacher = ((lambda x, network=network: {"one": network(x), "two": network(x) ** 2}) for network in networks)
    assert guidance_error(teacher, teacher, images, styles, "two").item() == pytest.approx(0, abs=1e-5)
    first = guidance_error(slim, teacher, images, styles, "two")
    assert first.item() > 0.1
    # minimizing it makes the networks guide alike, and does not touch the teacher
    optimizer = torch.optim.Adam(networks[0].parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(guidance_error(slim, teacher, images, styles, "two"))
        optimizer.step()
    assert guidance_error(slim, teacher, images, styles, "two").item() < 0.3 * first.item()
    assert all(parameter.grad is None for parameter in networks[1].parameters())


def test_larger_features_of_a_teacher_are_center_cropped() -> None:
    features = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert crop_like(features, torch.zeros(1, 2, 4, 6)).tolist() == features[:, :, 1:5].tolist()
    assert crop_like(features, torch.zeros(1, 2, 6, 5)).tolist() == features[..., :5].tolist()


def test_bfloat16_trains_like_float32(nst: Door, arguments: list[str]) -> None:
    result = nst(*arguments, "steps=8")
    assert result.status == 0, result.err
    assert result.record["config"]["trainer"]["precision"] == "bfloat16"
    exact = nst(*arguments, "steps=8", "trainer.precision=float32").rows()
    assert result.rows()[-1]["loss/total"] == pytest.approx(exact[-1]["loss/total"], rel=0.1)
    assert "only modes that optimize" in nst("mode=stylize", "trainer.precision=bfloat16").err


def test_a_resumed_run_equals_one_that_was_not_stopped(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nst(*arguments, "steps=12")

    def interrupt(task: Distill) -> None:
        if task.step == 4:
            signal.raise_signal(signal.SIGINT)  # the run stops at the next report, after step 8

    with monkeypatch.context() as patched:
        patched.setattr(Distill, "before_chunk", interrupt)
        stopped = nst(*arguments, "steps=12")
    assert stopped.status == 130
    resumed = nst("resume=run2", "hydra.run.dir=run2")
    assert resumed.status == 0, resumed.err
    assert [row["loss/total"] for row in stopped.rows()] == [row["loss/total"] for row in whole.rows()]
    trained = [(run.folder / "slim.safetensors").read_bytes() for run in (stopped, whole)]
    assert trained[0] == trained[1]


def test_too_few_photographs_are_refused(nst: Door, arguments: list[str], tmp_path: Path) -> None:
    for path in sorted((tmp_path / "photos").iterdir())[:5]:
        path.unlink()
    result = nst(*arguments)
    assert result.status == 2
    assert "27 images of 128 px a side or more; at least 32 are needed" in result.err
    assert "no layer 'conv9_1'" in nst(*arguments, "distill.teachers.vgg19.layers.relu1_1=conv9_1").err
    assert "no such folder" in nst(*arguments, "distill.photos=nowhere").err


def test_picked_channels_explain_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    free = torch.randn(3, 500, generator=generator) * torch.tensor([[3.0], [2.0], [1.0]])
    copies = torch.cat([free, free[0:1] * 0.5, free[1:2] + free[0:1] * 0.01])
    assert set(pick_channels(torch.cov(copies), 3)) in ({0, 1, 2}, {0, 2, 4})
