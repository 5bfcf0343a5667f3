"""What a run minimises: content, style and total variation, weighted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nst.losses import content_loss, inner_products, normalized, style_loss, tv_loss
from nst.strips import WHOLE, Strip

Targets = Mapping[str, Tensor]
"""Layer → what the image is compared with there."""
Figure = TypeVar("Figure", Tensor, float)
Features = Callable[[Tensor], dict[str, Tensor]]
"""Image (B, 3, H, W) in [0, 1] → {layer: features (B, C, H', W')}: a backbone."""


@torch.no_grad()
def content_targets(
    backbone: Features, image: Tensor, layers: Iterable[str], strips: Sequence[Strip] = WHOLE
) -> Targets:
    """Features of the content image (B, 3, H, W) at each layer, float32, (B, C, H', W'). strips: of the image."""
    of_strips = (strip.crop(backbone(image[:, :, strip.seen])) for strip in strips)
    # copies, as a crop would keep all that was seen
    seen = [{layer: features[layer].to(torch.float32, copy=True) for layer in layers} for features in of_strips]
    return {layer: torch.cat([features[layer] for features in seen], dim=2) for layer in layers}


@torch.no_grad()
def style_targets(
    backbone: Features,
    image: Tensor,
    layers: Iterable[str],
    normalize: str = "chw",
    strips: Sequence[Strip] = WHOLE,
) -> Targets:
    """Gram matrices of the style image (B, 3, H, W) at each layer, (B, C, C). normalize: see `losses.normalized`."""
    of_strips = (strip.crop(backbone(image[:, :, strip.seen])) for strip in strips)
    seen = [{layer: _products(features[layer]) for layer in layers} for features in of_strips]
    return {layer: _gram([each[layer] for each in seen], normalize) for layer in layers}


def _products(features: Tensor) -> tuple[Tensor, int]:
    """Inner products, and over how many places."""
    return inner_products(features), features.shape[2] * features.shape[3]


def _gram(of_strips: Iterable[tuple[Tensor, int]], normalize: str) -> Tensor:
    products, places = zip(*of_strips, strict=True)
    return normalized(sum(products[1:], products[0]), sum(places), normalize)


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"content", "style", "tv": raw terms, "total": their weighted sum}, scalars.

    content, style: what `content_targets` and `style_targets` gave; a term without layers is 0. Content and style are
    means over their layers (Gatys et al. 2016, eq. 5 with equal w_l). gram_normalize must be the style targets'.
    Where contents change from call to call, content is {} and the call is given its own targets. strips: of the image;
    of several, only one is in memory at a time.
    The weights multiply the raw terms: total = content_weight·content + style_weight·style + tv_weight·tv (eq. 7).
    """

    terms = ("total", "content", "style", "tv")
    """What a call returns, by name."""

    def __init__(
        self,
        backbone: Features,
        content: Targets,
        style: Targets,
        content_weight: float = 1.0,
        style_weight: float = 1e6,
        tv_weight: float = 0.0,
        gram_normalize: str = "chw",
        strips: Sequence[Strip] = WHOLE,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.content_layers, self.style_layers = tuple(content), tuple(style)
        self.weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
        self.gram_normalize, self.strips = gram_normalize, strips
        for term, targets in (("content", content), ("style", style)):
            for layer, target in targets.items():
                self.register_buffer(f"{term}_{layer}", target, persistent=False)

    def forward(self, image: Tensor, content: Targets | None = None) -> dict[str, Tensor]:
        targets = content or {layer: getattr(self, f"content_{layer}") for layer in self.content_layers}
        if len(self.strips) == 1:
            seen = [self._see(image, self.strips[0], targets)]
        else:  # one strip's features in memory at a time: they are computed again for the gradient
            seen = [
                checkpoint(self._see, image, strip, targets, use_reentrant=False, preserve_rng_state=False)
                for strip in self.strips
            ]
        zero = image.new_zeros(())
        kept = [sum((each[layer] for each, _ in seen), zero) for layer in targets]
        style = [
            style_loss(_gram([each[layer] for _, each in seen], self.gram_normalize), getattr(self, f"style_{layer}"))
            for layer in self.style_layers
        ]
        terms = {
            "content": torch.stack(kept).mean() if kept else zero,
            "style": torch.stack(style).mean() if style else zero,
            "tv": tv_loss(image),
        }
        return terms | {"total": sum((self.weights[name] * term for name, term in terms.items()), zero)}

    def _see(
        self, image: Tensor, strip: Strip, targets: Targets
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, int]]]:
        """What a strip adds to the content losses and to the inner products of styles."""
        features, wanted = strip.crop(self.backbone(image[:, :, strip.seen])), strip.among(targets)
        return (
            {layer: content_loss(features[layer], wanted[layer], targets[layer].numel()) for layer in targets},
            {layer: _products(features[layer]) for layer in self.style_layers},
        )

    def named(self, terms: Mapping[str, Figure]) -> dict[str, Figure]:
        """Raw terms as `loss/…` and what they contribute to the total as `weighted/…`."""
        weighted = {f"weighted/{name}": weight * terms[name] for name, weight in self.weights.items()}
        return {f"loss/{name}": terms[name] for name in self.terms} | weighted
