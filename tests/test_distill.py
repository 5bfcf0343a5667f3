"""mode=distill through the door, with a teacher and photographs made here."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nst.backbones import Backbone
from nst.distillation import fold_heads, guidance_error, line_up, pick_channels
from tests.conftest import Door


@pytest.fixture
def arguments(teacher: Path, photos: Path) -> list[str]:
    """A teacher of two layers, and photographs."""
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
        patched.setattr("nst.tasks.distill.start_from", lambda *_: None)
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


def test_taps_keep_the_distances_of_the_heads_they_stand_for() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(7, 4, generator=generator), torch.randn(7, generator=generator)
    tapped, shift = fold_heads([weight[:3], weight[3:]], [bias[:3], bias[3:]])
    assert tapped.shape == (4, 4)
    one, other = torch.randn(2, 4, generator=generator)
    torch.testing.assert_close((tapped @ (one - other)).norm(), (weight @ (one - other)).norm())
    # and the bias keeps products too, where it lies in the heads' range
    tapped, shift = fold_heads([weight], [weight @ one])
    torch.testing.assert_close((tapped @ other + shift).norm(), (weight @ other + weight @ one).norm())


def test_guidance_error_is_none_between_a_network_and_itself() -> None:
    images, styles = torch.rand(2, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    networks = [torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Softplus()) for _ in range(2)]
    slim, teacher = ((lambda x, network=network: {"one": network(x), "two": network(x) ** 2}) for network in networks)
    assert guidance_error(teacher, teacher, images, styles, "two").item() == pytest.approx(0, abs=1e-5)
    first = guidance_error(slim, teacher, images, styles, "two")
    assert first.item() > 0.1
    # and following its gradient leads there, without touching the teacher
    optimizer = torch.optim.Adam(networks[0].parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(guidance_error(slim, teacher, images, styles, "two"))
        optimizer.step()
    assert guidance_error(slim, teacher, images, styles, "two").item() < 0.3 * first.item()
    assert all(parameter.grad is None for parameter in networks[1].parameters())


def test_what_a_teacher_sees_more_of_is_cut_off_evenly() -> None:
    seen = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert line_up(seen, torch.zeros(1, 2, 4, 6)).tolist() == seen[:, :, 1:5].tolist()
    assert line_up(seen, torch.zeros(1, 2, 6, 5)).tolist() == seen[..., :5].tolist()


def test_bfloat16_trains_as_well(nst: Door, arguments: list[str]) -> None:
    result = nst(*arguments, "steps=8")
    assert result.status == 0, result.err
    assert result.record["config"]["trainer"]["precision"] == "bfloat16"
    exact = nst(*arguments, "steps=8", "trainer.precision=float32").rows()
    assert result.rows()[-1]["loss/total"] == pytest.approx(exact[-1]["loss/total"], rel=0.1)
    assert "only modes that optimise" in nst("mode=stylize", "trainer.precision=bfloat16").err


def test_it_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nst(*arguments, "steps=12")

    from nst.tasks.distill import Distill

    chunk = Distill.run_chunk

    def killed_at_eight(task: Distill, steps: int) -> object:
        if task.step == 8:
            raise KeyboardInterrupt
        return chunk(task, steps)

    monkeypatch.setattr(Distill, "run_chunk", killed_at_eight)
    assert nst(*arguments, "steps=12", "trainer.checkpoint_seconds=1e-6").status == 130
    monkeypatch.setattr(Distill, "run_chunk", chunk)
    resumed = nst(*arguments, "steps=12", "resume=run2")
    assert resumed.status == 0, resumed.err
    assert [row["loss/total"] for row in resumed.rows()] == [row["loss/total"] for row in whole.rows()]


def test_too_few_photographs_are_refused(nst: Door, arguments: list[str], tmp_path: Path) -> None:
    for path in sorted((tmp_path / "photos").iterdir())[:5]:
        path.unlink()
    result = nst(*arguments)
    assert result.status == 2
    assert "27 images of 128 px a side or more; at least 32 are needed" in result.err
    assert "no layer 'conv9_1'" in nst(*arguments, "distill.teachers.vgg19.layers.relu1_1=conv9_1").err
    assert "no such folder" in nst(*arguments, "distill.photos=nowhere").err


def test_picked_channels_are_those_the_others_follow_from() -> None:
    generator = torch.Generator().manual_seed(0)
    free = torch.randn(3, 500, generator=generator) * torch.tensor([[3.0], [2.0], [1.0]])
    copies = torch.cat([free, free[0:1] * 0.5, free[1:2] + free[0:1] * 0.01])
    assert set(pick_channels(torch.cov(copies), 3)) in ({0, 1, 2}, {0, 2, 4})
