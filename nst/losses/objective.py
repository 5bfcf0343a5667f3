"""The objective: a weighted sum of terms. It only adds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nst.losses.content import ContentLoss
from nst.losses.style import StyleLoss
from nst.losses.targets import Features, Targets
from nst.losses.terms import Content, Goal, Style, Term, TotalVariation
from nst.memory.strips import WHOLE, Strip

Metric = TypeVar("Metric", Tensor, float)


@dataclass(frozen=True)
class Losses:
    """How images are compared: a loss for each term, and weights.

    weights: of the terms `content`, `style` and `tv`. layer_weights: of the style layers, as in `Style`.
    """

    content: ContentLoss
    style: StyleLoss
    weights: Mapping[str, float]
    layer_weights: tuple[float, ...] | None = None

    def terms(self, content: Targets, *style: Goal) -> dict[str, Term]:
        """The terms, against the content's targets and the style's goals."""
        return {
            "content": Content(self.weights["content"], content, self.content),
            "style": Style(self.weights["style"], style, self.style, self.layer_weights),
            "tv": TotalVariation(self.weights["tv"]),
        }


class Objective(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → {"total": weighted sum, NAME: raw term, …}, scalars.

    terms: name → term. The weights multiply the raw terms: total = Σ weight · term (Gatys et al. 2016, eq. 7).
    strips: of the image; of several, only one's features are in memory at a time. shown: the image → what is compared,
    of the same shape; None: the image itself.
    A call may replace a term's targets: {"content": targets}, where contents change from batch to batch.
    """

    def __init__(
        self,
        backbone: Features,
        terms: Mapping[str, Term],
        strips: Sequence[Strip] = WHOLE,
        shown: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.strips = backbone, strips
        self.terms = dict(terms)
        self.shown: Callable[[Tensor], Tensor] = shown or _itself

    @property
    def names(self) -> tuple[str, ...]:
        """What a call returns, by name."""
        return ("total", *self.terms)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can contain a call."""
        return all(term.capturable for term in self.terms.values())

    @property
    def renew_every(self) -> int:
        """Steps after which `renew` is due again; 0: never."""
        return min((term.renew_every for term in self.terms.values() if term.renew_every), default=0)

    @torch.no_grad()
    def renew(self, image: Tensor | None, number: int) -> None:
        """Let losses match positions, or draw at random, anew; until the next call they stay as they are.

        image: (B, 3, H, W), as it is now; None: at every call of the objective, for its image.
        number: counts the calls.
        """
        targets = {name: term.targets for name, term in self.terms.items()}
        image = None if image is None else self.shown(image)
        parts = [self._part(image, strip, targets) for strip in self.strips] if image is not None else None
        for name, term in self.terms.items():
            term.renew(parts and [part[name] for part in parts], number)

    def forward(self, image: Tensor, replaced: Mapping[str, Targets] | None = None) -> dict[str, Tensor]:
        targets = {name: term.targets for name, term in self.terms.items()} | dict(replaced or {})
        image = self.shown(image)
        if len(self.strips) == 1:
            parts = [self._part(image, self.strips[0], targets)]
        else:  # features are computed again for the gradient, so that only one strip's are in memory
            parts = [
                checkpoint(self._part, image, strip, targets, use_reentrant=False, preserve_rng_state=False)
                for strip in self.strips
            ]
        values = {
            name: term.value(image, [part[name] for part in parts], targets[name]) for name, term in self.terms.items()
        }
        weighted = (term.weight * values[name] for name, term in self.terms.items())
        return values | {"total": sum(weighted, image.new_zeros(()))}

    def _part(self, image: Tensor, strip: Strip, targets: Mapping[str, Targets]) -> dict[str, dict[str, Any]]:
        features = strip.crop(self.backbone(image[:, :, strip.seen]))
        return {name: term.part(features, strip, targets[name]) for name, term in self.terms.items()}

    def named(self, values: Mapping[str, Metric]) -> dict[str, Metric]:
        """Raw terms as `loss/NAME` and what they contribute to the total as `weighted/NAME`."""
        raw = {f"loss/{name}": values[name] for name in self.names}
        return raw | {f"weighted/{name}": term.weight * values[name] for name, term in self.terms.items()}


def _itself(image: Tensor) -> Tensor:
    return image
