"""The objective: a weighted sum of terms. A term knows its layers and its targets; the objective only adds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nst.losses.content import ContentLoss
from nst.losses.priors import tv_loss
from nst.losses.style import StyleLoss
from nst.memory.strips import ALL, WHOLE, Strip

Features = Callable[[Tensor], dict[str, Tensor]]
"""Image (B, 3, H, W) in [0, 1] → {layer: features (B, C, H', W')}: a backbone."""
Targets = Mapping[str, Any]
"""Layer → what the image is compared with there: a tensor, or a tuple of tensors."""
View = tuple[Tensor, Sequence[Strip]]
"""An image (B, 3, H, W) in [0, 1] and the strips that it is processed in."""
Metric = TypeVar("Metric", Tensor, float)


@torch.no_grad()
def content_targets(backbone: Features, view: View, layers: Iterable[str], loss: ContentLoss) -> Targets:
    """A content loss's target at each layer, of the content image."""
    image, strips = view
    of_strips = (strip.crop(backbone(image[:, :, strip.seen])) for strip in strips)
    # copies: a crop would keep the whole strip's features in memory
    seen = [{layer: features[layer].to(torch.float32, copy=True) for layer in layers} for features in of_strips]
    whole = {layer: torch.cat([features[layer] for features in seen], dim=2) for layer in layers}
    return {layer: loss.target(features) for layer, features in whole.items()}


@torch.no_grad()
def style_targets(backbone: Features, views: Iterable[View], layers: Iterable[str], loss: StyleLoss) -> Targets:
    """A style loss's target at each layer, of one style image or of several together."""
    layers = tuple(layers)
    seen = []
    for image, strips in views:
        for strip in strips:
            features = strip.crop(backbone(image[:, :, strip.seen]))
            seen.append({layer: loss.sums(features[layer]) for layer in layers})
    return {layer: loss.target(loss.statistic(loss.combine(each[layer] for each in seen))) for layer in layers}


class Term:
    """One weighted term. Its value is a scalar made of what each strip of the image adds to it.

    weight: factor of the raw value, ≥ 0. targets: layer → target, on the device of the backbone that made it.
    """

    renew_every = 0
    """Steps after which `renew` is called; 0: never."""
    capturable = True
    """Whether a CUDA graph can contain the term."""

    def __init__(self, weight: float, targets: Targets) -> None:
        self.weight, self.targets = weight, targets

    def renew(self, parts: Sequence[Mapping[str, Any]] | None, number: int) -> None:
        """Begin the next `renew_every` steps, for an image of which `parts` are what its strips add.

        parts: None where the image is another one at every step. number: counts the calls.
        """

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        """What a strip's own rows of the features add, by layer."""
        return {}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        """The raw term, a scalar, of an image (B, 3, H, W) and the parts of all its strips."""
        raise NotImplementedError


class Content(Term):
    """Mean over the layers of a content loss; 0 without layers."""

    def __init__(self, weight: float, targets: Targets, loss: ContentLoss) -> None:
        super().__init__(weight, targets)
        self.loss = loss

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        return {
            layer: self.loss.part(features[layer], strip.place.get(layer, ALL), target)
            for layer, target in targets.items()
        }

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        losses = [self.loss.distance([part[layer] for part in parts], target) for layer, target in targets.items()]
        return torch.stack(losses).mean() if losses else image.new_zeros(())


