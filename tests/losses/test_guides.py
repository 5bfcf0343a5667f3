"""Regions and mixes of styles: what each position counts, in every style loss."""

import pytest
import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.images.masks import eroded, fitted
from nst.losses.content.features import FeatureDistance
from nst.losses.guide import Guide, guides_at
from nst.losses.objective import Losses, Objective
from nst.losses.style import STYLE_LOSSES
from nst.losses.style.gram import Gram
from nst.losses.style.wasserstein import Wasserstein
from nst.losses.targets import mixed_targets, style_sums, style_targets
from nst.losses.terms import Goal
from nst.memory.strips import WHOLE, ReceptiveField, cut

FEATURES = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
ADDITIVE = [name for name in STYLE_LOSSES if STYLE_LOSSES[name].additive]


def left(share: float = 1.0) -> Guide:
    """The left half of the features; its positions belong to it by `share`."""
    belongs = torch.zeros(1, 1, 4, 6)
    belongs[..., :3] = share
    return Guide(belongs)


def test_the_gram_matrix_of_a_region_is_that_of_its_positions() -> None:
    # by hand: two channels, positions (1, 0), (2, 1) in the region, (5, 5) outside
    features = torch.tensor([[[[1.0, 2.0, 5.0]], [[0.0, 1.0, 5.0]]]])
    loss, guide = Gram("hw"), Guide(torch.tensor([[[[1.0, 1.0, 0.0]]]]))
    other = Guide(torch.tensor([[[[0.0, 0.0, 1.0]]]]))
    assert loss.statistic(loss.sums(features, guide)).tolist() == [[[2.5, 1.0], [1.0, 0.5]]]
    assert loss.statistic(loss.sums(features, other)).tolist() == [[[25.0, 25.0], [25.0, 25.0]]]
    # a position that belongs by half counts a quarter: the guide multiplies the features
    half = Guide(torch.tensor([[[[1.0, 0.5, 0.0]]]]))
    torch.testing.assert_close(
        loss.statistic(loss.sums(features, half)), torch.tensor([[[2.0, 0.5], [0.5, 0.25]]]) / 1.25
    )


@pytest.mark.parametrize("name", [*STYLE_LOSSES])
def test_a_region_has_the_statistic_of_its_positions(name: str) -> None:
    loss = STYLE_LOSSES.make({"name": name})
    expected = loss.statistic(loss.sums(FEATURES[..., :3]))
    for guide in (left(), left(0.7)):  # that all belong by 0.7 makes no difference
        torch.testing.assert_close(loss.statistic(loss.sums(FEATURES, guide)), expected)
    everywhere = Guide(torch.ones(1, 1, 4, 6))
    torch.testing.assert_close(loss.statistic(loss.sums(FEATURES, everywhere)), loss.statistic(loss.sums(FEATURES)))


@pytest.mark.parametrize("name", [*STYLE_LOSSES])
def test_regions_in_strips_are_those_of_the_whole_image(name: str) -> None:
    backbone = Backbone("slim", ["conv1_1", "conv3_1"], padding="reflect")
    torch.manual_seed(0)
    style, image = torch.rand(2, 1, 3, 96, 40)
    mask = torch.zeros(1, 1, 96, 40)
    mask[:, :, 20:70, 5:30] = 1  # across the border of two strips
    loss = STYLE_LOSSES.make({"name": name})

    def gradient(rows: int | None) -> Tensor:
        strips = cut(backbone.receptive_fields, 96, rows)
        regions = [
            guides_at(each, backbone.receptive_fields, backbone.sizes(96, 40), inside=False)
            for each in (mask, 1 - mask)
        ]
        goals = [Goal(style_targets(backbone, [(style, strips)], backbone.layers, loss), 0.5, each) for each in regions]
        losses = Losses(FeatureDistance(), loss, {"content": 0.0, "style": 1.0, "tv": 0.0})
        pixels = image.clone().requires_grad_()
        total = Objective(backbone, losses.terms({}, *goals), strips)(pixels)["total"]
        return torch.autograd.grad(total, pixels)[0]

    whole, parts = gradient(None), gradient(32)
    assert (parts - whole).abs().max() < (0.02 if name in ("sliced", "neighbors") else 1e-3) * whole.abs().max()


@pytest.mark.parametrize("name", ADDITIVE)
def test_a_mix_averages_means_and_second_moments(name: str) -> None:
    def network(image: Tensor) -> dict[str, Tensor]:
        return {"one": image}

    loss, styles = (
        STYLE_LOSSES.make({"name": name}),
        torch.rand(2, 1, 3, 5, 5, generator=torch.Generator().manual_seed(0)),
    )
    sums = [style_sums(network, (style, WHOLE), ["one"], loss) for style in styles]
    alone = style_targets(network, [(styles[0], WHOLE)], ["one"], loss)
    torch.testing.assert_close(mixed_targets(sums, [1.0, 0.0], loss), alone)
    together = style_targets(network, [(style, WHOLE) for style in styles], ["one"], loss)
    torch.testing.assert_close(mixed_targets(sums, [0.5, 0.5], loss), together)  # they have as many positions
    larger = style_sums(network, (torch.cat([styles[1], styles[1]], dim=2), WHOLE), ["one"], loss)
    torch.testing.assert_close(mixed_targets([sums[0], larger], [0.5, 0.5], loss), together)


def test_the_covariance_of_a_mix_is_not_the_average_of_covariances() -> None:
    def network(image: Tensor) -> dict[str, Tensor]:
        return {"one": image}

    loss = Wasserstein()
    dark, bright = (torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0)) + shift for shift in (0.0, 1.0))
    sums = [style_sums(network, (style, WHOLE), ["one"], loss) for style in (dark, bright)]
    root = mixed_targets(sums, [0.5, 0.5], loss)["one"][0, :-1]
    covariance = torch.cov(torch.cat([dark, bright])[:, :].transpose(0, 1).flatten(1), correction=0)
    torch.testing.assert_close(root @ root, covariance + 1e-4 * torch.eye(3), rtol=1e-3, atol=1e-4)


def test_masks_are_fitted_feathered_and_eroded() -> None:
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., :20] = 1
    assert set(fitted(mask, (20, 20), 0).flatten().tolist()) == {0.0, 1.0}
    soft = fitted(mask, (40, 40), 8)[0, 0, 20]
    assert soft[10] == 1
    assert soft[30] == 0
    assert 0.3 < soft[19] < 0.7
    assert eroded(mask, 5)[0, 0, 20].sum() == 15  # but not at the image's own border
    fields = {"one": ReceptiveField(1, 0, 0), "two": ReceptiveField(4, 6, 6)}
    sizes = {"one": (40, 40), "two": (10, 10)}
    by_place, inside = (guides_at(mask, fields, sizes, inside=each) for each in (False, True))
    assert by_place["two"].belongs[0, 0, 0].tolist() == [1] * 5 + [0] * 5
    assert inside["two"].belongs[0, 0, 0].tolist() == [1] * 3 + [0.5] + [0] * 6
    assert inside["one"].belongs.sum() == mask.sum()
    assert not inside["two"].vanishes
    assert guides_at(
        mask[..., 18:22],
        fields,
        {"two": (10, 1)},
        inside=True,
    )["two"].vanishes
