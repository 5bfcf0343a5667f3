"""mode=fidelity through the door, with a teacher made here; and its measures, where they are known."""

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.backbones import Backbone, Unit
from nst.distillation import Teacher
from nst.fidelity import Reading, fidelity, gram_distances
from nst.losses import gram
from tests.conftest import Door, pixels


@pytest.fixture
def arguments(teacher: Path, photos: Path) -> list[str]:
    return [
        "mode=fidelity",
        "~fidelity.teachers.squeezenet",
        f"fidelity.teachers.vgg19.weights={teacher.name}",
        "fidelity.teachers.vgg19.content=relu2_1",
        "fidelity.pairs=[[chelsea,swirl],[coffee,mosaic]]",
        f"fidelity.photos={photos.name}",
        "size=48",
        "steps=8",
        "tracking=none",
    ]


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_both_paint_each_pair_and_the_teacher_compares(nst: Door, arguments: list[str]) -> None:
    result = nst(*arguments)
    assert result.status == 0, result.err
    scores = table(result.folder / "fidelity.csv")
    # the weights stop at relu2_1, so that is what is compared
    assert [(line["pair"], line["layer"]) for line in scores] == [
        ("chelsea_swirl", "relu1_1"),
        ("chelsea_swirl", "relu2_1"),
        ("coffee_mosaic", "relu1_1"),
        ("coffee_mosaic", "relu2_1"),
    ]
    for line in scores:
        content, taught, slim = (float(line[who]) for who in ("content", "teacher", "slim"))
        assert 0 < taught < content  # it has come nearer to the style
        assert float(line["fidelity"]) == pytest.approx((content - slim) / (content - taught))
    pictures = [result.folder / f"results/chelsea_swirl_{who}.png" for who in ("content", "vgg19", "slim")]
    shown = [pixels(picture).astype(int) for picture in pictures]
    assert len({each.shape for each in shown}) == 1
    assert min(abs(one - other).mean() for one, other in zip(shown, [*shown[1:], shown[0]], strict=True)) > 2

    with Image.open(result.folder / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 48  # content, style, teacher and slim side by side
    (first, second) = table(result.folder / "unexplained.csv")
    assert (first["layer"], second["layer"]) == ("relu1_1", "relu2_1")
    for line in (first, second):
        for images in ("photographs", "paintings", "noise"):
            assert float(line[images]) > 0  # 1 is knowing nothing; noise may mislead maps made for photographs
    assert float(first["photographs"]) < 0.5  # one layer of one network says much of the first of another
    tables = (result.folder / "tables.md").read_text()
    assert "| vgg19 | relu2_1 | conv2_1 |" in tables
    assert "%" in tables
    assert set(result.record["weights"]) == {"vgg19", "slim"}
    assert len(result.record["inputs"]) == 4


def test_pictures_that_teachers_have_painted_are_taken_again(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nst(*arguments)
    layers = "style_layers=[conv1_1]"
    anew = nst(*arguments, layers)

    from nst.tasks.transfer import Transfer

    painted: list[int] = []
    advance = Transfer.advance

    def counted(task: Transfer, optimizer: object, steps: int) -> object:
        painted.append(steps)
        return advance(task, optimizer, steps)

    monkeypatch.setattr(Transfer, "advance", counted)
    again = nst(*arguments, layers, f"fidelity.painted={first.folder.name}")
    assert again.status == 0, again.err
    assert len(painted) == 2  # slim's pictures, one a pair
    assert (again.folder / "fidelity.csv").read_bytes() == (anew.folder / "fidelity.csv").read_bytes()
    refused = nst(*arguments, "steps=9", f"fidelity.painted={first.folder.name}")
    assert (refused.status, "that run had steps=8" in refused.err) == (2, True)
    assert "no measurement's folder" in nst(*arguments, "fidelity.painted=nowhere").err


def test_it_goes_on_where_it_was_stopped(
    nst: Door, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = nst(*arguments)

    from nst.tasks.fidelity import Fidelity

    def stopped(task: Fidelity) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Fidelity, "_explain", stopped)
        assert nst(*arguments, "trainer.checkpoint_seconds=1e-6").status == 130
    resumed = nst(*arguments, "resume=run2")
    assert resumed.status == 0, resumed.err
    for name in ("fidelity.csv", "unexplained.csv", "tables.md", "sheet.jpg"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("fidelity.pairs=[[chelsea]]", "fidelity.pairs: [chelsea] must be [content,style]"),
        ("fidelity.pairs=[]", "mode=fidelity needs fidelity.pairs"),
        ("fidelity.pairs=[[chelsea,swril]]", "did you mean 'swirl'"),
        ("fidelity.teachers.vgg19.content=relu3_1", "does not reach relu3_1"),
        ("fidelity.teachers.vgg19.layers.relu1_1=conv7_1", "no layer 'conv7_1'"),
        ("fidelity.photos=nowhere", "no such folder"),
    ],
)
def test_what_cannot_be_measured_is_refused(nst: Door, arguments: list[str], override: str, said: str) -> None:
    result = nst(*arguments, override)
    assert result.status == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not result.folder.exists()


def test_fidelity_is_the_share_of_the_teachers_reduction() -> None:
    assert fidelity(content=1.0, teacher=0.2, slim=0.4) == pytest.approx(0.75)
    assert fidelity(content=1.0, teacher=0.2, slim=0.2) == 1
    assert fidelity(content=1.0, teacher=0.2, slim=1.2) < 0
    assert str(fidelity(content=1.0, teacher=1.0, slim=0.5)) == "nan"


def test_distances_are_relative_to_the_style() -> None:
    def network(image: Tensor) -> dict[str, Tensor]:
        return {"one": image}

    style = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    wanted = {"one": gram(style)}
    assert gram_distances(network, style, wanted) == {"one": 0}
    assert gram_distances(network, torch.zeros_like(style), wanted)["one"] == pytest.approx(1)
    assert gram_distances(network, 2 * style, wanted)["one"] == pytest.approx(3)  # features by 2, Gram matrix by 4


def test_unit_brings_every_layer_to_a_mean_activation_of_one() -> None:
    images = [torch.rand(1, 3, 16, 16), torch.rand(1, 3, 20, 8)]

    def network(image: Tensor) -> dict[str, Tensor]:
        return {"small": 0.01 * image, "large": -300 * image}

    unit = Unit(network, images)
    for layer in ("small", "large"):
        means = [float(unit(image)[layer].abs().mean()) for image in images]
        assert sum(means) / 2 == pytest.approx(1, rel=1e-4)


def test_what_follows_linearly_is_explained_and_what_does_not_is_not(teacher: Path) -> None:
    seen = Backbone("vgg19", ["relu1_1"], str(teacher), padding="reflect")
    images = [torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    mixed = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))

    def same(image: Tensor) -> dict[str, Tensor]:
        return {"conv1_1": torch.einsum("oc,bchw->bohw", mixed, seen(image)["relu1_1"]) + 5}

    def blind(image: Tensor) -> dict[str, Tensor]:
        return {"conv1_1": torch.rand(1, 24, *image.shape[2:], generator=torch.Generator().manual_seed(1))}

    taught = Teacher(seen, {"relu1_1": "conv1_1"})
    assert Reading(taught, same, images[:2]).unexplained(images[2:])["relu1_1"] < 1e-4
    assert Reading(taught, blind, images[:2]).unexplained(images[2:])["relu1_1"] == pytest.approx(1, abs=0.1)
