"""How good a guide slim is: what a transfer by it reaches in the eyes of the network that it stands in for."""

from collections.abc import Iterable

import torch
from torch import Tensor

from nst.distillation import Moments, Teacher, line_up
from nst.losses import gram
from nst.objective import Features, Targets


@torch.no_grad()
def gram_distances(network: Features, image: Tensor, style: Targets) -> dict[str, float]:
    """Layer → the distance of an image's Gram matrix from the style's, |G - G_s| / |G_s| with Frobenius norms.

    image: (1, 3, H, W) in [0, 1]. style: what `objective.style_targets` gave.
    """
    seen = network(image)
    return {layer: float((gram(seen[layer]) - wanted).norm() / wanted.norm()) for layer, wanted in style.items()}


def fidelity(content: float, teacher: float, slim: float) -> float:
    """The share of what a teacher's own transfer takes off a distance that slim's transfer takes off it.

    content, teacher, slim: the distance of the content, of the teacher's picture and of slim's. 1 is as good as the
    teacher, 0 nothing at all; nan where the teacher takes nothing off.
    """
    return (content - slim) / (content - teacher) if content > teacher else float("nan")


class Reading:
    """For each pair of a teacher's layer with one of slim's, the linear map from the latter that explains it best.

    It is fitted by least squares over photos, (1, 3, H, W) in [0, 1] each.
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
        """Teacher's layer → the share of its variance over images, (1, 3, H, W) each, that slim's does not explain."""
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
        """Teacher's layer → what slim and what the teacher see of an image, (C, N) each, in float64."""
        given, wanted = self._slim(image), self._teacher.see(image)
        return {
            layer: (
                given[of][0].flatten(1).double(),
                line_up(wanted[layer], given[of])[0].flatten(1).double(),
            )
            for layer, of in self._teacher.pairs.items()
        }
