"""mode=distill through the door, with a teacher and photographs made here."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

from nst.backbones import Backbone
from nst.distillation import fold_heads, pick_channels
from tests.conftest import Door


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A VGG-19 of random weights up to relu2_1, and 32 photographs of blurred noise."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = torchvision.models.vgg19().features[:6]
    for module in features.to_empty(device="cpu"):
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            module.bias = torch.nn.Parameter(0.1 * torch.randn(module.out_channels))
    save_file(
        {f"features.{name}": value for name, value in features.state_dict().items()}, tmp_path / "vgg.safetensors"
    )
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(32):
        coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC).save(tmp_path / f"photos/{index}.png")
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


def test_slim_starts_from_its_teacher_learns_and_can_be_used(nst: Door, arguments: list[str], tmp_path: Path) -> None:
    # conv2_2 is not where relu2_1 comes from: slim gets no start there, and has to learn it
    result = nst(*arguments, "distill.teachers.vgg19.layers.relu2_1=conv2_2", "distill.lr=0.1", "steps=12")
    assert result.status == 0, result.err
    rows = result.rows()
    assert [row["step"] for row in rows] == [0, 4, 8, 12]
    assert 0 < rows[0]["loss/vgg19_relu1_1"] < 0.5  # 1 is knowing nothing
    assert rows[-1]["loss/vgg19_relu2_1"] < 0.9 * rows[0]["loss/vgg19_relu2_1"]
    assert result.record["weights"]["vgg19"]["path"].endswith("vgg.safetensors")

    state = load_file(result.folder / "slim.safetensors")
    assert state["taps.conv2_2.weight"].dtype == torch.float16
    used = Backbone("slim", ["conv1_1", "conv2_2"], str(result.folder / "slim.safetensors"), padding="reflect")
    assert used(torch.rand(1, 3, 32, 32))["conv2_2"].shape == (1, 48, 16, 16)


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
    assert nst(*arguments, "steps=12", "trainer.checkpoint_minutes=1e-6").status == 130
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
