"""How well slim guides a transfer, judged by the network that it imitates."""

from collections.abc import Iterable

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.losses.style import StyleLoss
from nst.losses.targets import Features, Targets
from nst.slim.columns import Columns
from nst.slim.student import of_slim


@torch.no_grad()
def style_distances(network: Features, image: Tensor, style: Targets, loss: StyleLoss) -> dict[str, float]:
    """Layer → the distance of an image's style from another: the square root of the style loss.

    image: (1, 3, H, W) in [0, 1]. style: of the other image, what `style_targets` returns.
    """
    features = network(image)
    return {layer: float(loss(features[layer], target).clamp_min(0).sqrt()) for layer, target in style.items()}


def fidelity(content: float, teacher: float, slim: float) -> float:
    """By how much slim's transfer reduces a distance to the style, relative to the teacher's own transfer.

    content, teacher, slim: the distance of the content, of the teacher's picture and of slim's. 1: as good as the
    teacher. 0: no nearer than the content. nan: the teacher's transfer does not reduce the distance.
    """
    return (content - slim) / (content - teacher) if content > teacher else float("nan")


class LinearProbe:
    """How much of a teacher's features a linear map of slim's features explains.

    For each of the teacher's layers it fits the map by least squares over photos, each (1, 3, H, W) in [0, 1].
    """

    def __init__(self, teacher: Backbone, slim: Features, layers: Iterable[str], photos: Iterable[Tensor]) -> None:
        self._teacher, self._slim = teacher, slim
        moments = {layer: Columns() for layer in layers}
        self._maps: dict[str, tuple[Tensor, Tensor]] = {}
        counts = {}
        for photo in photos:
            for layer, (given, wanted) in self._columns(photo, moments).items():
                moments[layer].add(torch.cat([given, wanted]))
                counts[layer] = len(given)
        for layer, count in counts.items():
            weight, bias = moments[layer].least_squares(count)
            self._maps[layer] = weight, bias[:, None]

    def unexplained(self, images: Iterable[Tensor]) -> dict[str, float]:
        """The teacher's layer → the share of its variance over images that the map does not explain.

        images: (1, 3, H, W) in [0, 1] each. 0: all is explained. It may be above 1 for images unlike the photos.
        """
        errors, moments = dict.fromkeys(self._maps, 0.0), {layer: Columns() for layer in self._maps}
        for image in images:
            for layer, (given, wanted) in self._columns(image, self._maps).items():
                slope, offset = self._maps[layer]
                errors[layer] += float((slope @ given + offset - wanted).square().sum())
                moments[layer].add(wanted)
        return {
            layer: error / (moments[layer].count * float(moments[layer].result()[1].diagonal().sum()))
            for layer, error in errors.items()
        }

    @torch.no_grad()
    def _columns(self, image: Tensor, layers: Iterable[str]) -> dict[str, tuple[Tensor, Tensor]]:
        """The teacher's layer → slim's and the teacher's features of an image, (C, N) each, in float64 on the CPU."""
        given, wanted = self._slim(image), self._teacher(image)
        return {  # not every device has float64
            layer: (given[of_slim(layer)][0].flatten(1).cpu().double(), wanted[layer][0].flatten(1).cpu().double())
            for layer in layers
        }
