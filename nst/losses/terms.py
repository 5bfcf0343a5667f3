"""The terms of an objective. A term knows its layers and its targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.content import ContentLoss
from nst.losses.priors import laplacian, tv_loss
from nst.losses.style import StyleLoss, Sums
from nst.losses.targets import Guides, Targets, guide_of
from nst.memory.strips import ALL, Strip


class Term:
    """One weighted term. Its value is a scalar made of what each strip of the image adds to it.

    weight: factor of the raw value, ≥ 0. targets: layer → target, on the device of the backbone that made it.
    """

    renew_every = 0
    """Steps after which `renew` is called; 0: never."""
    capturable = True
    """Whether a CUDA graph can contain the term."""

    def __init__(self, weight: float, targets: Targets) -> None:
        self.weight, self.targets = weight, targets

    def renew(self, parts: Sequence[Mapping[str, Any]] | None, number: int) -> None:
        """Begin the next `renew_every` steps, for an image of which `parts` are what its strips add.

        parts: None where the image is another one at every step. number: counts the calls.
        """

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        """What a strip's own rows of the features add, by layer."""
        return {}

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        """The raw term, a scalar, of an image (B, 3, H, W) and the parts of all its strips."""
        raise NotImplementedError


class Content(Term):
    """Mean over the layers of a content loss; 0 without layers."""

    def __init__(self, weight: float, targets: Targets, loss: ContentLoss) -> None:
        super().__init__(weight, targets)
        self.loss = loss

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        return {
            layer: self.loss.part(features[layer], strip.place.get(layer, ALL), target)
            for layer, target in targets.items()
        }

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        losses = [self.loss.distance([part[layer] for part in parts], target) for layer, target in targets.items()]
        return torch.stack(losses).mean() if losses else image.new_zeros(())


@dataclass(frozen=True)
class Goal:
    """A style that a region of the image is to have.

    targets: of the style, from `style_targets`; a layer with None is not compared. weight: of the goal, ≥ 0.
    guides: where the region is, at each layer; None: everywhere.
    """

    targets: Targets
    weight: float = 1.0
    guides: Guides | None = None


class Style(Term):
    """Weighted sum, over the goals, of the weighted mean over the layers of a style loss (Gatys et al. 2016, eq. 5).

    goals: at least one, all with the same layers; 0 without layers. layer_weights: w_l, ≥ 0, one for each layer,
    divided by their sum; None: equal.
    """

    def __init__(
        self,
        weight: float,
        goals: Sequence[Goal],
        loss: StyleLoss,
        layer_weights: Sequence[float] | None = None,
    ) -> None:
        layers = list(goals[0].targets)
        super().__init__(weight, {layer: tuple(goal.targets[layer] for goal in goals) for layer in layers})
        weights = layer_weights or [1.0] * len(layers)
        self.loss, self.renew_every, self.capturable = loss, loss.renew_every, loss.capturable
        self.goals = tuple(goals)
        self.layer_weights = {layer: each / sum(weights) for layer, each in zip(layers, weights, strict=True)}
        self._prepared: dict[tuple[str, int], Any] = {}
        self._number = 0

    def renew(self, parts: Sequence[Mapping[str, Any]] | None, number: int) -> None:
        self._number, self._prepared = number, {}
        if parts is not None:
            self._prepared = {
                at: self._prepare(target, self._statistic(parts, at)) for at, target in self._compared(self.targets)
            }

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        """Layer → the sums of each goal's region; goals with one region share them."""
        made: dict[tuple[str, int], Sums] = {}
        parts: dict[str, list[Any]] = {layer: [None] * len(self.goals) for layer in targets}
        for (layer, number), _ in self._compared(targets):
            guides = self.goals[number].guides
            at = layer, id(guides)
            if at not in made:
                made[at] = self.loss.sums(features[layer], guide_of(guides, layer, strip))
            parts[layer][number] = made[at]
        return parts

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        total = image.new_zeros(())
        for at, target in self._compared(targets):
            layer, number = at
            statistic = self._statistic(parts, at)
            prepared = self._prepared[at] if self._prepared else self._prepare(target, statistic)
            weight = self.layer_weights[layer] * self.goals[number].weight
            total = total + weight * self.loss.distance(statistic, prepared)
        return self.loss.scale * total

    def _compared(self, targets: Targets) -> list[tuple[tuple[str, int], Any]]:
        """(layer, number of the goal), and the target there, for all that are compared."""
        return [
            ((layer, number), target)
            for layer, several in targets.items()
            for number, target in enumerate(several)
            if target is not None
        ]

    def _statistic(self, parts: Sequence[Mapping[str, Any]], at: tuple[str, int]) -> Tensor:
        layer, number = at
        return self.loss.statistic(self.loss.combine(part[layer][number] for part in parts))

    def _prepare(self, target: Any, statistic: Tensor) -> Any:
        return self.loss.prepare(target, statistic.detach(), self._number)


class TotalVariation(Term):
    """The total variation of the image."""

    def __init__(self, weight: float) -> None:
        super().__init__(weight, {})

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        return tv_loss(image)


class Structure(Term):
    """Mean squared difference of the Laplacians of the image and of a content (Li et al. 2017, "Laplacian-Steered").

    content: (1, 3, H, W) in [0, 1].
    """

    def __init__(self, weight: float, content: Tensor) -> None:
        super().__init__(weight, {"laplacian": laplacian(content)})

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        return F.mse_loss(laplacian(image), targets["laplacian"])
