"""Samples need no download, and the bundled paintings are what their script draws."""

import numpy as np
import pytest
from PIL import Image

from nst.images import samples
from nst.images.files import load
from tools import paint_samples


@pytest.mark.parametrize("name", [*samples.PHOTOGRAPHS, *samples.PAINTINGS])
def test_every_sample_loads(name: str) -> None:
    image = load(samples.find("content", name), 96)
    assert image.shape[:2] == (1, 3)
    assert max(image.shape[2:]) == 96
    assert image.std() > 0.05


def test_the_script_draws_every_painting() -> None:
    assert set(paint_samples.PAINTINGS) == set(samples.PAINTINGS)


@pytest.mark.parametrize("name", ["facets", "waves"])
def test_a_committed_painting_is_what_the_script_draws(name: str) -> None:
    with Image.open(samples.find("style", name)) as file:
        committed = np.asarray(file.reduce(4), dtype=float)
    drawn = paint_samples.PAINTINGS[name](np.random.default_rng(paint_samples.SEED), paint_samples.SIDE).reduce(4)
    assert (
        np.abs(committed - np.asarray(drawn, dtype=float)).mean() < 4
    )  # JPEG, and differences between versions of Pillow


@pytest.mark.parametrize("name", samples.PAINTINGS)
def test_a_painting_is_the_same_each_time_at_a_small_side(name: str) -> None:
    drawn, again = (
        np.asarray(paint_samples.PAINTINGS[name](np.random.default_rng(paint_samples.SEED), 48)) for _ in range(2)
    )
    assert np.array_equal(drawn, again)
    assert drawn.shape == (48, 48, 3)
    assert drawn.std() > 20
