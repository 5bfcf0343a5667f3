"""An image processed in strips has the losses and the gradient of the whole image."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from nst.backbones import Backbone
from nst.losses.content import CONTENT_LOSSES
from nst.losses.content.features import FeatureDistance
from nst.losses.objective import Losses, Objective
from nst.losses.style import STYLE_LOSSES
from nst.losses.style.gram import Gram
from nst.losses.targets import content_targets, style_targets
from nst.losses.terms import Goal
from nst.memory.strips import cut

LAYERS = {
    "slim": ["conv4_1", "conv1_1", "conv3_2", "conv5_1"],
    "vgg19": ["relu2_2", "relu1_1", "pool1", "relu2_1"],
    "squeezenet": ["fire5", "conv1", "pool1", "fire9"],  # its pooling rounds up, and its first layers have no padding
}
"""Network → its content layer, then its style layers."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Network → a file of random weights; None for the embedded one."""
    torch.manual_seed(0)
    vgg = torchvision.models.vgg19(weights=None).features[:9]
    states = {
        "vgg19": {f"features.{name}": value for name, value in vgg.state_dict().items()},
        "squeezenet": torchvision.models.squeezenet1_0(weights=None).state_dict(),
    }
    paths: dict[str, str | None] = {"slim": None}
    for name, state in states.items():
        path = tmp_path_factory.mktemp("weights") / f"{name}.safetensors"
        save_file(state, path)
        paths[name] = str(path)
    return paths


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("height", "rows"), [(200, 64), (193, 48), (208, 16), (100, 200)])
def test_the_gradient_is_that_of_the_whole_image(
    name: str, height: int, rows: int, weights: dict[str, str | None]
) -> None:
    torch.manual_seed(0)
    # in float64: in float32 rounding can decide which of two nearly equal places a pooling takes
    backbone = Backbone(name, LAYERS[name], weights[name], padding="reflect" if rows == 48 else "zeros").double()
    content_layers, style_layers = LAYERS[name][:1], LAYERS[name][1:]
    content, style, image = (torch.rand(1, 3, tall, 70).double() for tall in (height, height + 25, height))

    def evaluate(rows: int | None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        strips, style_strips = (cut(backbone.receptive_fields, tall, rows) for tall in (height, height + 25))
        assert (len(strips) > 1) == (rows is not None and rows < height)
        losses = Losses(FeatureDistance(), Gram(), {"content": 1.0, "style": 1e6, "tv": 5.0})
        kept = content_targets(backbone, (content, strips), content_layers, losses.content)
        matched = style_targets(backbone, [(style, style_strips)], style_layers, losses.style)
        objective = Objective(backbone, losses.terms(kept, Goal(matched)), strips)
        pixels = image.clone().requires_grad_()
        values = objective(pixels)
        return values, torch.autograd.grad(values["total"], pixels)[0]

    (at_once, whole), (in_strips, parts) = evaluate(None), evaluate(rows)
    torch.testing.assert_close(in_strips, at_once, rtol=1e-5, atol=0)
    # rounding may decide another way which of two nearly equal places a pooling takes
    assert (parts - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.mark.parametrize("name", [*STYLE_LOSSES, *CONTENT_LOSSES])
def test_every_loss_takes_strips(name: str) -> None:
    backbone = Backbone("slim", ["conv_1", "conv_3"], padding="reflect")
    torch.manual_seed(0)
    content, style, image = (torch.rand(1, 3, tall, 40) for tall in (96, 120, 96))

    def gradient(rows: int | None) -> torch.Tensor:
        strips, style_strips = (cut(backbone.receptive_fields, tall, rows) for tall in (96, 120))
        losses = Losses(
            CONTENT_LOSSES.make({"name": name if name in CONTENT_LOSSES else "features"}),
            STYLE_LOSSES.make({"name": name if name in STYLE_LOSSES else "gram"}),
            {"content": float(name in CONTENT_LOSSES), "style": float(name in STYLE_LOSSES), "tv": 0.0},
        )
        kept = content_targets(backbone, (content, strips), ["conv3_1"], losses.content)
        matched = style_targets(backbone, [(style, style_strips)], backbone.layers, losses.style)
        pixels = image.clone().requires_grad_()
        values = Objective(backbone, losses.terms(kept, Goal(matched)), strips)(pixels)
        return torch.autograd.grad(values["total"], pixels)[0]

    whole, parts = gradient(None), gradient(32)
    # rounding may swap the ranks, or the neighbors, of positions that are nearly alike
    assert (parts - whole).abs().max() < (0.02 if name in ("sliced", "neighbors") else 1e-3) * whole.abs().max()


def test_no_strip_is_too_short_for_the_network(weights: dict[str, str | None]) -> None:
    backbone = Backbone("squeezenet", ["pool1"], weights["squeezenet"])
    for height in range(64, 130):
        image = torch.rand(1, 3, height, 20)
        strips = cut(backbone.receptive_fields, height, 32)
        assert len(strips) > 1
        parts = [strip.crop(backbone(image[:, :, strip.seen]))["pool1"] for strip in strips]
        torch.testing.assert_close(torch.cat(parts, dim=2), backbone(image)["pool1"])
