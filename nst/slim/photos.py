"""Photographs that slim is trained and measured on: a folder in memory, and augmented random crops of it."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from nst.errors import InputError
from nst.images.files import load

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
LEAST_PHOTOS = 32
"""The number of photographs that a folder must hold."""


def load_folder(folder: Path, smallest: int, key: str = "distill.photos") -> list[Tensor]:
    """All images of a folder, sorted by name, as uint8 (3, H, W) in their own size.

    smallest: images with a side of fewer pixels are left out. key: the config key that named the folder, for messages.
    Raises InputError if the folder does not exist or fewer than LEAST_PHOTOS images remain.
    """
    if not folder.is_dir():
        raise InputError(f"{key}={folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    photos = [load(path)[0].mul(255).round().byte() for path in paths]
    photos = [photo for photo in photos if min(photo.shape[1:]) >= smallest]
    if len(photos) < LEAST_PHOTOS:
        raise InputError(
            f"{key}={folder}: {len(photos)} images of {smallest} px a side or more; at least {LEAST_PHOTOS} are needed"
        )
    return photos


def center(photo: Tensor, side: int) -> Tensor:
    """The central (3, side, side) of a uint8 photo (3, H, W), as float32 in [0, 1]."""
    top, left = ((length - side) // 2 for length in photo.shape[1:])
    return photo[:, top : top + side, left : left + side].float() / 255


class Crops:
    """Random (3, side, side) crops in [0, 1] of photos, at random scales and with augmented colors.

    Colors are jittered, exchanged, inverted or reduced to few flat ones, as those of paintings are.
    """

    def __init__(self, photos: list[Tensor], side: int) -> None:
        self.photos, self.side = photos, side
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

    def draw(self, count: int) -> Tensor:
        """A batch of crops, (count, 3, side, side). Uses torch's global random generator."""
        chosen = torch.randint(len(self.photos), (count,)).tolist()
        return torch.stack([self._augment(self.photos[index]) for index in chosen])


def add_noise(images: Tensor) -> Tensor:
    """Blend about a third of a batch (B, 3, H, W) with up to 60 % noise.

    A transfer that starts from noise shows the network such images on its way.
    """
    shape = (len(images), 1, 1, 1)
    amount = 0.6 * torch.rand(shape).square() * (torch.rand(shape) < 0.35)
    return images * (1 - amount) + amount * torch.rand_like(images)
