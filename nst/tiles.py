"""Painting an image too large to be painted at once: in tiles that meet without a seam.

A generator normalises by the mean and variance over the whole image, so tiles painted each by itself would differ in
colour and contrast where they meet. Here only its first and last layers, those at full size, are taken in tiles, and
are normalised by what was summed over all tiles before; the layers between, at a quarter of the size, see it whole. The
result is that of painting at once, up to rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst.generator import Generator, InstanceNorm

CELL = 4
"""Pixels a side of what one place between the first and the last layers stands for."""
AROUND = 4
"""Cells around its own that a tile looks at; 3 is what the last layers of `cyclegan` need."""


@dataclass(frozen=True)
class _Span:
    """Cells of one side: `start` to before `stop`, seen with those from `first` to before `last`."""

    start: int
    stop: int
    first: int
    last: int


@torch.no_grad()
def paint(generator: Generator, image: Tensor, tile: int) -> Tensor:
    """A (1, 3, H, W) image, painted; where a side is longer than `tile` pixels, in tiles of about that many."""
    height, width = image.shape[2:]
    device = next(generator.parameters()).device
    if max(height, width) <= tile:
        return generator(image.to(device)).cpu()
    first, between, last = generator.parts()
    cells = tuple(-(-side // CELL) for side in (height, width))
    spans = [[*_spans(length, max(1, tile // CELL))] for length in cells]
    small = _tiled(first, generator.enter(image), spans, CELL, 1, device)
    small = between(small.to(device)).cpu()
    return generator.leave(_tiled(last, small, spans, 1, CELL, device))[..., :height, :width]


def _spans(length: int, own: int) -> Iterator[_Span]:
    for start in range(0, length, own):
        stop = min(start + own, length)
        yield _Span(start, stop, max(start - AROUND, 0), min(stop + AROUND, length))


def _tiled(
    layers: list[nn.Module], whole: Tensor, spans: list[list[_Span]], given: int, made: int, device: torch.device
) -> Tensor:
    """What layers make of a whole image, tile by tile. given, made: pixels a side of a cell, before and after them."""

    def run(until: int) -> Iterator[tuple[Tensor, slice, slice]]:
        """Each tile's own part after so many layers, and where it lies."""
        for rows in spans[0]:
            for columns in spans[1]:
                x = whole[..., given * rows.first : given * rows.last, given * columns.first : given * columns.last]
                x = x.to(device)
                for layer in layers[:until]:
                    x = layer(x)
                # the last cell may be cut, which shows where there are few
                seen = (rows.last - rows.first, columns.last - columns.first)
                cell = max(-(-side // cells) for side, cells in zip(x.shape[2:], seen, strict=True))
                top, bottom = cell * (rows.start - rows.first), cell * (rows.stop - rows.first)
                left, right = cell * (columns.start - columns.first), cell * (columns.stop - columns.first)
                own = x[..., top:bottom, left:right]
                yield own, slice(cell * rows.start, cell * rows.stop), slice(cell * columns.start, cell * columns.stop)

    norms = [(index, layer) for index, layer in enumerate(layers) if isinstance(layer, InstanceNorm)]
    try:
        for index, norm in norms:
            norm.held = _mean_and_variance(own for own, *_ in run(index))
        result = torch.empty(0)
        for own, rows, columns in run(len(layers)):
            if not len(result):
                result = torch.empty(1, own.shape[1], *(made * side[-1].stop for side in spans))
            result[..., rows, columns] = own.cpu()
        return result
    finally:
        for _, norm in norms:
            norm.held = None


def _mean_and_variance(parts: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Of each channel, (C) and (C), over (1, C, H, W) parts of one image."""
    moments: list[Tensor] = []
    for part in parts:
        values = part.double()
        count = values.new_full((part.shape[1],), values[0, 0].numel())
        moments.append(torch.stack([count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))]))
    count, total, squares = torch.stack(moments).sum(0)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).float()
