"""What a run minimises: content, style and total variation, weighted."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from nst.losses import content_loss, gram, style_loss, tv_loss

Targets = Mapping[str, Tensor]
"""Layer → what the image is compared with there."""
Figure = TypeVar("Figure", Tensor, float)
Features = Callable[[Tensor], dict[str, Tensor]]
"""Image (B, 3, H, W) in [0, 1] → {layer: features (B, C, H', W')}: a backbone."""


@torch.no_grad()
def content_targets(backbone: Features, image: Tensor, layers: Iterable[str]) -> Targets:
    """Features of the content image (B, 3, H, W) at each layer, float32, (B, C, H', W')."""
    features = backbone(image)
    return {layer: features[layer].float() for layer in layers}


@torch.no_grad()
def style_targets(backbone: Features, image: Tensor, layers: Iterable[str], normalize: str = "chw") -> Targets:
    """Gram matrices of the style image (B, 3, H, W) at each layer, (B, C, C), normalised as `losses.gram` says."""
    features = backbone(image)
    return {layer: gram(features[layer], normalize) for layer in layers}


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"content", "style", "tv": raw terms, "total": their weighted sum}, scalars.

    content, style: what `content_targets` and `style_targets` gave; a term without layers is 0. Content and style are
    means over their layers (Gatys et al. 2016, eq. 5 with equal w_l). gram_normalize must be the style targets'.
    Where contents change from call to call, content is {} and the call is given its own targets.
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
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.content_layers, self.style_layers = tuple(content), tuple(style)
        self.weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
        self.gram_normalize = gram_normalize
        for term, targets in (("content", content), ("style", style)):
            for layer, target in targets.items():
                self.register_buffer(f"{term}_{layer}", target, persistent=False)

    def forward(self, image: Tensor, content: Targets | None = None) -> dict[str, Tensor]:
        features = self.backbone(image)
        zero = image.new_zeros(())
        targets = content or {layer: getattr(self, f"content_{layer}") for layer in self.content_layers}
        kept = [content_loss(features[layer], target) for layer, target in targets.items()]
        style = [
            style_loss(features[layer], getattr(self, f"style_{layer}"), self.gram_normalize)
            for layer in self.style_layers
        ]
        terms = {
            "content": torch.stack(kept).mean() if kept else zero,
            "style": torch.stack(style).mean() if style else zero,
            "tv": tv_loss(image),
        }
        return terms | {"total": sum((self.weights[name] * term for name, term in terms.items()), zero)}

    def named(self, terms: Mapping[str, Figure]) -> dict[str, Figure]:
        """Raw terms as `loss/…` and what they contribute to the total as `weighted/…`."""
        weighted = {f"weighted/{name}": weight * terms[name] for name, weight in self.weights.items()}
        return {f"loss/{name}": terms[name] for name in self.terms} | weighted
