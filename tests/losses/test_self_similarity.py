"""content_loss=self_similarity: worked out by hand, in strips, and what it ignores."""

import torch

from nst.losses.content.self_similarity import SelfSimilarity
from nst.memory.strips import Strip
from tests.conftest import SMALL, Door

LOSS = SelfSimilarity()
FEATURES = torch.tensor([[[[1.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]]]])  # three positions: (1, 0), (0, 1), (1, 1)


def test_columns_of_cosine_distances_have_the_sum_one() -> None:
    near = 1 - 0.5**0.5
    expected = torch.tensor([[0, 1, near], [1, 0, near], [near, near, 0]])
    torch.testing.assert_close(LOSS.target(FEATURES).distances[0], expected / expected.sum(0), atol=1e-6, rtol=0)


def test_the_loss_is_the_mean_over_columns_of_absolute_differences() -> None:
    other = torch.tensor([[[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]]])  # the third position is like the first
    # columns (0, 1, 0), (1/2, 0, 1/2), (0, 1, 0) against (0, 1, n), (1, 0, n), (n, n, 0), each divided by its sum
    near = 1 - 0.5**0.5
    first = 2 * near / (1 + near)
    second = abs(0.5 - 1 / (1 + near)) + abs(0.5 - near / (1 + near))
    third = 0.5 + 0.5
    wanted = LOSS.scale * (first + second + third) / 3
    torch.testing.assert_close(LOSS(other, LOSS.target(FEATURES)), torch.tensor(wanted), atol=1e-5, rtol=0)


def test_it_is_zero_for_the_content_and_ignores_scale() -> None:
    features = torch.rand(2, 5, 6, 7)
    torch.testing.assert_close(LOSS(features, LOSS.target(features)), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(LOSS(3 * features, LOSS.target(features)), torch.tensor(0.0), atol=1e-4, rtol=0)


def test_at_most_1024_positions_are_compared_and_strips_find_the_same() -> None:
    features, other = torch.rand(2, 1, 3, 50, 70)
    target = LOSS.target(features)
    assert 900 < len(target.positions) <= 1024
    assert len(set(target.positions.tolist())) == len(target.positions)
    place = Strip(slice(None), {}, {"a": slice(0, 20), "b": slice(20, None)}).place
    parts = [LOSS.part(other[:, :, rows], rows, target) for rows in place.values()]
    torch.testing.assert_close(LOSS.distance(parts, target), LOSS(other, target))


def test_the_gradient_is_right_and_finite_for_a_flat_image() -> None:
    target = LOSS.target(torch.rand(1, 3, 4, 4))
    image = torch.rand(1, 16, 3, dtype=torch.double, requires_grad=True)
    wanted = target._replace(distances=target.distances.double())
    assert torch.autograd.gradcheck(lambda x: LOSS.distance([x], wanted), image)
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSS(flat, target), flat)
    assert gradient.isfinite().all()


def test_a_run_takes_it(nst: Door) -> None:
    asked = (*SMALL, "content_loss=self_similarity", "style_weight=1e6")
    result = nst(*asked)
    assert result.status == 0, result.err
    assert result.rows()[-1]["loss/style"] < result.rows()[0]["loss/style"]
