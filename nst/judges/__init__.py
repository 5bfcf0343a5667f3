"""Judges: figures that say how good a picture is, in a network, or at layers, that it was not optimized in.

A judge says how close a picture is to its styles and how much it keeps of its content, not whether it is beautiful.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.judges.figures import SMALLEST, noise, structure
from nst.losses.content.self_similarity import SelfSimilarity
from nst.losses.guide import Guide
from nst.losses.style import StyleLoss, Sums
from nst.losses.style.gram import Gram
from nst.losses.style.sliced import Sliced
from nst.losses.style.wasserstein import Wasserstein
from nst.losses.targets import Features

W2, GRAM, CONTENT = Wasserstein(), Gram(), SelfSimilarity()
SORTED = 4096
"""At most so many positions of a layer, on a grid, are compared by `sliced`: to sort all of them takes long."""
DISTANCES: dict[str, StyleLoss] = {"w2": W2, "gram": GRAM, "sliced": Sliced()}


class Layers(NamedTuple):
    """What a network is read at, to judge a picture."""

    style: tuple[str, ...]
    """One layer of each resolution that the network has."""
    content: str
    """A layer in the middle of the network, at an eighth of the image's resolution."""


@dataclass(frozen=True)
class Look:
    """A style image (1, 3, H, W) in [0, 1]. share: in a mix, ≥ 0. mask: (1, 1, H, W) in [0, 1]; None: all is taken."""

    image: Tensor
    share: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Place:
    """Where a picture is to have which styles. mask: (1, 1, H, W) in [0, 1] at the picture's size; None: everywhere."""

    looks: Sequence[Look]
    mask: Tensor | None = None

    @property
    def size(self) -> float:
        """The share of the picture."""
        return 1.0 if self.mask is None else float(self.mask.mean())


@dataclass(frozen=True)
class Reference:
    """What a picture was made of.

    content: (1, 3, H, W) in [0, 1], at the picture's size; None for a texture. places: none for a reconstruction.
    """

    content: Tensor | None = None
    places: Sequence[Place] = field(default=())

    @property
    def styles(self) -> list[Tensor]:
        """The style images."""
        return [look.image for place in self.places for look in place.looks]


class Judge:
    """Judges pictures that were made of one reference.

    network: image → features with mean activation 1.
    """

    def __init__(self, network: Features, layers: Layers, reference: Reference) -> None:
        self.network, self.layers, self.reference = network, layers, reference
        with torch.no_grad():
            content = None if reference.content is None else network(reference.content)[layers.content]
            self._content = None if content is None else CONTENT.target(content)
            self._targets: list[dict[tuple[str, str], Any]] = [{} for _ in reference.places]
            for place, targets in zip(reference.places, self._targets, strict=True):
                features = [network(look.image) for look in place.looks]
                for layer in layers.style:
                    maps = [each[layer] for each in features]
                    targets |= {(name, layer): _target(name, maps, place) for name in DISTANCES}

    @torch.no_grad()
    def figures(self, picture: Tensor) -> dict[str, float]:
        """w2, gram and sliced (with styles) and self_similarity (with a content) of a picture (1, 3, H, W) in [0, 1].

        Distances to the styles are means over the style layers, and over the places by their size.
        """
        features, places = self.network(picture), self.reference.places
        figures: dict[str, float] = {}
        if self._content is not None:
            distance = CONTENT(features[self.layers.content], self._content)
            figures["self_similarity"] = float(distance) / CONTENT.scale
        for name in DISTANCES if places else ():
            distances = [
                sum(_distance(name, features[at], place.mask, targets[name, at]) for at in self.layers.style)
                for place, targets in zip(places, self._targets, strict=True)
            ]
            figures[name] = _mean(distances, places) / len(self.layers.style)
        return figures


@torch.no_grad()
def pixel_figures(picture: Tensor, reference: Reference) -> dict[str, float]:
    """color and noise (with styles) and ssim (with a content) of a picture (1, 3, H, W) in [0, 1]."""
    figures, places = dict[str, float](), reference.places
    if reference.content is not None and min(picture.shape[2:]) >= SMALLEST:
        figures["ssim"] = structure(picture, reference.content)
    if places:
        targets = [_target("color", [look.image for look in place.looks], place) for place in places]
        moved = [_distance("color", picture, at.mask, target) for at, target in zip(places, targets, strict=True)]
        figures |= {"color": _mean(moved, places) ** 0.5, "noise": noise(picture, reference.styles)}
    return figures


def _mean(values: Sequence[float], places: Sequence[Place]) -> float:
    """The mean of the places' values, by their size."""
    total = sum(place.size * value for place, value in zip(places, values, strict=True))
    return total / sum(place.size for place in places)


def _target(name: str, maps: Sequence[Tensor], place: Place) -> Any:
    """A distance's target of the features (1, C, H, W) of a place's styles; mixed by their shares, if it can be."""
    loss = DISTANCES.get(name, W2)
    if not loss.additive and len(maps) > 1 and all(look.mask is None for look in place.looks):
        maps = _in_shares(maps, [look.share for look in place.looks])
    sums = [_sums(name, each, look.mask) for each, look in zip(maps, place.looks, strict=True)]
    if loss.additive:
        sums = [loss.counting(each, look.share) for each, look in zip(sums, place.looks, strict=True)]
    return loss.target(loss.statistic(loss.combine(sums)))


def _in_shares(maps: Sequence[Tensor], shares: Sequence[float]) -> list[Tensor]:
    """Of each map (1, C, H, W) evenly spaced positions, (1, C, 1, N); together SORTED or fewer, in those shares."""
    most = min(SORTED, *(each.shape[2] * each.shape[3] / share for each, share in zip(maps, shares, strict=True)))
    chosen = []
    for each, share in zip(maps, shares, strict=True):
        flat = each.flatten(2)
        places = torch.linspace(0, flat.shape[2] - 1, max(1, round(most * share)), device=flat.device).long()
        chosen.append(flat[:, :, None, places])
    return chosen


def _distance(name: str, features: Tensor, mask: Tensor | None, target: Any) -> float:
    """The distance that FIGURES tells of features (1, C, H, W) from a target."""
    loss = DISTANCES.get(name, W2)
    statistic = loss.statistic(_sums(name, features, mask))
    if name == "gram":  # |G - G*| / |G*| with Frobenius norms
        return float((statistic - target).norm() / target.norm())
    distance = float(loss.distance(statistic, loss.prepare(target, statistic, 0)))
    return distance * features.shape[1] if name == "color" else distance


def _sums(name: str, features: Tensor, mask: Tensor | None) -> Sums:
    """What features (1, C, H, W) add to a distance's statistic, where the mask is."""
    if name == "sliced":
        every = max(1, math.ceil((features.shape[2] * features.shape[3] / SORTED) ** 0.5))
        features = features[:, :, every // 2 :: every, every // 2 :: every]
    guide = None
    if mask is not None:
        belongs = F.interpolate(mask, [features.shape[2], features.shape[3]], mode="area")
        guide = Guide(belongs, float(belongs.max()))
    return DISTANCES.get(name, W2).sums(features, guide)
