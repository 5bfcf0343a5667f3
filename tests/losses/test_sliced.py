"""style_loss=sliced: sorted projections worked out by hand, quantiles of other sizes, gradients and strips."""

import pytest
import torch

from nst.errors import InputError
from nst.losses.style.sliced import Sliced
from tests.conftest import SMALL, Door

LOSS = Sliced()
AXES = torch.eye(2)


def prepared(features: torch.Tensor, style: torch.Tensor, number: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return LOSS.prepare(LOSS.target(style), features, number)


def test_the_loss_compares_what_is_sorted_along_each_direction() -> None:
    features = torch.tensor([[[3.0, 0.0], [1.0, 4.0], [2.0, 2.0]]])  # sorted: 1 2 3 and 0 2 4
    style = torch.tensor([[[1.0, 3.0, 3.0], [1.0, 1.0, 4.0]]])
    expected = torch.tensor((0 + 1 + 0 + 1 + 1 + 0) / 6)
    torch.testing.assert_close(LOSS.distance(features, (AXES, style)), expected)


def test_directions_are_unit_vectors_that_stay_for_one_number() -> None:
    features = torch.rand(1, 5, 8)
    directions, _ = prepared(features, features, 3)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(8))
    assert torch.equal(directions, prepared(features, features, 3)[0])
    assert not torch.equal(directions, prepared(features, features, 4)[0])


def test_a_shift_costs_its_square_along_the_directions() -> None:
    features, shift = torch.rand(2, 7, 3), torch.tensor([1.0, -2.0, 0.5])
    directions, quantiles = prepared(features[:1], features[:1])
    loss = LOSS.distance(features[:1] + shift, (directions, quantiles))
    torch.testing.assert_close(loss, (directions @ shift).square().mean())


def test_quantiles_are_interpolated_between_midpoints() -> None:
    style = torch.tensor([[[0.0], [4.0]]])  # the quantiles 1/4 and 3/4
    direction, quantiles = prepared(torch.zeros(1, 4, 1), style)
    expected = torch.tensor([[[0.0, 1.0, 3.0, 4.0]]])  # 1/8 … 7/8
    torch.testing.assert_close(quantiles * direction, expected if direction > 0 else expected.flip(2))


@pytest.mark.parametrize("times", [1, 2, 5])
def test_equal_features_cost_nothing_wherever_and_however_often_they_are(times: int) -> None:
    features = torch.rand(1, 12, 4)
    style = features[:, torch.randperm(12)].repeat(1, times, 1)
    assert LOSS.distance(features, prepared(features, style)) < 1e-12


def test_parts_are_joined_to_the_whole_and_a_batch_is_the_mean_of_its_images() -> None:
    features, style = torch.rand(2, 4, 10, 6), torch.rand(1, 30, 4)
    parts = LOSS.combine(LOSS.sums(part) for part in torch.split(features, [3, 7], dim=2))
    assert torch.equal(LOSS.statistic(parts), LOSS.statistic(LOSS.sums(features)))
    losses = torch.stack([LOSS(image[None], style) for image in features])
    torch.testing.assert_close(LOSS(features, style), losses.mean())


def test_the_gradient_is_right_and_finite_for_equal_features() -> None:
    torch.manual_seed(0)  # no two projections within the step of the check
    features = torch.rand(2, 9, 3, dtype=torch.double, requires_grad=True)
    against = prepared(features.detach(), torch.rand(1, 7, 3).double())
    assert torch.autograd.gradcheck(lambda x: LOSS.distance(x, against), features)
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSS(flat, torch.rand(1, 5, 3)), flat)
    assert gradient.isfinite().all()


def test_a_bad_interval_is_refused() -> None:
    with pytest.raises(InputError, match="renew_every=0: must be at least 1"):
        Sliced(renew_every=0)


def test_a_run_matches_it(nst: Door) -> None:
    asked = (*SMALL, "style_loss=sliced", "layers=classroom", "steps=3")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert whole.record["config"]["style_loss"] == {"name": "sliced", "renew_every": 25}
    assert whole.rows()[-1]["loss/style"] < whole.rows()[0]["loss/style"]
    assert "style_loss.renew_every=0: must be at least 1" in nst(*asked, "style_loss.renew_every=0").err
