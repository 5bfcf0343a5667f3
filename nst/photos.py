"""Photographs to train on: a folder in memory, and random crops of it."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from nst.errors import InputError
from nst.imagefile import load

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def load_folder(folder: Path, smallest: int) -> list[Tensor]:
    """All images of a folder, sorted by name, as uint8 (3, H, W) of their own size; smaller than `smallest` are left.

    Raises InputError when fewer than 32 remain.
    """
    if not folder.is_dir():
        raise InputError(f"distill.photos={folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    photos = [load(path)[0].mul(255).round().byte() for path in paths]
    photos = [photo for photo in photos if min(photo.shape[1:]) >= smallest]
    if len(photos) < 32:
        raise InputError(
            f"distill.photos={folder}: {len(photos)} images of {smallest} px a side or more; at least 32 are needed"
        )
    return photos


def centre(photo: Tensor, side: int) -> Tensor:
    """The middle (3, side, side) of a uint8 photo, in [0, 1]."""
    top, left = ((length - side) // 2 for length in photo.shape[1:])
    return photo[:, top : top + side, left : left + side].float() / 255


class Crops:
    """Random (3, side, side) crops in [0, 1] of photos: any scale, half of them with jittered colours."""

    def __init__(self, photos: list[Tensor], side: int) -> None:
        self.photos = photos
        self._augment = v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(0.1, 1), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.4, 0.15)], 0.5),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def draw(self, count: int) -> Tensor:
        """(count, 3, side, side), drawn with torch's random generator."""
        chosen = torch.randint(len(self.photos), (count,)).tolist()
        return torch.stack([self._augment(self.photos[index]) for index in chosen])


def add_noise(images: Tensor) -> Tensor:
    """A third of a (B, 3, H, W) batch blended with up to 60 % of noise: what a run from noise sees on its way."""
    shape = (len(images), 1, 1, 1)
    amount = 0.6 * torch.rand(shape).square() * (torch.rand(shape) < 0.35)
    return images * (1 - amount) + amount * torch.rand_like(images)
