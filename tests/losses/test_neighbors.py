"""style_loss=neighbors: matches and cosines worked out by hand, blocks, zero vectors, gradients and strips."""

import pytest
import torch

from nst.errors import InputError
from nst.losses.style import neighbors
from nst.losses.style.neighbors import Neighbors
from tests.conftest import SMALL, Door

LOSS = Neighbors()
STYLE = torch.tensor([[[6.0, 1.0], [4.0, 1.0], [5.0, 3.0], [5.0, -1.0]]])  # mean (5, 1): right, left, up and down of it


def prepared(features: torch.Tensor, style: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return LOSS.prepare(LOSS.target(style), features, 0)


def test_each_position_takes_the_nearest_direction_from_its_images_mean() -> None:
    features = torch.tensor([[[3.0, 1.0], [-3.0, 1.0], [-1.0, -5.0], [1.0, 3.0]]])  # mean (0, 0)
    mean, matched = prepared(features, STYLE)
    torch.testing.assert_close(mean, torch.tensor([[[5.0, 1.0]]]))
    expected = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 1.0]]])
    torch.testing.assert_close(matched, expected, atol=1e-4, rtol=0)


def test_the_loss_is_the_mean_of_one_minus_the_cosine() -> None:
    features = STYLE.mean(1, keepdim=True) + torch.tensor([[[3.0, 4.0], [5.0, 0.0]]])
    against = STYLE.mean(1, keepdim=True), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # cosines 3/5 and 0
    torch.testing.assert_close(LOSS.distance(features, against), torch.tensor(0.7), atol=1e-4, rtol=0)


def test_equal_features_cost_nothing_wherever_they_are() -> None:
    features = torch.rand(1, 30, 4)
    assert LOSS.distance(features, prepared(features, features)) < 1e-10
    order = torch.randperm(30)
    assert LOSS.distance(features[:, order], prepared(features[:, order], features)) < 1e-10
    flat = torch.ones(1, 5, 4)  # all at the mean: vectors of length 0
    assert LOSS.distance(flat, prepared(flat, flat)) == 0


def test_a_search_in_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, style = torch.rand(2, 50, 4), torch.rand(1, 40, 4)
    _, whole = prepared(features, style)
    monkeypatch.setattr(neighbors, "BLOCK", 7 * 40 * 4)  # 7 rows of 40 similarities
    assert torch.equal(prepared(features, style)[1], whole)


def test_a_large_style_is_searched_in_part() -> None:
    style = torch.rand(1, 60, 4)
    mean, directions = Neighbors(positions=10).target(style)
    torch.testing.assert_close(mean, style.mean(1, keepdim=True))
    _, whole = LOSS.target(style)
    assert directions.shape == (1, 10, 4)
    found = {tuple(row) for row in whole[0].tolist()}
    assert len({tuple(row) for row in directions[0].tolist()} & found) == 10


def test_parts_are_joined_to_the_whole_and_a_batch_is_the_mean_of_its_images() -> None:
    features, style = torch.rand(2, 4, 10, 6), LOSS.target(torch.rand(1, 30, 4))
    parts = LOSS.combine(LOSS.sums(part) for part in torch.split(features, [3, 7], dim=2))
    assert torch.equal(LOSS.statistic(parts), LOSS.statistic(LOSS.sums(features)))
    losses = torch.stack([LOSS(image[None], style) for image in features])
    torch.testing.assert_close(LOSS(features, style), losses.mean())


def test_the_gradient_is_right_and_finite_for_a_zero_vector() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 9, 3, dtype=torch.double, requires_grad=True)
    against = prepared(features.detach(), torch.rand(1, 7, 3).double())
    assert torch.autograd.gradcheck(lambda x: LOSS.distance(x, against), features)
    at_the_mean = STYLE.mean(1, keepdim=True).requires_grad_()
    (gradient,) = torch.autograd.grad(LOSS.distance(at_the_mean, (STYLE.mean(1, keepdim=True), STYLE)), at_the_mean)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("field", ["renew_every", "positions"])
def test_a_bad_number_is_refused(field: str) -> None:
    with pytest.raises(InputError, match=f"{field}=0: must be at least 1"):
        Neighbors(**{field: 0})


def test_a_run_matches_it(nst: Door) -> None:
    asked = (*SMALL, "style_loss=neighbors", "layers=classroom", "steps=3")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert whole.record["config"]["style_loss"] == {"name": "neighbors", "renew_every": 25, "positions": 4096}
    assert whole.rows()[-1]["loss/style"] < whole.rows()[0]["loss/style"]
    assert "style_loss.positions=0: must be at least 1" in nst(*asked, "style_loss.positions=0").err