class Style(Term):
    """Weighted mean over the layers of a style loss (Gatys et al. 2016, eq. 5); 0 without layers.

    layer_weights: w_l, ≥ 0, one for each layer, divided by their sum; None: equal.
    """

    def __init__(
        self, weight: float, targets: Targets, loss: StyleLoss, layer_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(weight, targets)
        weights = layer_weights or [1.0] * len(targets)
        self.loss, self.renew_every, self.capturable = loss, loss.renew_every, loss.capturable
        self.layer_weights = {layer: each / sum(weights) for layer, each in zip(targets, weights, strict=True)}
        self._prepared: dict[str, Any] = {}
        self._number = 0

    def renew(self, parts: Sequence[Mapping[str, Any]] | None, number: int) -> None:
        self._number, self._prepared = number, {}
        if parts is not None:
            self._prepared = {
                layer: self._prepare(target, self._statistic(parts, layer)) for layer, target in self.targets.items()
            }

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        return {layer: self.loss.sums(features[layer]) for layer in targets}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        total = image.new_zeros(())
        for layer, target in targets.items():
            statistic = self._statistic(parts, layer)
            prepared = self._prepared[layer] if self._prepared else self._prepare(target, statistic)
            total = total + self.layer_weights[layer] * self.loss.distance(statistic, prepared)
        return self.loss.scale * total

    def _statistic(self, parts: Sequence[Mapping[str, Any]], layer: str) -> Tensor:
        return self.loss.statistic(self.loss.combine(part[layer] for part in parts))

    def _prepare(self, target: Any, statistic: Tensor) -> Any:
        return self.loss.prepare(target, statistic.detach(), self._number)


class TotalVariation(Term):
    """The total variation of the image."""

    def __init__(self, weight: float) -> None:
        super().__init__(weight, {})

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        return tv_loss(image)


@dataclass(frozen=True)
class Losses:
    """How images are compared: a loss for each term, and weights.

    weights: of the terms `content`, `style` and `tv`. layer_weights: of the style layers, as in `Style`.
    """

    content: ContentLoss
    style: StyleLoss
    weights: Mapping[str, float]
    layer_weights: tuple[float, ...] | None = None

    def terms(self, content: Targets, style: Targets) -> dict[str, Term]:
        """The terms, against these targets."""
        return {
            "content": Content(self.weights["content"], content, self.content),
            "style": Style(self.weights["style"], style, self.style, self.layer_weights),
            "tv": TotalVariation(self.weights["tv"]),
        }


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"total": weighted sum, NAME: raw term, …}, scalars.

    terms: name → term. The weights multiply the raw terms: total = Σ weight · term (Gatys et al. 2016, eq. 7).
    strips: of the image; of several, only one's features are in memory at a time.
    A call may replace a term's targets: {"content": targets}, where contents change from batch to batch.
    """

    def __init__(self, backbone: Features, terms: Mapping[str, Term], strips: Sequence[Strip] = WHOLE) -> None:
        super().__init__()
        self.backbone, self.strips = backbone, strips
        self.terms = dict(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """What a call returns, by name."""
        return ("total", *self.terms)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can contain a call."""
        return all(term.capturable for term in self.terms.values())

    @property
    def renew_every(self) -> int:
        """Steps after which `renew` is due again; 0: never."""
        return min((term.renew_every for term in self.terms.values() if term.renew_every), default=0)

    @torch.no_grad()
    def renew(self, image: Tensor | None, number: int) -> None:
        """Let losses match positions, or draw at random, anew; until the next call they stay as they are.

        image: (B, 3, H, W), as it is now; None: at every call of the objective, for its image.
        number: counts the calls.
        """
        targets = {name: term.targets for name, term in self.terms.items()}
        parts = [self._part(image, strip, targets) for strip in self.strips] if image is not None else None
        for name, term in self.terms.items():
            term.renew(parts and [part[name] for part in parts], number)

    def forward(self, image: Tensor, replaced: Mapping[str, Targets] | None = None) -> dict[str, Tensor]:
        targets = {name: term.targets for name, term in self.terms.items()} | dict(replaced or {})
        if len(self.strips) == 1:
            parts = [self._part(image, self.strips[0], targets)]
        else:  # features are computed again for the gradient, so that only one strip's are in memory
            parts = [
                checkpoint(self._part, image, strip, targets, use_reentrant=False, preserve_rng_state=False)
                for strip in self.strips
            ]
        values = {
            name: term.value(image, [part[name] for part in parts], targets[name]) for name, term in self.terms.items()
        }
        weighted = (term.weight * values[name] for name, term in self.terms.items())
        return values | {"total": sum(weighted, image.new_zeros(()))}

    def _part(self, image: Tensor, strip: Strip, targets: Mapping[str, Targets]) -> dict[str, dict[str, Any]]:
        features = strip.crop(self.backbone(image[:, :, strip.seen]))
        return {name: term.part(features, strip, targets[name]) for name, term in self.terms.items()}

    def named(self, values: Mapping[str, Metric]) -> dict[str, Metric]:
        """Raw terms as `loss/NAME` and what they contribute to the total as `weighted/NAME`."""
        raw = {f"loss/{name}": values[name] for name in self.names}
        return raw | {f"weighted/{name}": term.weight * values[name] for name, term in self.terms.items()}
