"""Networks brought to one scale."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class Unit(nn.Module):
    """A network whose every layer is divided by its mean absolute activation over images.

    Gatys et al. 2016, section 2, normalise VGG-19 so. With it the same weights mean the same to any network.
    images: (B, 3, H, W) in [0, 1] each.
    """

    def __init__(self, network: Callable[[Tensor], dict[str, Tensor]], images: Iterable[Tensor]) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            sizes = [{layer: seen.abs().mean() for layer, seen in network(image).items()} for image in images]
        self._scales = {layer: len(sizes) / sum(size[layer] for size in sizes) for layer in sizes[0]}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {layer: seen * self._scales[layer] for layer, seen in self.network(image).items()}
