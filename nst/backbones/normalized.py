"""Features at one scale, whatever the network."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class NormalizedBackbone(nn.Module):
    """A network with each layer divided by its mean absolute activation over `images`.

    Gatys et al. 2016, section 2, normalize VGG-19 in this way. Loss weights then mean the same for every network.
    network: image (B, 3, H, W) → {layer: features (B, C, H', W')}. images: (B, 3, H, W) each, in [0, 1]; at least one.
    """

    def __init__(self, network: Callable[[Tensor], dict[str, Tensor]], images: Iterable[Tensor]) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            means = [{layer: values.abs().mean() for layer, values in network(image).items()} for image in images]
        self._scales = {layer: len(means) / sum(mean[layer] for mean in means) for layer in means[0]}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {layer: values * self._scales[layer] for layer, values in self.network(image).items()}
