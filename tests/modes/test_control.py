"""Control on the command line: several styles, regions, colors, structure, starts."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from nst.errors import InputError
from nst.modes.pixels.task import Pixels
from nst.record.files import refuse_changed
from tests.conftest import SMALL, Door

SMALLEST = (*SMALL, "content=coffee", "size=48", "steps=3", "scales=1")


def mask(path: Path, size: tuple[int, int] = (300, 200), left: str = "white", right: str = "black") -> Path:
    """The left half of an image in one color, the right half in another."""
    image = Image.new("RGB", size, right)
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 2 - 1, size[1]), fill=left)
    image.save(path)
    return path


def same(one: np.ndarray, other: np.ndarray, within: int = 1) -> bool:
    return int(np.abs(one.astype(int) - other.astype(int)).max()) <= within


@pytest.mark.parametrize("loss", ["gram", "wasserstein", "sliced", "neighbors"])
def test_one_style_in_a_list_and_an_all_white_region_change_nothing(nst: Door, loss: str, tmp_path: Path) -> None:
    mask(tmp_path / "white.png", right="white")
    alone = nst(*SMALLEST, f"style_loss={loss}", "style=mosaic")
    assert alone.status == 0, alone.err
    for given in (
        ["style=[mosaic]"],
        ["style=[mosaic,swirl]", "style_mix=[1,0]"],
        ["regions=[{mask: white.png, style: mosaic}]"],
    ):
        same_picture = nst(*SMALLEST, f"style_loss={loss}", *given)
        assert same_picture.status == 0, same_picture.err
        assert same(same_picture.pixels(), alone.pixels()), given


@pytest.mark.parametrize("loss", ["wasserstein", "sliced"])
def test_styles_are_mixed(nst: Door, loss: str, tmp_path: Path) -> None:
    folder = tmp_path / "styles"
    folder.mkdir()
    for name, color in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (40, 40), color).save(folder / f"{name}.png")
    small = (*SMALLEST, f"style_loss={loss}", "style_weight=1e8", "steps=15")
    mixes = [nst(*small, "style=styles", f"style_mix={mix}").pixels().mean((0, 1)) for mix in ([9, 1], [1, 9])]
    assert mixes[0][0] - mixes[0][2] > 20 + mixes[1][0] - mixes[1][2]  # the first is redder
    equal = nst(*small, "style=styles")
    assert [Path(file["path"]).name for file in equal.record["inputs"]["style"]] == ["a.png", "b.png"]


def test_each_region_gets_its_style_and_places_without_one_keep_the_content(nst: Door, tmp_path: Path) -> None:
    mask(tmp_path / "left.png")
    for color in ("red", "blue"):
        Image.new("RGB", (40, 40), color).save(tmp_path / f"{color}.png")
    small = (*SMALLEST, "style_weight=1e8", "steps=15", "mask_feather=0")
    both = nst(*small, "regions=[{mask: left.png, style: red.png}, {mask: rest, style: blue.png}]")
    assert both.status == 0, both.err
    left, right = (half.mean((0, 1)) for half in np.split(both.pixels().astype(float), 2, axis=1))
    assert left[0] > right[0] + 40
    assert right[2] > left[2] + 40
    assert {Path(file["path"]).name for file in both.record["inputs"]["mask"]} == {"left.png"}

    one = nst(*small, "mask=left.png", "style=red.png")
    assert one.status == 0, one.err
    unchanged = nst(*SMALLEST, "steps=1", "style_weight=0", "tv_weight=0", "range_weight=0")
    assert same(one.pixels()[:, 26:], unchanged.pixels()[:, 26:])
    assert not same(one.pixels()[:, :22], unchanged.pixels()[:, :22], within=20)
    everywhere = nst(*small, "mask=left.png", "mask_outside=style", "style=red.png")
    assert not same(everywhere.pixels()[:, 26:], unchanged.pixels()[:, 26:], within=20)


def test_the_colors_of_a_mask_name_its_regions(nst: Door, tmp_path: Path) -> None:
    mask(tmp_path / "parts.png", left="red", right="blue")
    listed = nst(*SMALLEST, "regions={from: parts.png, red: swirl, 0000ff: mosaic}")
    assert listed.status == 0, listed.err
    mask(tmp_path / "left.png")
    by_masks = nst(*SMALLEST, "regions=[{mask: left.png, style: swirl}, {mask: rest, style: mosaic}]")
    assert same(listed.pixels(), by_masks.pixels())


def test_a_run_with_everything_is_resumed_and_rerun_bit_for_bit_and_is_the_same_in_strips(
    nst: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask(tmp_path / "left.png")
    everything = (
        *("size=96", "steps=8", "scales=2", "tracking=none", "content=coffee", "style_loss=sliced"),
        *("style_layers=[conv_1,conv_2]", "content_layers=[conv_2]", "colors=content", "structure_weight=10"),
        "tracking.loss_every=2",
        *(
            "regions=[{mask: left.png, style: [swirl,left.png], style_mix: [2,1], style_mask: [null,left.png]}]",
            "mask_propagation=inside",
        ),
    )
    whole = nst(*everything)
    assert whole.status == 0, whole.err
    assert "loss/structure" in whole.rows()[0]
    take_steps = Pixels.take_steps

    def interrupted(task: Pixels, optimizer: object, count: int) -> torch.Tensor:
        if task.step == 2:
            signal.raise_signal(signal.SIGINT)
        return take_steps(task, optimizer, count)

    with monkeypatch.context() as patched:
        patched.setattr(Pixels, "take_steps", interrupted)
        stopped = nst(*everything)
    assert stopped.status == 130
    resumed = nst("resume=run2", "hydra.run.dir=run2")
    assert resumed.status == 0, resumed.err
    again = nst("rerun=run")
    assert again.status == 0, again.err
    for picture in (stopped, again):
        assert np.array_equal(picture.pixels(), whole.pixels())
    in_strips = nst(*everything, "strip=32")
    assert in_strips.status == 0, in_strips.err
    assert np.abs(in_strips.pixels().astype(int) - whole.pixels().astype(int)).mean() < 2


@pytest.mark.parametrize("init", ["gray", "style_statistics"])
def test_further_starts(nst: Door, init: str) -> None:
    started = nst(*SMALLEST, f"init={init}", "steps=1", "optimizer=adam", "optimizer.lr=1e-6", "style=mosaic")
    assert started.status == 0, started.err
    picture = started.pixels().astype(float) / 255
    if init == "gray":
        assert same(started.pixels(), np.full_like(started.pixels(), 128))
    else:
        from nst.images import samples
        from nst.images.files import load

        style = load(samples.find("style", "mosaic"), 48)[0].flatten(1)
        assert np.abs(picture.mean((0, 1)) - style.mean(1).numpy()).max() < 0.05
        assert picture.std((0, 1)).max() > 0.1


def test_matched_colors_are_the_content_s(nst: Door) -> None:
    plain, matched, lab = (
        nst(*SMALLEST, "style=mosaic", "style_weight=1e8", "steps=15", *more).pixels().reshape(-1, 3).astype(float)
        for more in ([], ["colors=matched"], ["colors=matched", "color_match=lab"])
    )
    content = nst(*SMALLEST, "steps=1", "style_weight=0", "tv_weight=0", "range_weight=0").pixels().reshape(-1, 3)
    for each in (matched, lab):
        assert np.abs(each.mean(0) - content.mean(0)).sum() < np.abs(plain.mean(0) - content.mean(0)).sum() / 2


def test_edges_are_kept_by_the_structure_term(nst: Door) -> None:
    runs = [nst(*SMALLEST, "steps=10", "style_weight=1e8", f"structure_weight={weight}") for weight in (1e-3, 1e5)]
    last = [run.rows()[-1]["loss/structure"] for run in runs]
    assert last[1] < 0.5 * last[0]


@pytest.mark.parametrize("strokes", ["fine", "medium", "large"])
def test_strokes_set_scales_and_the_style_s_size(nst: Door, strokes: str) -> None:
    config = nst(*SMALLEST[:-1], f"strokes={strokes}").record["config"]
    assert config["style_scale"] == {"fine": 0.5, "medium": 1, "large": 2}[strokes]


def test_a_generator_learns_several_styles_in_the_photographs_colors(nst: Door, photos: Path) -> None:
    small: tuple[str, ...] = (
        "mode=train",
        "data.dir=photos",
        "data.size=32",
        "data.batch=2",
        "data.workers=0",
        "steps=2",
    )
    small += ("generator.width=4", "generator.blocks=1", "tracking=none", "style_layers=[conv_1]")
    small += ("content_layers=[conv_1]", "style=[swirl,mosaic]")
    trained = [nst(*small, *more) for more in ([], ["style_mix=[1,3]"], ["colors=matched"], ["style_scale=2"])]
    assert [run.status for run in trained] == [0] * 4, trained[-1].err
    losses = [run.rows()[0]["loss/style"] for run in trained]
    assert len(set(losses)) == 4
    assert nst(*small, "colors=content").status == 0
    assert "mode=train does not use it" in nst(*small, "regions=[]").err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("style_mix=[1,2,3]", "must have one number for each style; styles: 1"),
        ("style_mix=[0]", "one of them above 0"),
        ("style_mix=[-1]", "from 0 to"),
        ("style_mix=0.5", "a list of numbers"),
        ("mask=nowhere.png", "mask=nowhere.png: no such file or sample"),
        ("mask=tall.png", "they need the same proportions"),
        ("mask=black.png", "mask: its mask black.png is black, or too thin for 48×32 pixels"),
        ("mask=white.png", "mask=white.png: is all white"),
        ("mask=left.png regions=[{mask:left.png,style:swirl}]", "mask: regions says where which style is"),
        ("style=swirl regions=[{mask:left.png,style:swirl}]", "style: regions says where which style is"),
        ("mask_outside=style", "mask_outside: has no effect without mask=FILE"),
        ("mask_feather=3", "mask_feather: has no effect without mask=FILE or regions="),
        ("color_match=lab", "color_match: has no effect without colors=matched"),
        ("regions=[{mask:left.png}]", "regions[0]: needs style"),
        ("regions=[{style:swirl}]", "regions[0]: needs mask"),
        ("regions=[{mask:left.png,style:swirl,size:3}]", "regions[0].size: no such key"),
        ("regions=[{mask:left.png,style:swirl,weight:0}]", "regions[0].weight=0"),
        ("regions=[{mask:left.png,style:swril}]", "did you mean 'swirl'"),
        ("regions=[{mask:rest,style:swirl}]", "rest is what other regions leave"),
        ("regions=[{mask:left.png,style:swirl,style_mask:5}]", "must be one mask for each style"),
        ("regions=[{mask:left.png,style:swirl,style_mask:[1]}]", "regions[0].style_mask=1: must be the path"),
        ("regions=[{mask:3,style:swirl}]", "regions[0].mask=3: must be the path"),
        (f"style={'x' * 300}", "no path: file name too long"),
        ("regions=[{mask:rest,style:swirl},{mask:rest,style:swirl}]", "only one can have mask: rest"),
        ("regions=[{mask:white.png,style:swirl},{mask:rest,style:swirl}]", "the other regions leave nothing for it"),
        ("regions=[]", "must be a list such as"),
        ("regions=swirl", "must be a list such as"),
        ("regions={from:left.png,white:swirl}", "is #000000, which no region names"),
        ("regions={from:left.png}", "needs a color of the mask"),
        ("regions={from:left.png,whitish:swirl,rest:mosaic}", "regions.whitish: whitish is not a color"),
        ("mode=texture mask=left.png", "mode=texture does not use it"),
        ("mode=reconstruct regions=[{mask:left.png,style:swirl}]", "mode=reconstruct does not use it"),
        ("style=empty", "0 images among 0 files"),
        ("init=grey", "init=grey: neither noise, content, style, style_statistics, gray nor an image file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(nst: Door, given: str, said: str, tmp_path: Path) -> None:
    mask(tmp_path / "left.png")
    mask(tmp_path / "white.png", right="white")
    mask(tmp_path / "black.png", left="black")
    mask(tmp_path / "tall.png", size=(200, 300))
    (tmp_path / "empty").mkdir()
    result = nst("content=coffee", "size=48", "steps=2", "tracking=none", *given.split(" "))
    assert result.status == 2, result.err
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not result.folder.exists()


def test_a_region_that_vanishes_at_a_deep_layer_drops_it_and_says_so(nst: Door, tmp_path: Path) -> None:
    image = Image.new("L", (300, 200))
    ImageDraw.Draw(image).rectangle((105, 55, 125, 75), fill=255)
    image.save(tmp_path / "small.png")
    small = ("content=coffee", "size=96", "steps=2", "tracking=none", "mask=small.png", "scales=1", "mask_feather=0")
    result = nst(*small)
    assert result.status == 0, result.err
    assert "mask: at 96×64 pixels it has no place at conv5_1, which is left out" in result.out + result.err
    gone = nst(*small, "style_layers=[conv_5]")
    assert gone.status == 2
    assert "no place at any style layer" in gone.err
    assert torch.isfinite(torch.tensor(result.rows()[-1]["loss/total"]))


@pytest.mark.parametrize("loss", ["gram", "sliced"])
def test_overlapping_regions_share_a_place_by_their_weights(nst: Door, loss: str, tmp_path: Path) -> None:
    mask(tmp_path / "white.png", right="white")
    for color in ("red", "blue"):
        Image.new("RGB", (40, 40), color).save(tmp_path / f"{color}.png")
    red = []
    for weights in ((1, 2), (2, 1)):
        given = ", ".join(
            f"{{mask: white.png, style: {color}.png, weight: {weight}}}"
            for color, weight in zip(("red", "blue"), weights, strict=True)
        )
        run = nst(*SMALLEST, "style_weight=1e8", "steps=15", f"style_loss={loss}", f"regions=[{given}]")
        assert run.status == 0, run.err
        red.append(float((run.pixels()[..., 0].astype(float) - run.pixels()[..., 2]).mean()))
    assert red[1] > red[0] + 10


def test_losses_are_of_the_picture_that_is_saved(nst: Door, tmp_path: Path) -> None:
    mask(tmp_path / "left.png")
    soft = (*SMALLEST, "mask=left.png", "mask_feather=30", "tracking.loss_every=5")
    short, long = (nst(*soft, f"steps={steps}").rows()[1] for steps in (5, 10))  # of the end, and on the way
    assert short["step"] == long["step"] == 5
    assert short["loss/style"] == pytest.approx(long["loss/style"], rel=0.15)


def test_a_folder_of_styles_that_changed_is_noticed(nst: Door, tmp_path: Path) -> None:
    folder = tmp_path / "styles"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 64), "red").save(folder / f"{name}.png")
    first = nst(*SMALLEST, "style=styles")
    assert first.status == 0, first.err
    assert nst("rerun=run").status == 0
    (folder / "b.png").unlink()
    rerun = nst("rerun=run")
    assert "style: 2 files then, 1 now" in rerun.out + rerun.err
    facts = [{"path": f"{name}.png", "sha256": name} for name in ("a", "b")]
    with pytest.raises(InputError, match="made from 2 files as style, and now there are 1"):
        refuse_changed("resume=run", {"inputs": {"style": facts}, "weights": {}}, {"style": facts[:1]})
