"""The judges' figures are those worked out by hand, the peer's recipe is the published one, and both have a door."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst.errors import InputError
from nst.judges import Layers
from nst.losses.style.wasserstein import Wasserstein
from tests.conftest import SMALL, Door, exit_status
from tools.compare import tables
from tools.compare.__main__ import main
from tools.compare.networks import JUDGES
from tools.compare.peer import Painting, paint
from tools.compare.recipe import Recipe, State, descend, gaussian, start, total_variation, wasserstein
from tools.compare.roots import newton_schulz_root

SLIM = Recipe(
    style_layers=("conv1_1", "conv2_1"),
    style_layer_weights=(4, 1),
    content_layer="conv2_1",
    smallest=32,
    first_steps=2,
    steps=2,
)


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `python -m tools.compare ARGUMENTS` and returns its exit status."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
        return exit_status(main)

    return run


def gray(values: Tensor) -> Tensor:
    return values.float().expand(1, 3, -1, -1)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("size", [3, 16])
def test_the_iterated_root_and_its_gradient_are_those_of_eigenvalues(size: int) -> None:
    random = torch.randn(size, 4 * size, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    matrix = (random @ random.T / size).requires_grad_()
    values, vectors = torch.linalg.eigh(matrix)
    expected = (vectors * values.sqrt()) @ vectors.T
    root = newton_schulz_root(matrix)
    torch.testing.assert_close(root, expected)
    slope = random[:, :size] + random[:, :size].T
    ours, theirs = (
        torch.autograd.grad((each * slope).sum(), matrix, retain_graph=True)[0] for each in (root, expected)
    )
    torch.testing.assert_close(ours, (theirs + theirs.T) / 2)


def test_the_peer_and_nst_compute_one_distance() -> None:
    style, features = torch.rand(2, 1, 6, 9, 7, generator=torch.Generator().manual_seed(0))
    loss = Wasserstein()
    expected = float(loss(features, loss.target(loss.statistic(loss.sums(style))))) / loss.scale
    assert float(wasserstein(features, gaussian(style))) == pytest.approx(expected, rel=1e-3)
    assert float(wasserstein(style, gaussian(style))) == pytest.approx(0, abs=1e-5)


def test_total_variation_counts_axes_and_diagonals() -> None:
    stripes = torch.tensor([0.0, 1.0, 0.0]).expand(1, 3, 3, 3)
    assert float(total_variation(stripes)) == pytest.approx(2 / 3 + 1 / 6 + 1 / 6)
    chessboard = (torch.arange(4)[:, None] + torch.arange(4)) % 2
    assert float(total_variation(gray(chessboard))) == pytest.approx(4 / 3)
    assert float(total_variation(torch.full((1, 3, 4, 4), 0.7))) == 0


def test_the_recipe_has_the_published_scales() -> None:
    assert Recipe().sizes(512) == [128, 181, 256, 362, 512]
    assert [Recipe().steps_at(scale) for scale in range(5)] == [300, 150, 150, 150, 150]
    assert Recipe().sizes(100) == [100]


def test_steps_average_and_moments_go_on() -> None:
    """Adam's first step has the length of its rate; the average of two steps weighs them 0.99 : 1."""
    content = torch.full((1, 3, 2, 2), 0.5)
    first, _ = descend(lambda image: image.sum(), start(content), 1, SLIM)
    torch.testing.assert_close(first.picture, content - 0.02)
    torch.testing.assert_close(first.square, torch.full_like(content, 0.01))
    second, _ = descend(lambda image: image.sum(), start(content), 2, SLIM)
    torch.testing.assert_close(second.picture, content - 0.02 * (0.99 + 2) / 1.99)
    black, _ = descend(lambda image: image.sum(), start(0 * content), 1, SLIM)
    assert black.picture.max() == 0  # clamped after each step
    larger = State(*first[:3], 7).resized(3, 4)
    assert larger.picture.shape == larger.square.shape == (1, 3, 3, 4)
    assert (larger.square > 0).all()
    assert larger.steps == 7


def painting(photo: Path, folder: str, recipe: Recipe = SLIM) -> Painting:
    return Painting(photo, photo, 45, Path(folder), network="slim", recipe=recipe)


