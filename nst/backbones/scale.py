"""One scale for every network: each layer divided by its mean activation over photographs.

Gatys et al. 2016, section 2, scale their VGG-19 in this way. Loss weights then mean the same for every network.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torchvision.models.squeezenet import Fire

from nst.errors import InputError

HOMOGENEOUS = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)
"""Modules whose output is multiplied by a positive factor if their input is."""


def mean_activations(network: Callable[[Tensor], dict[str, Tensor]], images: Iterable[Tensor]) -> dict[str, float]:
    """Layer → the mean absolute value of its features, averaged over the images; six digits, as a record shows them.

    network: image (B, 3, H, W) → {layer: features (B, C, H', W')}. images: (B, 3, H, W) each, in [0, 1]; at least one.
    """
    with torch.no_grad():
        means = [{layer: values.abs().mean() for layer, values in network(image).items()} for image in images]
    return {layer: float(f"{sum(float(mean[layer]) for mean in means) / len(means):.6g}") for layer in means[0]}


def unit_factors(means: Mapping[str, float]) -> dict[str, float]:
    """Layer → 1 / its mean activation. Raises InputError for a mean that is 0 or not finite."""
    for layer, mean in means.items():
        if not (math.isfinite(mean) and mean > 0):
            raise InputError(
                f"backbone.scale=unit: {layer} has mean activation {mean:g}, expected a finite one above 0; take other "
                "layers or weights, or backbone.scale=as_trained"
            )
    return {layer: 1 / mean for layer, mean in means.items()}


class NormalizedBackbone(nn.Module):
    """A network with each layer divided by its mean absolute activation over `images`. Arguments: `mean_activations`.

    `Backbone.to_unit_scale` does the same to a backbone, at no cost per image.
    """

    def __init__(self, network: Callable[[Tensor], dict[str, Tensor]], images: Iterable[Tensor]) -> None:
        super().__init__()
        self.network = network
        self._factors = unit_factors(mean_activations(network, images))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {layer: values * self._factors[layer] for layer, values in self.network(image).items()}


def fold(features: nn.Sequential, reads: Mapping[str, int], factors: Mapping[str, float]) -> dict[str, float]:
    """Scale the convolutions' weights so that layers come multiplied by their factors, where that is exact.

    A convolution's factor is also that of the ReLU and the pooling behind it, and the next convolution's weights undo
    it. So of the layers that one convolution produces, the first gets its factor.
    reads: layer → index of the module whose output it is. factors: layer → positive factor.
    Returns layer → the factor by which the module's output is still to be multiplied; 1 for a layer that is folded.
    """
    remaining: dict[str, float] = {}
    indices = [index for index, module in enumerate(features) if not isinstance(module, HOMOGENEOUS)]
    incoming = 1.0
    for index, after in zip(indices, [*indices[1:], len(features)], strict=True):
        first, last = _convolutions(features[index])
        for conv in first:
            multiply(conv, 1 / incoming, 1)
        read = sorted((at, layer) for layer, at in reads.items() if index <= at < after)
        can_be_undone = after == len(features) or _convolutions(features[after])[0]
        outgoing = factors[read[0][1]] if read and last and can_be_undone else 1.0
        for conv in last:
            multiply(conv, outgoing, outgoing)
        remaining |= {layer: factors[layer] / outgoing for _, layer in read}
        incoming = outgoing
    return remaining


@torch.no_grad()
def multiply(conv: nn.Module, weight: float, bias: float) -> None:
    """Multiply a convolution's weight and bias, in place, by a factor each."""
    for parameter, factor in ((conv.weight, weight), (conv.bias, bias)):
        if isinstance(parameter, Tensor):
            parameter.mul_(factor)


def _convolutions(module: nn.Module) -> tuple[list[nn.Conv2d], list[nn.Conv2d]]:
    """The convolutions that take a module's input, and those that its output is made of; none if that is not known."""
    if isinstance(module, Fire):
        return [module.squeeze], [module.expand1x1, module.expand3x3]
    return ([module], [module]) if isinstance(module, nn.Conv2d) else ([], [])
