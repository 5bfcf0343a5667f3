"""The objective: a weighted sum of terms. A term knows its layers and its targets; the objective only adds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nst.losses.content import content_loss
from nst.losses.priors import tv_loss
from nst.losses.style import StyleLoss
from nst.memory.strips import WHOLE, Strip

Features = Callable[[Tensor], dict[str, Tensor]]
"""Image (B, 3, H, W) in [0, 1] → {layer: features (B, C, H', W')}: a backbone."""
Targets = Mapping[str, Tensor]
"""Layer → what the image is compared with there."""
View = tuple[Tensor, Sequence[Strip]]
"""An image (B, 3, H, W) in [0, 1] and the strips that it is processed in."""
Metric = TypeVar("Metric", Tensor, float)


@torch.no_grad()
def content_targets(
    backbone: Features, image: Tensor, layers: Iterable[str], strips: Sequence[Strip] = WHOLE
) -> Targets:
    """Features (B, C, H', W'), float32, of the content image (B, 3, H, W) at each layer. strips: of the image."""
    of_strips = (strip.crop(backbone(image[:, :, strip.seen])) for strip in strips)
    # copies: a crop would keep the whole strip's features in memory
    seen = [{layer: features[layer].to(torch.float32, copy=True) for layer in layers} for features in of_strips]
    return {layer: torch.cat([features[layer] for features in seen], dim=2) for layer in layers}


@torch.no_grad()
def style_targets(backbone: Features, views: Iterable[View], layers: Iterable[str], loss: StyleLoss) -> Targets:
    """A style loss's statistic at each layer, of one style image or of several together."""
    layers = tuple(layers)
    seen = []
    for image, strips in views:
        for strip in strips:
            features = strip.crop(backbone(image[:, :, strip.seen]))
            seen.append({layer: loss.sums(features[layer]) for layer in layers})
    return {layer: loss.statistic(loss.combine(each[layer] for each in seen)) for layer in layers}


class Term(nn.Module):
    """One weighted term. Its value is a scalar made of what each strip of the image adds to it.

    targets: layer → target; frozen, and not saved in checkpoints. weight: factor of the raw value, ≥ 0.
    """

    def __init__(self, weight: float, targets: Targets) -> None:
        super().__init__()
        self.weight = weight
        self.layers = tuple(targets)
        for layer, target in targets.items():
            self.register_buffer(layer, target, persistent=False)

    def targets(self) -> Targets:
        """The targets on the device that the term is on."""
        return {layer: getattr(self, layer) for layer in self.layers}

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        """What a strip's own rows of the features add, by layer."""
        return {}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        """The raw term, a scalar, of an image (B, 3, H, W) and the parts of all its strips."""
        raise NotImplementedError


class Content(Term):
    """Mean over the layers of the mean squared difference from the content's features; 0 without layers."""

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        wanted = strip.among(targets)
        return {layer: content_loss(features[layer], wanted[layer], targets[layer].numel()) for layer in targets}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        zero = image.new_zeros(())
        losses = [sum((part[layer] for part in parts), zero) for layer in targets]
        return torch.stack(losses).mean() if losses else zero


class Style(Term):
    """Mean over the layers of a style loss (Gatys et al. 2016, eq. 5 with equal w_l); 0 without layers."""

    def __init__(self, weight: float, targets: Targets, loss: StyleLoss) -> None:
        super().__init__(weight, targets)
        self.loss = loss

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        return {layer: self.loss.sums(features[layer]) for layer in targets}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        losses = [
            self.loss.distance(self.loss.statistic(self.loss.combine(part[layer] for part in parts)), target)
            for layer, target in targets.items()
        ]
        return torch.stack(losses).mean() if losses else image.new_zeros(())


class TotalVariation(Term):
    """The total variation of the image."""

    def __init__(self, weight: float) -> None:
        super().__init__(weight, {})

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        return tv_loss(image)


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"total": weighted sum, NAME: raw term, …}, scalars.

    terms: name → term. The weights multiply the raw terms: total = Σ weight · term (Gatys et al. 2016, eq. 7).
    strips: of the image; of several, only one's features are in memory at a time.
    A call may replace a term's targets: {"content": targets}, where contents change from batch to batch.
    """

    def __init__(self, backbone: Features, terms: Mapping[str, Term], strips: Sequence[Strip] = WHOLE) -> None:
        super().__init__()
        self.backbone, self.strips = backbone, strips
        self.terms = nn.ModuleDict(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """What a call returns, by name."""
        return ("total", *self.terms)

    def forward(self, image: Tensor, replaced: Mapping[str, Targets] | None = None) -> dict[str, Tensor]:
        targets = {name: term.targets() for name, term in self._terms()} | dict(replaced or {})
        if len(self.strips) == 1:
            parts = [self._part(image, self.strips[0], targets)]
        else:  # features are computed again for the gradient, so that only one strip's are in memory
            parts = [
                checkpoint(self._part, image, strip, targets, use_reentrant=False, preserve_rng_state=False)
                for strip in self.strips
            ]
        values = {
            name: term.value(image, [part[name] for part in parts], targets[name]) for name, term in self._terms()
        }
        weighted = (term.weight * values[name] for name, term in self._terms())
        return values | {"total": sum(weighted, image.new_zeros(()))}

    def _terms(self) -> Iterable[tuple[str, Term]]:
        return self.terms.items()  # type: ignore[return-value]

    def _part(self, image: Tensor, strip: Strip, targets: Mapping[str, Targets]) -> dict[str, dict[str, Any]]:
        features = strip.crop(self.backbone(image[:, :, strip.seen]))
        return {name: term.part(features, strip, targets[name]) for name, term in self._terms()}

    def named(self, values: Mapping[str, Metric]) -> dict[str, Metric]:
        """Raw terms as `loss/NAME` and what they contribute to the total as `weighted/NAME`."""
        raw = {f"loss/{name}": values[name] for name in self.names}
        return raw | {f"weighted/{name}": term.weight * values[name] for name, term in self._terms()}