def test_the_peer_paints_and_goes_on_where_it_was_interrupted(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paint(painting(photo, "whole"))
    scales = rows(Path("whole/scales.csv"))
    assert [(row["size"], row["steps"]) for row in scales] == [("32", "2"), ("45", "2")]
    assert all(float(row["seconds"]) > 0 for row in scales)
    record = json.loads(Path("whole/record.json").read_text())
    assert record["timings"]["total_seconds"] == pytest.approx(sum(float(row["seconds"]) for row in scales))
    assert not Path("whole/checkpoint.ckpt").exists()
    with pytest.raises(InputError, match="holds a finished picture"):
        paint(painting(photo, "whole"))

    calls = 0

    def interrupted(*arguments: object) -> tuple[State, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return descend(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("tools.compare.peer.descend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        paint(painting(photo, "parts"))
    with pytest.raises(InputError, match="the checkpoint of another painting"):
        paint(painting(photo, "parts", replace(SLIM, steps=3)))
    parts = paint(painting(photo, "parts"))
    np.testing.assert_array_equal(np.asarray(Image.open(parts)), np.asarray(Image.open(whole)))
    assert len(rows(Path("parts/scales.csv"))) == 2


def test_runs_are_judged_by_networks_that_they_did_not_optimize(
    nst: Door,
    compare: Callable[..., int],
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(JUDGES, "slim", Layers(("conv1_1", "conv2_1"), "conv2_1"))
    swept = nst(
        "-m",
        *SMALL[1:],
        "size=48",
        f"content={photo}",
        "style_weight=1,1e6",
        "hydra.sweep.dir=sweep",
    )
    assert swept.status == 0, swept.err
    Image.open("sweep/0/result.png").save("other.png")
    given = ("--content", photo, "--style", "swirl", "other.png", "sweep", "--by", "style_weight")
    assert compare("judge", "--network", "slim", "--out", "judged", *given) == 0
    other, *runs = rows(Path("judged/figures.csv"))
    assert [row["picture"] for row in runs] == [f"sweep/{number}" for number in range(2)]
    assert [row["style_weight"] for row in runs] == ["1", "1e6"]
    assert other["noise"] == runs[0]["noise"]
    assert float(other["slim/w2"]) > 0
    assert not runs[0]["slim/w2"]  # it was optimized in slim
    assert float(runs[0]["seconds"]) > 0
    assert float(runs[0]["ssim"]) > float(runs[1]["ssim"])
    medians = Path("judged/medians.md").read_text().splitlines()
    assert medians[0].startswith("| style_weight | pictures | seconds | ssim | color | noise |")
    assert [line.split(" | ")[:2] for line in medians[3:]] == [["| 1", "1"], ["| 1e6", "1"]]
    assert "medians.md" in capfd.readouterr().out


def test_medians_are_taken_over_groups() -> None:
    filled = [{"loss": loss, "noise": noise} for loss, noise in [("a", 1.0), ("b", 5.0), ("a", 3.0), ("a", None)]]
    grouped = [{"loss": "a", "pictures": 3, "noise": 2.0}, {"loss": "b", "pictures": 1, "noise": 5.0}]
    assert tables.medians(filled, ["loss"]) == grouped
    assert tables.table([{"a": None, "b": 1}, {"a": "x"}, {"c": None}]) == (
        ["a", "b"],
        [[None, 1], ["x", None], [None, None]],
    )


def test_what_cannot_be_judged_is_refused_in_one_line(
    compare: Callable[..., int], photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object) -> str:
        assert compare(*arguments) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        return message

    assert "no judge 'vgg17'; did you mean 'vgg" in refused("judge", "--network", "vgg17=x", "--style", photo, photo)
    assert "nothing to compare it with" in refused("judge", "--network", "slim", photo)
    Image.new("RGB", (40, 48)).save("tall.png")
    given = ("judge", "--network", "slim", "--content", photo, "tall.png")
    assert "a picture of" in refused(*given)
    Image.new("RGB", (64, 8)).save("thin.png")
    assert "at least 11 a side" in refused("judge", "--network", "slim", "--content", photo, "thin.png")
    assert "at least 32" in refused("peer", "--content", photo, "--style", photo, "--size", 8, "--out", "out")
