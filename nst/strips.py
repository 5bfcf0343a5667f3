"""Seeing an image too large to be seen at once: in strips from edge to edge.

What a network sees at a place depends on the pixels within its reach. Seen with so many rows more above and below, a
strip has the features that it has in the whole image; and what losses sum over all places is the sum over the strips.
So losses and gradients are those of the whole image, up to rounding, and there is no seam.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

ALL = slice(None)


@dataclass(frozen=True)
class Reach:
    """What a layer's rows see: the image's rows from `above` before every `stride`-th one to `below` after it."""

    stride: int = 1
    above: int = 0
    below: int = 0

    def through(self, kernel: int, stride: int, padding: int) -> "Reach":
        """The reach after one more convolution or pooling."""
        below = self.below + (kernel - 1 - padding) * self.stride
        return Reach(self.stride * stride, self.above + padding * self.stride, below)


@dataclass(frozen=True)
class Strip:
    """Rows of an image, and those of each layer's features that are seen in them as in the whole image."""

    seen: slice
    own: Mapping[str, slice]
    """Layer → rows of the features of what is seen; all of a layer that is not named."""
    place: Mapping[str, slice]
    """Layer → which rows of the features of the whole image those are."""

    def crop(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the features (B, C, H', W') of what is seen, the strip's own rows."""
        return {layer: seen[:, :, self.own.get(layer, ALL)] for layer, seen in features.items()}

    def among(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the features (B, C, H', W') of a whole image, the strip's own rows."""
        return {layer: whole[:, :, self.place.get(layer, ALL)] for layer, whole in features.items()}


WHOLE = (Strip(ALL, {}, {}),)
"""An image seen at once."""


def cut(reach: Mapping[str, Reach], height: int, rows: int | None) -> tuple[Strip, ...]:
    """The strips of about `rows` rows of their own of an image of so many, for the layers in `reach`.

    One strip, the whole, if there would be no other of half as many rows, or if rows is None.
    """
    if rows is None or not reach:
        return WHOLE
    stride = max(each.stride for each in reach.values())
    step = -(-rows // stride) * stride
    starts = range(0, max(1, height - step // 2), step)
    if len(starts) == 1:
        return WHOLE
    above = -(-max(each.above for each in reach.values()) // stride) * stride
    below = max(each.below for each in reach.values())
    strips = []
    for start in starts:
        first, stop, last = max(0, start - above), start + step, start == starts[-1]
        own = {layer: _rows(start - first, stop - first, each.stride, last) for layer, each in reach.items()}
        place = {layer: _rows(start, stop, each.stride, last) for layer, each in reach.items()}
        strips.append(Strip(slice(first, None if last else stop + below), own, place))
    return tuple(strips)


def _rows(start: int, stop: int, stride: int, to_the_end: bool) -> slice:
    return slice(start // stride, None if to_the_end else stop // stride)
