"""What a run minimises: content, style and total variation, weighted."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from nst.losses import content_loss, gram, style_loss, tv_loss


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"content", "style", "tv": raw terms, "total": their weighted sum}, scalars.

    content, style: target images, encoded here, once. backbone must give content_layers and style_layers; a term
    without layers is 0. Content and style are means over their layers (Gatys et al. 2016, eq. 5 with equal w_l).
    The weights multiply the raw terms: total = content_weight·content + style_weight·style + tv_weight·tv (eq. 7).
    """

    def __init__(
        self,
        backbone: Callable[[Tensor], dict[str, Tensor]],
        content: Tensor | None,
        style: Tensor | None,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        content_weight: float = 1.0,
        style_weight: float = 1e6,
        tv_weight: float = 0.0,
        gram_normalize: str = "chw",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
        self.gram_normalize = gram_normalize
        with torch.no_grad():
            for layer, features in self._encode(content, self.content_layers):
                self.register_buffer(f"content_{layer}", features.float(), persistent=False)
            for layer, features in self._encode(style, self.style_layers):
                self.register_buffer(f"style_{layer}", gram(features, gram_normalize), persistent=False)

    def _encode(self, image: Tensor | None, layers: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        if layers:
            assert image is not None, "layers to compare at, and no image to compare with"
            features = self.backbone(image)
            yield from ((layer, features[layer]) for layer in layers)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)
        zero = image.new_zeros(())
        content = [content_loss(features[layer], getattr(self, f"content_{layer}")) for layer in self.content_layers]
        style = [
            style_loss(features[layer], getattr(self, f"style_{layer}"), self.gram_normalize)
            for layer in self.style_layers
        ]
        terms = {
            "content": torch.stack(content).mean() if content else zero,
            "style": torch.stack(style).mean() if style else zero,
            "tv": tv_loss(image),
        }
        return terms | {"total": sum((self.weights[name] * term for name, term in terms.items()), zero)}
