"""Judges: figures worked out by hand, and the figures of runs, which no run minimizes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from nst.judges import Judge, Layers, Look, Place, Reference, pixel_figures
from nst.judges.figures import high_share, noise, structure
from tests.conftest import TINY, Door, random_features


def gray(values: Tensor) -> Tensor:
    return values.float().expand(1, 3, -1, -1)


def wave(frequency: float) -> Tensor:
    """Vertical stripes of amplitude 1/4, `frequency` cycles a pixel, 64 pixels square."""
    return (0.25 * torch.sin(2 * math.pi * frequency * torch.arange(64))).expand(64, 64)


def test_noise_is_the_share_of_high_frequencies() -> None:
    coarse, fine = wave(1 / 8), wave(3 / 8)
    assert high_share(gray(0.5 + coarse)) == pytest.approx(0, abs=1e-4)
    assert high_share(gray(0.5 + fine)) == pytest.approx(1, abs=1e-4)
    assert high_share(gray(0.5 + coarse + fine)) == pytest.approx(0.5, abs=1e-3)
    assert high_share(gray(0.5 + coarse + fine / 3)) == pytest.approx(0.1, abs=1e-3)  # energy 1 : 1/9
    chessboard = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    assert high_share(gray(chessboard)) == pytest.approx(1, abs=1e-4)
    slope = gray(torch.linspace(0, 1, 64).expand(64, 64))  # the borders do not count
    assert high_share(slope) < 1e-3
    assert high_share(torch.full((1, 3, 64, 64), 0.3)) == pytest.approx(0, abs=1e-6)
    assert noise(gray(0.5 + coarse + fine), [gray(0.5 + coarse + fine / 3)]) == pytest.approx(5, rel=1e-2)


def test_a_judge_finds_no_distance_between_equal_pictures(photo: Path) -> None:
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))

    def network(picture: Tensor) -> dict[str, Tensor]:
        return {"a": picture, "b": picture[:, :, ::2, ::2]}

    layers = Layers(("a", "b"), "b")
    same = Judge(network, layers, Reference(image, [Place([Look(image)])])).figures(image)
    assert set(same) == {"w2", "sliced", "gram", "self_similarity"}
    assert all(value == pytest.approx(0, abs=1e-5) for value in same.values())
    # 2 more in each channel: w2 and sliced compare each with what it was
    moved = Judge(network, Layers(("a",), "b"), Reference(None, [Place([Look(image)])])).figures(image + 2)
    assert set(moved) == {"w2", "sliced", "gram"}
    assert moved["w2"] == pytest.approx(4, rel=1e-3)
    turned = Judge(network, Layers(("a",), "a"), Reference(image, [Place([Look(image)])])).figures(image.flip(3))
    assert turned["w2"] == pytest.approx(0, abs=1e-5)  # where features are makes no difference to the style
    assert turned["self_similarity"] > 0.1
    several = Judge(network, Layers(("a",), "a"), Reference(None, [Place([Look(image), Look(image)])])).figures(image)
    assert several["sliced"] == pytest.approx(0, abs=1e-4)
    assert pixel_figures(image, Reference(image, [Place([Look(image)])])) == pytest.approx(
        {"noise": 1, "ssim": 1, "color": 0}, abs=1e-3
    )
    assert structure(1 - image, image) < 0


def test_a_gram_distance_is_relative() -> None:
    image = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    judge = Judge(lambda picture: {"a": picture}, Layers(("a",), "a"), Reference(None, [Place([Look(image)])]))
    assert judge.figures(image)["gram"] == 0
    assert judge.figures(2 * image)["gram"] == pytest.approx(3)  # four times the matrix
    assert judge.figures(0 * image)["gram"] == pytest.approx(1)


def test_each_place_is_compared_with_its_own_styles() -> None:
    left = torch.zeros(1, 1, 8, 16)
    left[..., :8] = 1
    red, blue = (torch.zeros(1, 3, 8, 16).index_fill(1, torch.tensor(channel), 1) for channel in (0, 2))
    picture = left * red + (1 - left) * blue
    places = [Place([Look(red)], left), Place([Look(blue)], 1 - left)]
    judge = Judge(lambda image: {"a": image}, Layers(("a",), "a"), Reference(None, places))
    assert judge.figures(picture)["w2"] == pytest.approx(0, abs=1e-5)
    assert judge.figures(picture.flip(3))["w2"] == pytest.approx(2 / 3, rel=1e-3)  # two of three channels, by 1
    assert pixel_figures(picture.flip(3), Reference(None, places))["color"] == pytest.approx(2**0.5, rel=1e-3)
    halves = Reference(None, [Place([Look(torch.cat([red, blue], 3), mask=torch.cat([left * 0 + 1, left * 0], 3))])])
    assert pixel_figures(red, halves)["color"] == pytest.approx(0, abs=1e-2)  # only that part of the style is taken
    mixed = Reference(None, [Place([Look(red, 0.75), Look(blue, 0.25)])])
    shares = torch.cat([red[..., :12], blue[..., :4]], dim=3)
    assert pixel_figures(shares, mixed)["color"] == pytest.approx(0, abs=1e-2)
    assert pixel_figures(picture, mixed)["color"] > 0.1
    judge = Judge(lambda image: {"a": image}, Layers(("a",), "a"), mixed)
    assert judge.figures(shares)["sliced"] == pytest.approx(0, abs=1e-3)
    assert judge.figures(picture)["sliced"] > 0.1


NEEDED = {
    "transfer": {"ssim", "self_similarity", "color", "w2", "gram", "sliced", "noise"},
    "texture": {"color", "w2", "gram", "sliced", "noise"},
    "reconstruct": {"ssim", "self_similarity"},
}


@pytest.mark.parametrize("mode", NEEDED)
def test_a_run_is_judged_at_layers_that_it_did_not_use(mode: str, nst: Door) -> None:
    small = [key for key in TINY if mode == "transfer" or not key.startswith(("style_l", "content_l"))]
    layers = {"texture": ["style_layers=[conv_1,conv_2]"], "reconstruct": ["content_layers=[conv_2]"]}.get(mode, [])
    result = nst(f"mode={mode}", *small, *layers)
    assert result.status == 0, result.err
    judge, figures = result.record["judge"], result.record["figures"]
    assert set(figures) == {f"judge/{name}" for name in NEEDED[mode]}
    assert all(math.isfinite(value) for value in figures.values())
    assert judge["network"] == "slim"
    assert judge["layers"]["style"][:2] == (["conv1_2", "conv2_2"] if mode != "reconstruct" else ["conv1_1", "conv2_2"])
    assert "judge    slim: " in result.out


def test_more_style_is_closer_to_the_style_and_less_like_the_content(nst: Door, photo: Path) -> None:
    asked = (*TINY[1:], "size=96", f"content={photo}", "steps=20", "init=content")
    little, much = (nst(*asked, f"style_weight={weight}").record["figures"] for weight in ("1", "1e8"))
    assert much["judge/w2"] < little["judge/w2"]
    assert much["judge/color"] < little["judge/color"]
    assert much["judge/ssim"] < little["judge/ssim"]


def test_another_network_judges_if_it_is_at_hand(nst: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(random_features("squeezenet1_0"), tmp_path / "squeezenet.safetensors")
    asked = nst(*TINY, "judge=squeezenet", "judge.weights=squeezenet.safetensors")
    assert asked.status == 0, asked.err
    assert asked.record["judge"]["network"] == "squeezenet"
    assert asked.record["judge"]["layers"] == {"style": ["relu1", "fire4", "fire8", "fire9"], "content": "fire5"}
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    torch.save(random_features("squeezenet1_0"), cache / "squeezenet1_0-b66bff10.pth")
    monkeypatch.setattr("nst.backbones.weights.sha256", lambda path: "b66bff10")
    found = nst(*TINY)
    assert found.record["judge"]["network"] == "squeezenet"
    assert found.record["figures"] == pytest.approx(asked.record["figures"])


def test_nobody_judges_if_that_is_asked_for(nst: Door) -> None:
    result = nst(*TINY, "judge=none")
    assert result.record["figures"] == {}
    assert "judge" not in result.record
    assert "judge  " not in result.out


def test_a_judge_that_breaks_costs_no_picture(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("nst.modes.judging.pixel_figures", broken)
    result = nst(*TINY)
    assert result.status == 0
    assert "the picture could not be judged: RuntimeError: out of memory" in result.out + result.err
    assert result.record["status"] == "finished"
    assert result.record["judge"]["error"] == "RuntimeError: out of memory"


def test_a_large_picture_is_judged_in_a_smaller_size(nst: Door, photo: Path) -> None:
    kept = nst(*TINY[2:], f"content={photo}", "steps=1", "size=640", "init=content", "style_weight=0", "tv_weight=0")
    assert kept.record["figures"]["judge/ssim"] > 0.99


def test_a_mask_and_a_mix_are_judged_too(nst: Door, photo: Path, tmp_path: Path) -> None:
    half = np.zeros((48, 64), dtype=np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    mixed = "style=[swirl,waves]", "style_mix=[0.7,0.3]"
    result = nst(*TINY, f"content={photo}", "mask=mask.png", *mixed, "colors=matched")
    assert result.status == 0, result.err
    assert all(math.isfinite(value) for value in result.record["figures"].values())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["judge=nobody"], "judge=nobody: no such option"),
        (["judge.weights=x.pth"], "give judge=NAME"),
        (["judge=squeezenet", "judge.weights=x.pth"], "no file 'x.pth'"),
        (["judge=vgg19", "judge.weights=photo.png"], "photo.png: it is not a .pth"),
        (
            ["style_layers=[conv1_1,conv1_2,conv2_1]", "content_layers=[conv4_1,conv4_2,conv4_3]", "judge=slim"],
            "take judge=none",
        ),
    ],
)
def test_what_cannot_judge_is_refused_before_anything_is_written(
    asked: list[str], said: str, nst: Door, photo: Path, tmp_path: Path
) -> None:
    result = nst(*TINY, *asked)
    assert result.status == 2
    assert said in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_large_picture_is_judged_at_the_size_of_its_content(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is scaled from its file, so that rounding may give it another row."""
    for module in ("nst.modes.judging.LARGEST", "nst.modes.pixels.build.JUDGED"):
        monkeypatch.setattr(module, 67)
    for size in (128, 131, 134):
        result = nst(*TINY, f"size={size}", "steps=1", "content=chelsea")
        assert "judge/ssim" in result.record["figures"], result.record["judge"]
