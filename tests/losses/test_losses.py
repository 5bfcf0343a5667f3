"""Losses against values worked out by hand."""

import pytest
import torch

from nst.losses.content.features import FeatureDistance
from nst.losses.priors import range_loss, tv_loss
from nst.losses.style.gram import Gram, gram

content_loss = FeatureDistance()
FEATURES = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels of 1×2 pixels


def test_gram_is_the_channels_inner_products() -> None:
    assert gram(FEATURES, "none").tolist() == [[[5.0, 1.0], [1.0, 10.0]]]


def test_gram_normalizations_divide_by_pixels_and_by_channels() -> None:
    raw = gram(FEATURES, "none")
    torch.testing.assert_close(gram(FEATURES, "hw"), raw / 2)
    torch.testing.assert_close(gram(FEATURES, "chw"), raw / 4)


def test_gram_is_the_same_for_both_memory_formats_and_keeps_batches_apart() -> None:
    features = torch.randn(3, 5, 4, 7)
    expected = torch.stack([each.flatten(1) @ each.flatten(1).T for each in features]) / (5 * 4 * 7)
    torch.testing.assert_close(gram(features), expected)
    torch.testing.assert_close(gram(features.contiguous(memory_format=torch.channels_last)), expected)


def test_gram_of_half_precision_does_not_overflow() -> None:
    assert gram(torch.full((1, 2, 64, 64), 200.0, dtype=torch.float16), "none").isfinite().all()


def test_losses_of_the_target_itself_are_zero() -> None:
    assert content_loss(FEATURES, FEATURES) == 0
    assert Gram()(FEATURES, gram(FEATURES)) == 0


def test_content_scales_with_the_square_and_style_with_the_fourth_power_of_features() -> None:
    other = torch.randn_like(FEATURES)
    content, style = content_loss(other, FEATURES), Gram()(other, gram(FEATURES))
    torch.testing.assert_close(content_loss(3 * other, 3 * FEATURES), 9 * content)
    torch.testing.assert_close(Gram()(3 * other, gram(3 * FEATURES)), 81 * style)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_total_variation_of_a_constant_is_zero(value: float) -> None:
    assert tv_loss(torch.full((1, 3, 5, 6), value)) == 0


def test_total_variation_of_a_checkerboard_is_one_a_direction() -> None:
    checkerboard = (torch.arange(6)[:, None] + torch.arange(8)) % 2
    assert tv_loss(checkerboard.float().expand(1, 3, 6, 8)) == 2


def test_range_loss_is_the_squared_distance_from_what_can_be_shown() -> None:
    assert range_loss(torch.tensor([0.0, 0.3, 1.0])) == 0
    torch.testing.assert_close(range_loss(torch.tensor([-0.2, 0.5, 1.4, 1.0])), torch.tensor((0.04 + 0.16) / 4))
