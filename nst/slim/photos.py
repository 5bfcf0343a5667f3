"""Photographs and paintings that slim is trained and measured on: folders in memory, and augmented random crops."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from nst.errors import InputError
from nst.images.files import load

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
HELD_OUT_EVERY = 12
"""One image of a folder in so many, by its place in the sorted folder, is held out of training, to measure on."""


@dataclass(frozen=True)
class Split:
    """Images, each uint8 (3, H, W): those to train on, and those held out to measure on."""

    trained: list[Tensor]
    held_out: list[Tensor]


def load_folder(folder: Path, smallest: int, least: int, key: str) -> Split:
    """All images of a folder in their own size. Those with a side below `smallest` pixels are left out.

    key: the config key that named the folder, for messages.
    Raises InputError if the folder does not exist, or if fewer than `least` images to train on remain.
    """
    if not folder.is_dir():
        raise InputError(f"{key}={folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    split = Split([], [])
    for number, path in enumerate(paths):
        image = as_bytes(load(path))
        if min(image.shape[1:]) >= smallest:
            (split.trained if number % HELD_OUT_EVERY else split.held_out).append(image)
    if len(split.trained) < least:
        raise InputError(
            f"{key}={folder}: {len(split.trained)} images to train on of {smallest} px a side or more, with one in "
            f"{HELD_OUT_EVERY} held out; needed: at least {least}"
        )
    return split


def as_bytes(image: Tensor) -> Tensor:
    """An image (1, 3, H, W) in [0, 1] as uint8 (3, H, W)."""
    return image[0].mul(255).round().byte()


def center(photo: Tensor, side: int) -> Tensor:
    """The central (3, side, side) of a uint8 photo (3, H, W), as float32 in [0, 1]."""
    top, left = ((length - side) // 2 for length in photo.shape[1:])
    return photo[:, top : top + side, left : left + side].float() / 255


class Crops:
    """Random (3, side, side) crops in [0, 1] of photographs and paintings, at random scales and with augmented colors.

    Colors are jittered, exchanged, inverted or reduced to few flat ones, as those of paintings are.
    """

    def __init__(self, photos: Sequence[Tensor], paintings: Sequence[Tensor], side: int) -> None:
        self._photos, self._paintings, self.side = photos, paintings or photos, side
        self._augment = v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(0.1, 1), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.4, 0.15)], 0.4),
                v2.RandomApply([v2.RandomChannelPermutation()], 0.1),
                v2.RandomInvert(0.05),
                v2.RandomPosterize(2, 0.05),
                v2.RandomSolarize(128, 0.05),
                v2.RandomEqualize(0.05),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def draw(self, count: int, paintings: float = 0.0) -> Tensor:
        """A batch of crops, (count, 3, side, side). Uses torch's global random generator.

        paintings: the probability of each to be a painting's, if there are any.
        """
        sources = [self._paintings if torch.rand(()) < paintings else self._photos for _ in range(count)]
        return torch.stack([self._augment(images[int(torch.randint(len(images), ()))]) for images in sources])


def add_noise(images: Tensor) -> Tensor:
    """Blend about a third of a batch (B, 3, H, W) with up to 60 % noise.

    A transfer that starts from noise shows the network such images on its way.
    """
    shape = (len(images), 1, 1, 1)
    amount = 0.6 * torch.rand(shape).square() * (torch.rand(shape) < 0.35)
    return images * (1 - amount) + amount * torch.rand_like(images)
