"""Figures that say how good a picture is. No run minimizes them in the network that judges it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from nst.images.colors import luma
from nst.losses.content.self_similarity import SelfSimilarity, Similarity
from nst.losses.style import StyleLoss
from nst.losses.style.gram import Gram
from nst.losses.style.sliced import Sliced
from nst.losses.style.wasserstein import Wasserstein
from nst.losses.targets import Features
from tools.compare.networks import Layers

HIGH = 0.25
"""Cycles a pixel above which detail counts as noise: a quarter of the sampling rate, half of what pixels can show."""
DISTANCES: dict[str, StyleLoss] = {"w2": Wasserstein(), "sliced": Sliced()}
"""Name of a figure → the loss that it is a mean of, without the loss's factor `scale`.

w2: the 2-Wasserstein distance, squared, of Gaussians fitted to the features (Gelbrich 1990), divided by the number of
channels. sliced: the mean squared difference of sorted projections (Heitz et al. 2021, eq. 2).
"""
GRAM = Gram()
CONTENT = SelfSimilarity()
Maps = Mapping[str, Tensor]
"""Layer → features (1, C, H, W)."""


def style_target(loss: StyleLoss, styles: Iterable[Tensor]) -> Any:
    """A style loss's target at a layer, of the features (1, C, H, W) of one style or of several together."""
    return loss.target(loss.statistic(loss.combine(loss.sums(features) for features in styles)))


def style_distance(loss: StyleLoss, features: Tensor, target: Any) -> float:
    """The distance of features (1, C, H, W) from the style's; 0 for the style's own."""
    return float(loss(features, target)) / loss.scale


def gram_distance(features: Tensor, matrix: Tensor) -> float:
    """|G - G*| / |G*| with Frobenius norms, of the Gram matrices of features (1, C, H, W) and of the style."""
    difference = GRAM.statistic(GRAM.sums(features)) - matrix
    return float(difference.norm() / matrix.norm())


def content_distance(features: Tensor, target: Similarity) -> float:
    """How differently alike the places of a picture are to each other than those of the content, in [0, 2].

    The self-similarity loss of Kolkin et al. 2019, eq. 8, at one layer. It depends little on colors and strokes.
    """
    return float(CONTENT(features, target)) / CONTENT.scale


def high_share(image: Tensor) -> float:
    """The share of the energy of an image's luma, without its mean, at frequencies above HIGH; in [0, 1].

    image: (1, 3, H, W) in [0, 1]. A Hann window keeps the jump from one border to the opposite one out of the spectrum.
    """
    gray = luma(image.double())[0, 0]
    rows, columns = (torch.hann_window(side, periodic=False, dtype=gray.dtype) for side in gray.shape)
    window = rows[:, None] * columns
    gray = (gray - (window * gray).sum() / window.sum()) * window
    energy = torch.fft.fft2(gray).abs().square()
    down, across = (torch.fft.fftfreq(side, dtype=gray.dtype) for side in gray.shape)
    high = down[:, None].square() + across.square() > HIGH**2
    return float(energy[high].sum() / energy.sum().clamp_min(1e-12))


def noise(picture: Tensor, styles: Sequence[Tensor]) -> float:
    """How rough a picture is: its `high_share` divided by the styles' mean. 1: as rough as the painting.

    All are images (1, 3, H, W) in [0, 1], the styles at the picture's size.
    """
    return high_share(picture) / max(sum(map(high_share, styles)) / len(styles), 1e-12)


def structure(picture: Tensor, content: Tensor) -> float:
    """Structural similarity of the luma of two images (1, 3, H, W), with the constants of Wang et al. 2004; 1: equal.

    Both sides have at least 11 pixels.
    """
    gray, wanted = (luma(image.double())[0, 0].numpy() for image in (picture, content))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(gray, wanted, data_range=1.0, **options))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Reference:
    """What a picture was made of, at the picture's size, (1, 3, H, W) each."""

    content: Tensor | None
    """None if it has none, as a texture."""
    styles: list[Tensor]
    """Empty for a reconstruction."""


class Judge:
    """The distances between a picture and one reference in a network.

    network: image → features with mean activation 1. Distances to the style are means over the style layers.
    """

    def __init__(self, network: Features, layers: Layers, reference: Reference) -> None:
        self.network, self.layers = network, layers
        self._styles: dict[str, dict[str, Any]] = {}
        with torch.no_grad():
            styles = [network(style) for style in reference.styles]
            content = network(reference.content)[layers.content] if reference.content is not None else None
            for name, loss in ({**DISTANCES, "gram": GRAM} if styles else {}).items():
                self._styles[name] = {
                    layer: style_target(loss, (features[layer] for features in styles)) for layer in layers.style
                }
        self._content = CONTENT.target(content) if content is not None else None

    @torch.no_grad()
    def figures(self, picture: Tensor) -> dict[str, float]:
        """w2, sliced and gram (with a style) and self_similarity (with a content) of a picture (1, 3, H, W) in [0, 1].

        0 is best for all of them.
        """
        features = self.network(picture)
        figures = {name: self._mean(name, features) for name in self._styles}
        if self._content is not None:
            figures["self_similarity"] = content_distance(features[self.layers.content], self._content)
        return figures

    def _mean(self, name: str, features: Maps) -> float:
        targets = self._styles[name].items()
        if name == "gram":
            distances = [gram_distance(features[layer], target) for layer, target in targets]
        else:
            distances = [style_distance(DISTANCES[name], features[layer], target) for layer, target in targets]
        return sum(distances) / len(distances)


def pixel_figures(picture: Tensor, reference: Reference) -> dict[str, float]:
    """noise (with a style) and ssim (with a content) of a picture (1, 3, H, W) in [0, 1]: they need no network."""
    figures = {"noise": noise(picture, reference.styles)} if reference.styles else {}
    if reference.content is not None:
        figures["ssim"] = structure(picture, reference.content)
    return figures
