"""mode=fidelity on the command line, with a teacher made here; and its measures on their own."""

import csv
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.backbones import Backbone, NormalizedBackbone
from nst.losses.style import StyleLoss
from nst.losses.style.gram import Gram
from nst.losses.style.wasserstein import Wasserstein
from nst.losses.targets import style_targets
from nst.memory.strips import WHOLE
from nst.modes.pixels.task import Pixels
from nst.slim.measures import LinearProbe, fidelity, style_distances
from tests.conftest import Door, pixels


@pytest.fixture
def arguments(teacher: Path) -> list[str]:
    return [
        "mode=fidelity",
        f"fidelity.weights={teacher.name}",
        "fidelity.content=relu2_1",
        "fidelity.pairs=[[chelsea,swirl],[coffee,mosaic]]",
        "size=48",
        "steps=8",
        "tracking=none",
    ]


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each transfer that has begun so far."""
    steps: list[int] = []
    take_steps = Pixels.take_steps

    def counted(task: Pixels, optimizer: object, count: int) -> Tensor:
        steps.append(count)
        return take_steps(task, optimizer, count)

    monkeypatch.setattr(Pixels, "take_steps", counted)
    return steps


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_slim_and_the_teacher_paint_each_pair_and_the_teacher_compares(
    nst: Door, arguments: list[str], photos: Path
) -> None:
    result = nst(*arguments, f"fidelity.photos={photos.name}")
    assert result.status == 0, result.err
    scores = table(result.folder / "fidelity.csv")
    # the weights end at relu2_1, so deeper layers are not compared
    assert [(line["pair"], line["layer"]) for line in scores] == [
        ("chelsea_swirl", "relu1_1"),
        ("chelsea_swirl", "relu2_1"),
        ("coffee_mosaic", "relu1_1"),
        ("coffee_mosaic", "relu2_1"),
    ]
    for line in scores:
        content, teacher, slim = (float(line[who]) for who in ("content", "teacher", "slim"))
        assert 0 < teacher < content  # its picture is nearer to the style
        assert float(line["fidelity"]) == pytest.approx((content - slim) / (content - teacher))
    pictures = [result.folder / f"results/chelsea_swirl_{who}.png" for who in ("content", "vgg16", "slim")]
    shown = [pixels(picture).astype(int) for picture in pictures]
    assert len({each.shape for each in shown}) == 1
    assert min(abs(one - other).mean() for one, other in zip(shown, [*shown[1:], shown[0]], strict=True)) > 2

    with Image.open(result.folder / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 48  # content, style, teacher and slim side by side
    (first, second) = table(result.folder / "unexplained.csv")
    assert (first["layer"], second["layer"]) == ("relu1_1", "relu2_1")
    for line in (first, second):
        for images in ("photographs", "paintings", "noise"):
            assert float(line[images]) > 0  # it can exceed 1: maps that were fitted to photographs can mislead on noise
    assert float(first["photographs"]) < 0.5  # the first layers of two networks are alike
    tables = (result.folder / "tables.md").read_text()
    assert "| relu2_1 | conv2_1 |" in tables
    assert "%" in tables
    assert set(result.record["weights"]) == {"vgg16", "slim"}
    assert len(result.record["inputs"]["image"]) == 4
    assert result.record["decided"]["style_layers"][0] == "conv1_1"


def test_pictures_of_teachers_are_used_again(nst: Door, arguments: list[str], painted: list[int]) -> None:
    first = nst(*arguments)
    layers = "style_layers=[conv1_1]"
    afresh = nst(*arguments, layers)
    painted.clear()
    again = nst(*arguments, layers, f"fidelity.painted={first.folder.name}")
    assert again.status == 0, again.err
    assert len(painted) == 2  # slim's pictures, one for each pair
    assert (again.folder / "fidelity.csv").read_bytes() == (afresh.folder / "fidelity.csv").read_bytes()
    refused = nst(*arguments, "steps=9", f"fidelity.painted={first.folder.name}")
    assert (refused.status, "that run had steps=8" in refused.err) == (2, True)
    assert "not the folder of a run of mode=fidelity" in nst(*arguments, "fidelity.painted=nowhere").err


@pytest.mark.parametrize("folder", ["run2", "run3"])
def test_a_stopped_run_continues_from_its_pictures(
    nst: Door, arguments: list[str], painted: list[int], monkeypatch: pytest.MonkeyPatch, folder: str, tmp_path: Path
) -> None:
    whole = nst(*arguments)
    painted.clear()
    take_steps = Pixels.take_steps

    def interrupted(task: Pixels, optimizer: object, count: int) -> Tensor:
        if not painted:
            signal.raise_signal(signal.SIGINT)  # the run stops after this pair
        return take_steps(task, optimizer, count)

    with monkeypatch.context() as patched:
        patched.setattr(Pixels, "take_steps", interrupted)
        stopped = nst(*arguments)
    assert stopped.status == 130
    assert len(table(stopped.folder / "fidelity.csv")) == 2  # of the first pair
    resumed = nst("resume=run2", f"hydra.run.dir={folder}")
    assert resumed.status == 0, resumed.err
    assert len(painted) == 4  # each picture once
    for path in whole.folder.rglob("*"):
        if path.is_file() and path.name not in ("record.json", "losses.csv"):
            assert (tmp_path / folder / path.relative_to(whole.folder)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("fidelity.pairs=[[chelsea]]", "fidelity.pairs: [chelsea] must be [content,style]"),
        ("fidelity.pairs=[]", "mode=fidelity needs fidelity.pairs"),
        ("fidelity.pairs=[[chelsea,swirl],[chelsea,swirl]]", "two pairs are named chelsea_swirl"),
        ("fidelity.pairs=[[chelsea,swril]]", "did you mean 'swirl'"),
        ("fidelity.content=relu3_1", "does not reach relu3_1"),
        ("fidelity.content=relu9_1", "no layer 'relu9_1' in backbone vgg16"),
        ("fidelity.layers=[relu7_1]", "no layer 'relu7_1' in backbone vgg16"),
        ("fidelity.layers=[relu5_1]", "fidelity.layers=[relu5_1]: the weights reach none of them"),
        ("fidelity.photos=nowhere", "no such folder"),
    ],
)
def test_input_that_cannot_be_measured_is_refused(nst: Door, arguments: list[str], override: str, said: str) -> None:
    result = nst(*arguments, override)
    assert result.status == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not result.folder.exists()


def test_fidelity_is_relative_to_the_teachers_reduction() -> None:
    assert fidelity(content=1.0, teacher=0.2, slim=0.4) == pytest.approx(0.75)
    assert fidelity(content=1.0, teacher=0.2, slim=0.2) == 1
    assert fidelity(content=1.0, teacher=0.2, slim=1.2) < 0
    assert str(fidelity(content=1.0, teacher=1.0, slim=0.5)) == "nan"


@pytest.mark.parametrize("loss", [Gram(), Wasserstein()])
def test_style_distances_are_roots_of_the_style_loss(loss: StyleLoss) -> None:
    def network(image: Tensor) -> dict[str, Tensor]:
        return {"one": image}

    style = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    wanted = style_targets(network, [(style, WHOLE)], ["one"], loss)
    assert style_distances(network, style, wanted, loss)["one"] == pytest.approx(0, abs=1e-5)
    near, far = (style_distances(network, style + shift, wanted, loss)["one"] for shift in (0.1, 0.2))
    assert 0 < near < far
    if isinstance(loss, Wasserstein):  # of two Gaussians of one covariance it is the distance of the means
        assert far == pytest.approx(2 * near, rel=1e-3)


def test_normalized_layers_have_a_mean_activation_of_1() -> None:
    images = [torch.rand(1, 3, 16, 16), torch.rand(1, 3, 20, 8)]

    def network(image: Tensor) -> dict[str, Tensor]:
        return {"small": 0.01 * image, "large": -300 * image}

    normalized = NormalizedBackbone(network, images)
    for layer in ("small", "large"):
        means = [float(normalized(image)[layer].abs().mean()) for image in images]
        assert sum(means) / 2 == pytest.approx(1, rel=1e-4)


def test_a_linear_probe_explains_linear_maps_and_nothing_random(teacher: Path) -> None:
    backbone = Backbone("vgg16", ["relu1_1"], str(teacher), padding="reflect")
    images = [torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    mixed = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))

    def linear(image: Tensor) -> dict[str, Tensor]:
        return {"conv1_1": torch.einsum("oc,bchw->bohw", mixed, backbone(image)["relu1_1"]) + 5}

    def random(image: Tensor) -> dict[str, Tensor]:
        return {"conv1_1": torch.rand(1, 24, *image.shape[2:], generator=torch.Generator().manual_seed(1))}

    assert LinearProbe(backbone, linear, ["relu1_1"], images[:2]).unexplained(images[2:])["relu1_1"] < 1e-4
    assert LinearProbe(backbone, random, ["relu1_1"], images[:2]).unexplained(images[2:])["relu1_1"] == pytest.approx(
        1, abs=0.1
    )
