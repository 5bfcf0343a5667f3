"""style_loss=wasserstein: Gaussians whose distance is known, its gradient, batches, strips and the default weights."""

import pytest
import torch

from nst.losses.style.wasserstein import RIDGE, Wasserstein
from tests.conftest import SMALL, Door

LOSS = Wasserstein()


def statistic(mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """The statistic (1, C + 1, C) of a Gaussian."""
    return torch.cat([covariance - RIDGE * torch.eye(len(mean)) + torch.outer(mean, mean), mean[None]])[None].double()


def target(features: torch.Tensor) -> torch.Tensor:
    return LOSS.target(LOSS.statistic(LOSS.sums(features)))


def test_the_statistic_is_the_second_moment_and_the_mean() -> None:
    features = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    expected = torch.tensor([[[5.0, 10.0], [10.0, 25.0], [2.0, 5.0]]])
    torch.testing.assert_close(LOSS.statistic(LOSS.sums(features)), expected)


def test_gaussians_without_correlation() -> None:
    """W2² = |μ − μ*|² + Σ (σ − σ*)²."""
    mean, std = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, 5.0]]), torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 0.5]])
    one, other = (statistic(mean[i], std[i].square().diag()) for i in (0, 1))
    expected = torch.tensor((0 + 4 + 4 + 1 + 0 + 6.25) / 3).double()
    torch.testing.assert_close(LOSS.distance(one, LOSS.target(other)), expected, rtol=1e-6, atol=0)


def test_gaussians_whose_covariances_do_not_commute() -> None:
    """For 2 × 2 matrices tr M^½ = √(tr M + 2 √det M), and Σ*^½ Σ Σ*^½ has the trace and determinant of Σ* Σ."""
    covariance, style = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([[5.0, -1.0], [-1.0, 1.0]])
    assert not torch.equal(covariance @ style, style @ covariance)
    product = covariance @ style  # trace 10, determinant 3 · 4
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    expected = ((4 + 6 - 2 * root) / 2).double()
    zero = torch.zeros(2)
    distance = LOSS.distance(statistic(zero, covariance), LOSS.target(statistic(zero, style)))
    torch.testing.assert_close(distance, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("side", [2, 24])  # fewer positions than channels, and more
def test_equal_features_cost_nothing_wherever_they_are(side: int) -> None:
    features = torch.rand(1, 16, side, side)
    assert abs(LOSS.distance(LOSS.statistic(LOSS.sums(features)), target(features))) < 1e-6
    assert abs(LOSS.distance(LOSS.statistic(LOSS.sums(features.flip(2, 3))), target(features))) < 1e-6


def test_a_small_difference_is_not_lost_in_rounding() -> None:
    """Near the optimum the loss is 1e-6 of the traces: moving all features by δ costs δ² exactly."""
    features = torch.rand(1, 64, 16, 16) * 8
    moved = LOSS.distance(LOSS.statistic(LOSS.sums(features * 1.001)), target(features))
    spread, mean = features.var((2, 3), correction=0).mean(), features.mean((2, 3)).square().mean()
    torch.testing.assert_close(moved, 1e-6 * (spread + mean), rtol=1e-2, atol=0)


def test_a_batch_is_the_mean_of_its_images() -> None:
    images, style = torch.rand(3, 4, 5, 6), target(torch.rand(1, 4, 6, 6))
    losses = torch.stack([LOSS(image[None], style) for image in images])
    torch.testing.assert_close(LOSS(images, style), losses.mean())


def test_parts_add_up_to_the_whole() -> None:
    features = torch.rand(1, 4, 10, 6)
    parts = LOSS.combine(LOSS.sums(part) for part in torch.split(features, [3, 7], dim=2))
    torch.testing.assert_close(LOSS.target(LOSS.statistic(parts)), target(features), atol=1e-4, rtol=1e-4)


def test_the_gradient_is_right_and_finite_for_constant_channels() -> None:
    torch.manual_seed(0)
    wanted = target(torch.rand(1, 3, 4, 4)).double()

    def distance(columns: torch.Tensor) -> torch.Tensor:
        return LOSS.distance(LOSS.statistic((columns.mT @ columns, columns.sum(1), 16)), wanted)

    assert torch.autograd.gradcheck(distance, torch.rand(2, 16, 3, dtype=torch.double, requires_grad=True))
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSS(flat, wanted.float()), flat)
    assert gradient.isfinite().all()


def test_a_run_matches_it(nst: Door) -> None:
    asked = (*SMALL, "style_loss=wasserstein", "layers=classroom", "steps=3")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert whole.record["config"]["style_loss"] == {"name": "wasserstein"}
    assert whole.record["config"]["style_layer_weights"] == "positions"
    assert whole.rows()[-1]["loss/style"] < whole.rows()[0]["loss/style"]


def test_a_generator_learns_it_with_a_content_loss_that_is_not_the_default(nst: Door) -> None:
    small = ("generator.width=4", "generator.blocks=1", "data.size=48", "data.workers=0", "tracking=none")
    losses = ("style_loss=wasserstein", "content_loss=self_similarity", "style_weight=1e7")
    result = nst("mode=train", *losses, *small, "layers=shallow", "steps=8")
    assert result.status == 0, result.err
    assert result.rows()[-1]["loss/style"] < result.rows()[0]["loss/style"]


def test_a_loss_that_overflows_is_seen_and_does_not_break(nst: Door) -> None:
    target = LOSS.target(LOSS.statistic(LOSS.sums(torch.rand(1, 24, 6, 6))))
    features = torch.full((1, 24, 6, 6), torch.nan)  # eigh raises for 24 channels, not for 64
    assert LOSS(features, target).isnan()
    wild = ("optimizer=adam", "optimizer.lr=1e30", "style_loss=wasserstein", *SMALL)
    assert nst(*wild).status == 3
