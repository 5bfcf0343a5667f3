"""The modes as Python functions: the same pictures and refusals as the command line's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import nst as package
from nst import InputError, Progress, Result, reconstruct, stylize, texture, train, transfer
from tests.conftest import Door, pixels

FEW: dict[str, Any] = {"size": 64, "steps": 6, "style_layers": ["conv_1", "conv_2"], "content_layers": ["conv_2"]}
SAME = ("size=64", "judge=none", "steps=6", "style_layers=[conv_1,conv_2]", "content_layers=[conv_2]", "tracking=none")


def test_the_same_picture_as_the_command_line_s(nst: Door, photo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    theirs = nst(*SAME, f"content={photo}", "style=waves", "optimizer=adam", "optimizer.lr=0.05")
    state = torch.get_rng_state()
    made = transfer(photo, "waves", optimizer={"name": "adam", "lr": 0.05}, **FEW)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers go on as they were
    assert np.array_equal(np.asarray(made.image), theirs.pixels())
    assert made.losses["step"] == [0, 6]
    assert made.losses["total"][-1] == theirs.rows()[-1]["loss/total"]
    assert made.folder is None
    assert sorted(Path().iterdir()) == [photo.relative_to(Path().absolute()), Path("run")]
    made.save("mine.png")
    assert nst("rerun=mine.png", "tracking=none").out.splitlines()[-1].endswith("bit for bit")


def test_images_of_every_kind(photo: Path) -> None:
    with Image.open(photo) as image:
        array = np.asarray(image)
        by_path = transfer(photo, "waves", **FEW)
        tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
        for content in (image, array, array / np.float32(255), tensor, tensor[None] / 255):
            assert _same(transfer(content, "waves", **FEW), by_path)
        assert reconstruct(np.asarray(image.convert("L")), init="content", **_only("content")).image.size == (64, 48)
    mixed = transfer(photo, [tensor, "waves"], style_mix=[0.5, 0.5], **FEW)
    assert not _same(mixed, by_path)
    parts = [{"mask": np.repeat([[0.0, 1.0]], 32, axis=1).repeat(48, axis=0), "style": "waves"}]
    with pytest.raises(InputError, match=r"an image of shape 3×5×7: expected an array"):
        transfer(np.zeros((3, 5, 7)), "waves")
    with pytest.raises(InputError, match=r"expected uint8, or floating point in \[0, 1\]"):
        transfer(np.full((8, 8, 3), 2.0), "waves")
    regions = transfer(photo, regions=parts, **FEW)
    assert regions.record["inputs"]["mask"]


def _same(one: Result, other: Result) -> bool:
    return np.array_equal(np.asarray(one.image), np.asarray(other.image))


def _only(term: str) -> dict[str, Any]:
    return {key: value for key, value in FEW.items() if not key.endswith("_layers") or key.startswith(term)}


def test_a_folder_keeps_the_whole_record(nst: Door, photo: Path) -> None:
    with Image.open(photo) as image:
        made = texture(image, folder="mine", **_only("style"))
    assert made.folder == Path("mine")
    record = json.loads(Path("mine/record.json").read_text())
    assert record == made.record
    assert record["command"].startswith("nst.texture(style='mine/given/style.png', size=64,")
    assert np.array_equal(np.asarray(made.image), pixels(Path("mine/result.png")))
    assert nst("rerun=mine", "tracking=none").out.splitlines()[-1].endswith("bit for bit")
    with pytest.raises(InputError, match="folder=mine: holds a run already"):
        texture("waves", folder="mine", **_only("style"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lr": 3}, "no key 'lr': use optimizer.lr="),
        ({"steps": -1}, "steps=-1: must be at least 1"),
        ({"style_weight": "heavy"}, "style_weight: 'heavy' is not a number"),
        ({"backbone": "VGG19"}, "did you mean 'vgg19'"),
        ({"optimizer": {"momentum": 1}}, "no key 'optimizer.momentum'"),
        ({"optimizer.beta1": 0.5}, "optimizer.beta1 belongs to another choice of optimizer"),
        ({"data": {"dir": "x"}}, "data: mode=transfer does not use it; used by mode=train"),
        ({"mode": "train"}, "each mode has a function of its own"),
        ({"colors": "mine"}, "colors"),
        ({"init": "nowhere.png"}, "neither noise"),
    ],
)
def test_keys_are_checked_as_on_the_command_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        transfer(np.zeros((64, 64, 3)), "waves", folder="new", **keys)
    assert message in str(refused.value)
    assert not list(Path().iterdir())


def test_progress_is_told_and_a_notebook_sees_the_picture() -> None:
    heard: list[Progress] = []
    made = transfer("chelsea", "waves", progress=heard.append, tracking={"loss_every": 2}, **FEW)
    assert [each.step for each in heard] == [2, 4, 6]
    assert heard[0].steps == 6
    assert set(heard[0].losses) == {"total", "content", "style", "tv"}
    assert made._repr_png_() == made.png
    assert repr(made).startswith("<Result: transfer chelsea waves; step 6, ")
    for name in ("x.jpg", "x.webp", "x.png"):
        made.save(name)
        assert pixels(Path(name)).shape == np.asarray(made.image).shape
    with pytest.raises(InputError, match="must end in"):
        made.save("x.gif")


def test_a_generator_is_trained_and_paints(photos: Path, photo: Path) -> None:
    asked: dict[str, Any] = {
        "generator": {"width": 4, "blocks": 1},
        "data.size": 32,
        "data.batch": 2,
        "data.workers": 0,
        "steps": 2,
    }
    layers: dict[str, Any] = {"content_layers": ["conv_1"], "style_layers": ["conv_1"]}
    made = train("waves", photos, progress=False, **layers, **asked)
    painted = made.stylize(photo)
    made.save("waves.safetensors")
    assert _same(stylize(str(photo), "waves.safetensors"), painted)
    with pytest.raises(InputError, match="give one image at a time"):
        stylize(photos, made)
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        made.save("waves.onnx")


def test_public_names() -> None:
    assert all(getattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError):
        _ = package.nothing
