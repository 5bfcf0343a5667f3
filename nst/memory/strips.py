"""Process an image in strips of rows, to save memory.

Features at a position depend only on the pixels in its receptive field. The network gets each strip with enough extra
rows above and below, so the features of the strip's own rows are those of the whole image. A sum over all positions is
then the sum over the strips. So losses and gradients are those of the whole image, up to rounding, without a seam.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

ALL = slice(None)


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a layer, in rows of the image.

    Row i of the features depends on the image's rows from i·stride - above to i·stride + below.
    """

    stride: int = 1
    above: int = 0
    below: int = 0

    def through(self, kernel: int, stride: int, padding: int) -> "ReceptiveField":
        """The receptive field after one more convolution or pooling."""
        below = self.below + (kernel - 1 - padding) * self.stride
        return ReceptiveField(self.stride * stride, self.above + padding * self.stride, below)


@dataclass(frozen=True)
class Strip:
    """The rows of an image that the network gets at once, and the rows of each layer's features that are kept."""

    seen: slice
    """Rows of the image: the strip's own rows and the extra rows above and below."""
    own: Mapping[str, slice]
    """Layer → the strip's own rows in the features of `seen`; a layer that is not named keeps all rows."""
    place: Mapping[str, slice]
    """Layer → the same rows in the features of the whole image."""

    def crop(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The strip's own rows of features (B, C, H', W') that were computed from `seen`."""
        return {layer: values[:, :, self.own.get(layer, ALL)] for layer, values in features.items()}


WHOLE = (Strip(ALL, {}, {}),)
"""The whole image as one strip."""


def cut(fields: Mapping[str, ReceptiveField], height: int, rows: int | None) -> tuple[Strip, ...]:
    """Cut an image of `height` rows into strips of `rows` own rows each, rounded up to the largest stride.

    fields: layer → its receptive field, for all layers that are read. The last strip has between half and one and a
    half times as many rows. The result is WHOLE if this gives a single strip, or if rows is None.
    """
    if rows is None or not fields:
        return WHOLE
    stride = max(field.stride for field in fields.values())
    step = -(-rows // stride) * stride
    starts = range(0, max(1, height - step // 2), step)
    if len(starts) == 1:
        return WHOLE
    above = -(-max(field.above for field in fields.values()) // stride) * stride
    below = max(field.below for field in fields.values())
    strips = []
    for start in starts:
        first, stop, last = max(0, start - above), start + step, start == starts[-1]
        own = {layer: _rows(start - first, stop - first, field.stride, last) for layer, field in fields.items()}
        place = {layer: _rows(start, stop, field.stride, last) for layer, field in fields.items()}
        strips.append(Strip(slice(first, None if last else stop + below), own, place))
    return tuple(strips)


def _rows(start: int, stop: int, stride: int, to_the_end: bool) -> slice:
    return slice(start // stride, None if to_the_end else stop // stride)
