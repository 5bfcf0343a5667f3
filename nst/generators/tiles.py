"""Stylizing an image in tiles, to save memory, without visible seams.

A generator normalizes by the mean and variance over the whole image. Tiles that are stylized independently would
differ in color and contrast where they meet. Here only the first and last layers, those at full size, run in tiles, and
they normalize by statistics that are summed over all tiles first. The layers between, at a quarter of the size, run on
the whole image. Up to rounding, the result is that of stylizing the image in one piece.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst.generators.networks import Generator, InstanceNorm

CELL = 4
"""Pixels a side of a cell: one position of the layers at a quarter of the size."""
MARGIN = 4
"""Cells around a tile that are computed with it. The last layers of `cyclegan` need 3."""


@dataclass(frozen=True)
class _Span:
    """A tile along one side, in cells: its own from `start` to before `stop`, with margins `first` to before `last`."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class _Tiling:
    """Spans of the tiles along height and width, and the pixels a side of a cell in the input and in the result."""

    rows: list[_Span]
    columns: list[_Span]
    cell_in: int
    cell_out: int


@torch.no_grad()
def paint(generator: Generator, image: Tensor, tile: int) -> Tensor:
    """Stylize a (1, 3, H, W) image in [0, 1]; the result has the same shape and range and is on the CPU.

    tile: if a side of the image is longer than this many pixels, it is stylized in tiles of about this size.
    """
    height, width = image.shape[2:]
    device = next(generator.parameters()).device
    if max(height, width) <= tile:
        return generator(image.to(device)).cpu()
    down, middle, up = generator.parts()
    rows, columns = (_spans(-(-side // CELL), max(1, tile // CELL)) for side in (height, width))
    small = _run_tiled(down, generator.preprocess(image), _Tiling(rows, columns, CELL, 1), device)
    small = middle(small.to(device)).cpu()
    result = _run_tiled(up, small, _Tiling(rows, columns, 1, CELL), device)
    return generator.postprocess(result)[..., :height, :width]


def _spans(length: int, tile: int) -> list[_Span]:
    """Tiles of `tile` cells along a side of `length` cells."""
    stops = ((start, min(start + tile, length)) for start in range(0, length, tile))
    return [_Span(start, stop, max(start - MARGIN, 0), min(stop + MARGIN, length)) for start, stop in stops]


def _run_tiled(layers: list[nn.Module], whole: Tensor, tiling: _Tiling, device: torch.device) -> Tensor:
    """The layers' output for a whole image (1, C, H, W), computed in tiles on `device`; the result is on the CPU."""

    def tiles(depth: int) -> Iterator[tuple[Tensor, slice, slice]]:
        """Each tile, without its margins, after the first `depth` layers, and its place in the result."""
        size = tiling.cell_in
        for rows in tiling.rows:
            for columns in tiling.columns:
                x = whole[..., size * rows.first : size * rows.last, size * columns.first : size * columns.last]
                x = x.to(device)
                for layer in layers[:depth]:
                    x = layer(x)
                # rounded up: the image's last cell may be incomplete
                cells = (rows.last - rows.first, columns.last - columns.first)
                cell = max(-(-side // count) for side, count in zip(x.shape[2:], cells, strict=True))
                top, bottom = cell * (rows.start - rows.first), cell * (rows.stop - rows.first)
                left, right = cell * (columns.start - columns.first), cell * (columns.stop - columns.first)
                own = x[..., top:bottom, left:right]
                yield own, slice(cell * rows.start, cell * rows.stop), slice(cell * columns.start, cell * columns.stop)

    norms = [(index, layer) for index, layer in enumerate(layers) if isinstance(layer, InstanceNorm)]
    try:
        for index, norm in norms:
            norm.fixed_statistics = _mean_and_variance(own for own, *_ in tiles(index))
        result = torch.empty(0)
        for own, rows, columns in tiles(len(layers)):
            if not len(result):
                sides = (tiling.cell_out * spans[-1].stop for spans in (tiling.rows, tiling.columns))
                result = torch.empty(1, own.shape[1], *sides)
            result[..., rows, columns] = own.cpu()
        return result
    finally:
        for _, norm in norms:
            norm.fixed_statistics = None


def _mean_and_variance(parts: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, (C) and (C), over (1, C, H, W) parts of one image; summed in float64."""
    moments: list[Tensor] = []
    for part in parts:
        values = part.cpu().double()  # MPS has no float64
        count = values.new_full((part.shape[1],), values[0, 0].numel())
        moments.append(torch.stack([count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))]))
    count, total, squares = torch.stack(moments).sum(0)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).float()
