"""Masks: which pixels of an image belong to a region."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import ImageColor
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from nst.errors import InputError
from nst.files import Version
from nst.images.colors import luma
from nst.images.files import load

SAME_COLOR = 48
"""Greatest difference of a channel, of 255, between a pixel and the named color that it is taken for."""
STRAY = 1e-3
"""Share of a mask's pixels that may have one color that nobody names: those on soft edges have many colors."""


@dataclass(frozen=True)
class Mask:
    """A region in an image file: its white, with grays in part; or one of the colors in it, by names or #rrggbb.

    color: the region's. colors: all that are named, the region's among them.
    """

    file: Version
    color: str | None = None
    colors: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file[0]

    @cached_property
    def values(self) -> Tensor:
        """How far each pixel belongs to the region: (1, 1, H, W) in [0, 1], in the file's own size."""
        image = load(self.path, background="black")
        if self.color is None:
            return luma(image)
        nearest, difference = self._nearest(image)
        mine = (nearest == self.colors.index(self.color)) & (difference <= SAME_COLOR)
        return mine[None, None].float()

    def most_frequent_other(self) -> tuple[float, str]:
        """Of the colors that nobody names, the most frequent one's share of the pixels, and it as #rrggbb."""
        image = load(self.path, background="black")
        strange = image.mul(255).round()[0].permute(1, 2, 0)[self._nearest(image)[1] > SAME_COLOR]
        if not len(strange):
            return 0.0, ""
        found, counts = torch.unique(strange, dim=0, return_counts=True)
        shown = "".join(f"{int(each):02x}" for each in found[counts.argmax()])
        return int(counts.max()) / (image.shape[2] * image.shape[3]), f"#{shown}"

    def _nearest(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """For each pixel of (1, 3, H, W) the number of the named color that is nearest, and the difference: (H, W)."""
        pixels = image[0].mul(255).round()
        differences = [
            (pixels - pixels.new_tensor(rgb("regions", color))[:, None, None]).abs().amax(0) for color in self.colors
        ]
        least = torch.stack(differences).min(0)
        return least.indices, least.values


def rgb(key: str, color: str) -> tuple[float, ...]:
    """Red, green and blue, each of 0 … 255. Raises InputError, with the key that gave it, for an unknown color.

    color: a name, or rrggbb with # or without: the command line takes no # inside brackets.
    """
    try:
        return tuple(map(float, ImageColor.getrgb(f"#{color}" if re.fullmatch("[0-9a-fA-F]{6}", color) else color)[:3]))
    except ValueError:
        raise InputError(f"{key}: {color} is not a color; use a name such as red, or rrggbb") from None


def fitted(mask: Tensor, size: tuple[int, int], feather: float) -> Tensor:
    """A mask (1, 1, H, W) at another size (H', W'), with its edges blurred over about `feather` pixels of that size."""
    mask = F.interpolate(mask, size, mode="area" if mask.shape[2] >= size[0] else "bilinear")
    if feather < 1:
        return mask
    radius = min(round(feather), min(size) - 1)  # the blur reflects the mask at its border
    return gaussian_blur(mask, [2 * radius + 1, 2 * radius + 1], [feather / 2, feather / 2]) if radius else mask


def eroded(mask: Tensor, pixels: int) -> Tensor:
    """For each pixel of a mask (1, 1, H, W) the least value within so many pixels of it; the border is no edge."""
    outside = 1 - mask
    for kernel in ((2 * pixels + 1, 1), (1, 2 * pixels + 1)):
        outside = F.max_pool2d(outside, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    return 1 - outside


def check_shape(what: str, mask: Tensor, image: str, size: tuple[int, int]) -> None:
    """Raise InputError if a mask (1, 1, H, W) has other proportions than an image of `size`, (H, W)."""
    (height, width), (rows, columns) = size, mask.shape[2:]
    rounding = 0.5 + 0.5 * columns / rows  # of the image's width, and of its height in units of the width
    if abs(height * columns / rows - width) > rounding + 0.01 * width:
        raise InputError(
            f"{what} is {columns}×{rows} pixels, and the {image} {width}×{height}: they need the same proportions"
        )
