"""How well slim guides a transfer, judged by the network that it replaces."""

from collections.abc import Iterable

import torch
from torch import Tensor

from nst.losses.style.gram import gram
from nst.losses.targets import Features, Targets
from nst.slim.start import Moments
from nst.slim.teacher import Teacher, crop_like


@torch.no_grad()
def gram_matrices(network: Features, image: Tensor, layers: Iterable[str]) -> Targets:
    """Layer → Gram matrix (1, C, C), divided by C·H·W, of an image (1, 3, H, W) in [0, 1]."""
    features = network(image)
    return {layer: gram(features[layer]) for layer in layers}


def gram_distances(network: Features, image: Tensor, style: Targets) -> dict[str, float]:
    """Layer → the distance of an image's Gram matrix from the style's, |G - G_s| / |G_s| with Frobenius norms.

    image: (1, 3, H, W) in [0, 1]. style: what `gram_matrices` returns for the style.
    """
    matrices = gram_matrices(network, image, style)
    return {layer: float((matrices[layer] - wanted).norm() / wanted.norm()) for layer, wanted in style.items()}


def fidelity(content: float, teacher: float, slim: float) -> float:
    """By how much slim's transfer reduces a distance to the style, relative to the teacher's own transfer.

    content, teacher, slim: the distance of the content, of the teacher's picture and of slim's. 1: as good as the
    teacher. 0: no nearer than the content. nan: the teacher's transfer does not reduce the distance.
    """
    return (content - slim) / (content - teacher) if content > teacher else float("nan")


class LinearProbe:
    """How much of a teacher's features a linear map of slim's features explains.

    For each pair of layers it fits the map by least squares over photos, each (1, 3, H, W) in [0, 1].
    """

    def __init__(self, teacher: Teacher, slim: Features, photos: Iterable[Tensor]) -> None:
        self._teacher, self._slim = teacher, slim
        moments, channels = {layer: Moments() for layer in teacher.pairs}, {}
        for photo in photos:
            for layer, both in self._columns(photo).items():
                moments[layer].add(torch.cat(both))
                channels[layer] = len(both[0])
        self._maps = {}
        for layer, count in channels.items():
            weight, bias = moments[layer].least_squares(count)
            self._maps[layer] = weight, bias[:, None]

    def unexplained(self, images: Iterable[Tensor]) -> dict[str, float]:
        """The teacher's layer → the share of its variance over images that the map does not explain.

        images: (1, 3, H, W) in [0, 1] each. 0: all is explained. It may be above 1 for images unlike the photos.
        """
        errors, moments = dict.fromkeys(self._maps, 0.0), {layer: Moments() for layer in self._maps}
        for image in images:
            for layer, (given, wanted) in self._columns(image).items():
                slope, offset = self._maps[layer]
                errors[layer] += float((slope @ given + offset - wanted).square().sum())
                moments[layer].add(wanted)
        return {
            layer: error / (moments[layer].count * float(moments[layer].result()[1].diagonal().sum()))
            for layer, error in errors.items()
        }

    @torch.no_grad()
    def _columns(self, image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """The teacher's layer → slim's and the teacher's features of an image, (C, N) each, in float64 on the CPU."""
        given, wanted = self._slim(image), self._teacher.features(image)
        return {
            layer: (
                given[of][0].flatten(1).cpu().double(),  # not every device has float64
                crop_like(wanted[layer], given[of])[0].flatten(1).cpu().double(),
            )
            for layer, of in self._teacher.pairs.items()
        }
