"""style_loss=moments: worked out by hand, in strips, on all backbones and for generators."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from nst.losses.style.moments import VARIANCE_FLOOR, Moments
from tests.conftest import SHARED, SMALL, Door

LOSS = Moments()
FEATURES = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])  # means 2 and 5, standard deviations 1 and 0


def target(features: torch.Tensor) -> torch.Tensor:
    return LOSS.statistic(LOSS.sums(features))


def test_the_statistic_is_the_mean_and_the_standard_deviation() -> None:
    expected = torch.tensor([[[2.0, 5.0], [(1 + VARIANCE_FLOOR) ** 0.5, VARIANCE_FLOOR**0.5]]])
    torch.testing.assert_close(target(FEATURES), expected)


def test_the_loss_adds_the_squared_differences_of_both() -> None:
    other = torch.tensor([[[[0.0, 4.0]], [[5.0, 5.0]]]])  # mean 2 again, standard deviation 2
    for features, expected in ((other, 0.5), (FEATURES + 3, 9.0)):
        distance = LOSS.distance(target(features), target(FEATURES))
        torch.testing.assert_close(distance, torch.tensor(expected), atol=1e-4, rtol=0)
        torch.testing.assert_close(LOSS(features, target(FEATURES)), LOSS.scale * distance)
    assert LOSS(FEATURES, target(FEATURES)) == 0
    assert LOSS(FEATURES.flip(3), target(FEATURES)) == 0  # where a feature is makes no difference


def test_parts_add_up_to_the_whole() -> None:
    features = torch.rand(1, 4, 10, 6)
    parts = LOSS.combine(LOSS.sums(part) for part in torch.split(features, [3, 7], dim=2))
    torch.testing.assert_close(LOSS.statistic(parts), target(features))


def test_the_gradient_is_right_and_finite_for_constant_channels() -> None:
    wanted = target(torch.rand(1, 3, 4, 4)).double()
    features = torch.rand(1, 3, 4, 4, dtype=torch.double, requires_grad=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        columns = x.flatten(2).transpose(1, 2)
        return LOSS.distance(LOSS.statistic((columns.sum(1), columns.square().sum(1), 16)), wanted)

    assert torch.autograd.gradcheck(loss, features)
    flat = torch.ones(1, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(LOSS(flat, wanted.float()), flat)
    assert gradient.isfinite().all()


def test_a_run_matches_moments(nst: Door) -> None:
    asked = (*SMALL, "style_loss=moments", "style_weight=1e8", "layers=classroom", "steps=3")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert whole.record["config"]["style_loss"] == {"name": "moments"}
    assert whole.rows()[-1]["loss/style"] < whole.rows()[0]["loss/style"] / 2
    assert "no key 'style_loss.normalize'" in nst(*asked, "+style_loss.normalize=hw").err


@pytest.mark.parametrize(("backbone", "depth"), [("vgg19", 6), ("vgg16", 6), ("squeezenet", 5)])
def test_every_backbone_takes_it(backbone: str, depth: int, nst: Door) -> None:
    torch.manual_seed(0)
    network = {"vgg19": "vgg19", "vgg16": "vgg16", "squeezenet": "squeezenet1_0"}[backbone]
    state = getattr(torchvision.models, network)(weights=None).features[:depth].state_dict()
    save_file({f"features.{name}": value for name, value in state.items()}, "weights.safetensors")
    layer = "conv1" if backbone == "squeezenet" else "conv1_1"
    layers = (f"style_layers=[{layer}]", f"content_layers=[{layer}]", "size=64", "steps=3", "tracking=none")
    result = nst("style_loss=moments", f"backbone={backbone}", "backbone.weights=weights.safetensors", *layers)
    assert result.status == 0, result.err
    assert result.rows()[-1]["loss/total"] < result.rows()[0]["loss/total"]


@pytest.mark.real_weights
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared with real weights")
def test_real_weights_match_moments(nst: Door) -> None:
    weights = SHARED / "weights" / "vgg16_features.safetensors"
    asked = ("backbone=vgg16", f"backbone.weights={weights}", "layers=gatys", "size=64", "steps=10", "tracking=none")
    result = nst("style_loss=moments", *asked)
    assert result.status == 0, result.err
    assert result.rows()[-1]["loss/style"] < result.rows()[0]["loss/style"] / 2
