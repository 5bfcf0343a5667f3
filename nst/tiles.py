"""Painting an image too large to be painted at once: in tiles that meet without a seam."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nst.errors import InputError
from nst.generator import Generator

PATCHES = 4
"""Patches a side of the image from which the statistics of the whole are taken."""


@torch.no_grad()
def paint(generator: Generator, image: Tensor, tile: int) -> Tensor:
    """A (1, 3, H, W) image, painted; where a side is longer than `tile` pixels, in tiles of that many at most.

    Each tile sees as far around its own part as the generator looks, and all are normalised by the same statistics:
    those of 4×4 patches, evenly spread, of as many pixels as one tile. They are the one thing that differs from
    painting at once. Raises InputError if a tile would be all surroundings, or the image is too small.
    """
    height, width = image.shape[2:]
    if min(height, width) < generator.smallest_side:
        raise InputError(
            f"an image of {width}×{height} pixels is too small: {generator.smallest_side} a side are needed"
        )
    device = next(generator.parameters()).device
    if max(height, width) <= tile:
        return generator(image.to(device)).cpu()
    around = -(-generator.radius // 4) * 4  # the strides of 2 must fall on the same pixels in every tile
    own = (tile - 2 * around) // 4 * 4
    if own < 4:
        raise InputError(f"tile={tile}: must be at least {2 * around + 4} for this generator, which looks that far")
    _hold_statistics(generator, image, tile // PATCHES, device)
    try:
        painted = torch.empty_like(image)
        for rows, rows_around in _parts(height, own, around):
            for columns, columns_around in _parts(width, own, around):
                seen = generator(image[..., rows_around, columns_around].to(device))
                top, left = rows.start - rows_around.start, columns.start - columns_around.start
                part = seen[..., top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
                painted[..., rows, columns] = part.cpu()
    finally:
        for norm in generator.norms:
            norm.held = None
    return painted


def _parts(length: int, own: int, around: int) -> Iterator[tuple[slice, slice]]:
    """The parts of a side, and what is looked at for each."""
    for start in range(0, length, own):
        stop = min(start + own, length)
        yield slice(start, stop), slice(max(start - around, 0), min(stop + around, length))


def _hold_statistics(generator: Generator, image: Tensor, side: int, device: torch.device) -> None:
    height, width = (min(side, length) for length in image.shape[2:])
    tops, lefts = (
        [round(place * (length - of) / (PATCHES - 1)) for place in range(PATCHES)]
        for length, of in zip(image.shape[2:], (height, width), strict=True)
    )
    patches = [image[..., top : top + height, left : left + width] for top in tops for left in lefts]
    for norm in generator.norms:
        norm.measuring = True
    try:
        generator(torch.cat(patches).to(device))
    finally:
        for norm in generator.norms:
            norm.measuring = False
