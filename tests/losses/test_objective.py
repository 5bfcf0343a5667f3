"""The objective: targets once, raw terms, weights that multiply them."""

import pytest
import torch
from torch import Tensor

from nst.losses.content.features import FeatureDistance
from nst.losses.objective import Losses, Objective
from nst.losses.style.gram import Gram
from nst.losses.targets import content_targets, style_targets
from nst.losses.terms import Goal, Style
from nst.memory.strips import WHOLE
from tests.conftest import SMALL, Door

CONTENT, STYLE, IMAGE = (torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))


class Counting(torch.nn.Module):
    """A backbone that counts its forward passes."""

    passes = 0

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.passes += 1
        return {"conv1_1": image * 2, "conv2_1": image[..., ::2, ::2]}


def objective(content_weight: float = 1, style_weight: float = 1, tv_weight: float = 1) -> Objective:
    return encoded(["conv2_1"], ["conv1_1", "conv2_1"], content_weight, style_weight, tv_weight)


def encoded(
    content_layers: list[str], style_layers: list[str], content: float = 1, style: float = 1, tv: float = 1
) -> Objective:
    backbone = Counting()
    losses = Losses(FeatureDistance(), Gram(), {"content": content, "style": style, "tv": tv})
    kept = content_targets(backbone, (CONTENT, WHOLE), content_layers, losses.content)
    matched = style_targets(backbone, [(STYLE, WHOLE)], style_layers, losses.style)
    return Objective(backbone, losses.terms(kept, Goal(matched)))


def test_targets_are_encoded_once() -> None:
    built = objective()
    backbone = built.backbone
    assert isinstance(backbone, Counting)
    assert backbone.passes == 2  # the content and the style
    for _ in range(3):
        built(IMAGE)
    assert backbone.passes == 5


def test_weights_multiply_raw_terms() -> None:
    terms = objective(content_weight=2, style_weight=30, tv_weight=0.5)(IMAGE)
    torch.testing.assert_close(terms["total"], 2 * terms["content"] + 30 * terms["style"] + 0.5 * terms["tv"])
    again = objective(content_weight=7, style_weight=1, tv_weight=0)(IMAGE)
    for term in ("content", "style", "tv"):
        torch.testing.assert_close(again[term], terms[term])


def test_content_of_the_content_and_style_of_the_style_are_zero() -> None:
    built = objective()
    assert built(CONTENT)["content"] == 0
    assert built(STYLE)["style"] == 0


@pytest.mark.parametrize(("content_layers", "style_layers"), [([], ["conv1_1"]), (["conv1_1"], [])])
def test_a_term_without_layers_is_zero(content_layers: list[str], style_layers: list[str]) -> None:
    terms = encoded(content_layers, style_layers)(IMAGE)
    assert (terms["content"] == 0) == (not content_layers)
    assert (terms["style"] == 0) == (not style_layers)


def test_style_layers_are_weighted() -> None:
    layers = ["conv1_1", "conv2_1"]
    loss = Gram()
    matched = style_targets(Counting(), [(STYLE, WHOLE)], layers, loss)
    features = Counting()(IMAGE)
    each = [loss(features[layer], matched[layer]) for layer in layers]
    for weights, expected in (((3, 1), (3 * each[0] + each[1]) / 4), ((0, 2), each[1]), (None, sum(each) / 2)):
        term = Style(1.0, [Goal(matched)], loss, weights)
        part = term.part(features, WHOLE[0], term.targets)
        torch.testing.assert_close(term.value(IMAGE, [part], term.targets), expected)


@pytest.mark.parametrize("loss", ["sliced", "neighbors", "wasserstein"])
def test_losses_take_several_styles_together(loss: str, nst: Door) -> None:
    together, alone = (nst(*SMALL, f"style_loss={loss}", f"style={style}") for style in ("[swirl,waves]", "swirl"))
    assert together.status == 0, together.err
    assert together.rows()[-1]["loss/style"] < together.rows()[0]["loss/style"]
    assert together.rows()[0]["loss/style"] != alone.rows()[0]["loss/style"]
