"""style_loss=gram_moments: the sum of two losses, worked out by hand, in strips and for bad weights."""

import pytest
import torch

from nst.errors import InputError
from nst.losses.style.gram import Gram
from nst.losses.style.gram_moments import GramMoments
from nst.losses.style.moments import Moments
from tests.conftest import SMALL, Door

LOSS = GramMoments()
FEATURES = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])  # means 2 and 5


def target(features: torch.Tensor) -> torch.Tensor:
    return LOSS.target(LOSS.statistic(LOSS.sums(features)))


def test_the_statistic_is_the_second_moment_and_the_mean() -> None:
    torch.testing.assert_close(target(FEATURES), torch.tensor([[[5.0, 10.0], [10.0, 25.0], [2.0, 5.0]]]))


def test_the_loss_is_that_of_gram_and_that_of_moments() -> None:
    image, style = torch.rand(2, 3, 4, 5), torch.rand(1, 3, 6, 5)
    both = [loss(image, loss.statistic(loss.sums(style))) for loss in (Gram(), Moments())]
    torch.testing.assert_close(LOSS(image, target(style)), both[0] + both[1])
    torch.testing.assert_close(GramMoments(moments_weight=0.5)(image, target(style)), both[0] + both[1] / 2)
    torch.testing.assert_close(GramMoments(moments_weight=0)(image, target(style)), both[0])


def test_it_sees_a_difference_that_a_gram_matrix_does_not() -> None:
    one, other = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])  # means 0 and 1, deviations 1 and 0
    assert Gram()(one, Gram().statistic(Gram().sums(other))) == 0
    expected = torch.tensor(2.0) * Moments.scale
    torch.testing.assert_close(LOSS(one, target(other)), expected, rtol=1e-2, atol=0)


def test_equal_features_cost_nothing_wherever_they_are() -> None:
    assert LOSS(FEATURES, target(FEATURES)) == 0
    assert LOSS(FEATURES.flip(3), target(FEATURES)) == 0


def test_parts_add_up_to_the_whole() -> None:
    features = torch.rand(1, 4, 10, 6)
    parts = LOSS.combine(LOSS.sums(part) for part in torch.split(features, [3, 7], dim=2))
    torch.testing.assert_close(LOSS.statistic(parts), target(features))


def test_the_gradient_is_right_and_finite_for_constant_channels() -> None:
    torch.manual_seed(0)
    wanted = target(torch.rand(1, 3, 4, 4)).double()
    loss = GramMoments(moments_weight=1 / Moments.scale)

    def distance(columns: torch.Tensor) -> torch.Tensor:
        return loss.distance(loss.statistic((columns.mT @ columns, columns.sum(1), 16)), wanted)

    assert torch.autograd.gradcheck(distance, torch.rand(2, 16, 3, dtype=torch.double, requires_grad=True))
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSS(flat, wanted.float()), flat)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_bad_weight_is_refused(weight: float) -> None:
    with pytest.raises(InputError, match=f"moments_weight={weight}: must be a finite number, at least 0"):
        GramMoments(weight)


def test_a_run_matches_it(nst: Door) -> None:
    asked = (*SMALL, "style_loss=gram_moments", "layers=classroom", "steps=3")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert whole.record["config"]["style_loss"] == {"name": "gram_moments", "moments_weight": 1.0}
    assert whole.rows()[-1]["loss/style"] < whole.rows()[0]["loss/style"]
    assert "style_loss.moments_weight=-1" in nst(*asked, "style_loss.moments_weight=-1").err
