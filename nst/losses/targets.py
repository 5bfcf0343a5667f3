"""What an image is compared with: the targets that losses compute once, of contents and of styles."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nst.losses.content import ContentLoss
from nst.losses.guide import Guide
from nst.losses.style import StyleLoss, Sums
from nst.memory.strips import ALL, Strip

Features = Callable[[Tensor], dict[str, Tensor]]
"""Image (B, 3, H, W) in [0, 1] → {layer: features (B, C, H', W')}: a backbone."""
Targets = Mapping[str, Any]
"""Layer → what the image is compared with there: a tensor, or a tuple of tensors."""
View = tuple[Tensor, Sequence[Strip]]
"""An image (B, 3, H, W) in [0, 1] and the strips that it is processed in."""
Guides = Mapping[str, Guide]
"""Layer → the guide of a region there."""


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
def style_sums(
    backbone: Features, view: View, layers: Iterable[str], loss: StyleLoss, guides: Guides | None = None
) -> dict[str, Sums]:
    """A style loss's sums at each layer, of a style image, or of the region of it that `guides` show."""
    image, strips = view
    layers, seen = tuple(layers), []
    for strip in strips:
        features = strip.crop(backbone(image[:, :, strip.seen]))
        seen.append({layer: loss.sums(features[layer], guide_of(guides, layer, strip)) for layer in layers})
    return {layer: loss.combine(each[layer] for each in seen) for layer in layers}


def style_targets(backbone: Features, views: Iterable[View], layers: Iterable[str], loss: StyleLoss) -> Targets:
    """A style loss's target at each layer, of one style image, or of several as if they were one large image."""
    layers = tuple(layers)
    seen = [style_sums(backbone, view, layers, loss) for view in views]
    return {layer: loss.target(loss.statistic(loss.combine(each[layer] for each in seen))) for layer in layers}


def mixed_targets(sums: Sequence[Mapping[str, Sums]], shares: Sequence[float], loss: StyleLoss) -> Targets:
    """An additive style loss's target at each layer, of styles mixed in these shares: their statistics are averaged.

    sums: of each style, as from `style_sums`; a layer that one of them lacks is left out. What is averaged are sums
    over positions, such as means and second moments, not what is computed from them, such as covariances
    (crowsonkb/style-transfer-pytorch).
    """
    targets = {}
    for layer in [layer for layer in sums[0] if all(layer in each for each in sums)]:
        parts = [loss.counting(each[layer], share) for each, share in zip(sums, shares, strict=True)]
        targets[layer] = loss.target(loss.statistic(loss.combine(parts)))
    return targets


def guide_of(guides: Guides | None, layer: str, strip: Strip) -> Guide | None:
    """A region's guide at the strip's own rows of a layer; None: the region is everywhere."""
    return guides[layer].rows(strip.place.get(layer, ALL)) if guides is not None and layer in guides else None
