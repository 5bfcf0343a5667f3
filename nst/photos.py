"""Photographs to train on: a folder in memory or on disk, and random crops of it."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from nst.errors import InputError
from nst.imagefile import is_image, load, load_crop

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
    """Random (3, side, side) crops in [0, 1] of photos: any scale, most of them with other colours.

    Colours are jittered, exchanged, inverted or made few and flat, as those of paintings are.
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
        """(count, 3, side, side), drawn with torch's random generator."""
        chosen = torch.randint(len(self.photos), (count,)).tolist()
        return torch.stack([self._augment(self.photos[index]) for index in chosen])


def add_noise(images: Tensor) -> Tensor:
    """A third of a (B, 3, H, W) batch blended with up to 60 % of noise: what a run from noise sees on its way."""
    shape = (len(images), 1, 1, 1)
    amount = 0.6 * torch.rand(shape).square() * (torch.rand(shape) < 0.35)
    return images * (1 - amount) + amount * torch.rand_like(images)


def find_images(folder: Path) -> tuple[list[Path], int]:
    """All images in a folder, at any depth, sorted; and how many other files there are.

    What is hidden is left out, and so are folders that are links.
    """

    def hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not hidden(path))
    images = [path for path in paths if is_image(path)]
    return images, len(paths) - len(images)


class Draws(Dataset[tuple[Tensor, int]]):
    """An endless shuffled series of random crops (3, side, side), uint8, of images; the same for the same seed.

    The crop at a position depends on nothing but the position: not on workers, ranks or where a run was resumed. Every
    len(paths) positions are one pass over all images. An image that cannot be read is passed over for the next; with
    each crop comes which of `paths` that was, or len(paths) for none.
    """

    def __init__(self, paths: Sequence[Path], side: int, seed: int) -> None:
        self.paths, self.side, self.seed = list(paths), side, seed

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        epoch, place = divmod(position, len(self.paths))
        scale, top, left, mirrored = np.random.default_rng([self.seed, epoch, place]).random(4)
        order = _order(self.seed, epoch, len(self.paths))
        for tried in range(len(order)):
            path = self.paths[order[(place + tried) % len(order)]]
            try:
                crop = load_crop(path, self.side, scale, top, left)
            except InputError:
                continue
            return (crop.flip(2) if mirrored < 0.5 else crop).contiguous(), order[place] if tried else len(order)
        raise InputError("none of the images to train on can be read to its end")


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(count).tolist()


class Positions(Sampler[int]):
    """Of the positions from `start` to before `stop` those of one process of several that share every batch."""

    def __init__(self, start: int, stop: int, rank: int = 0, processes: int = 1) -> None:
        self._positions = range(start + rank, stop, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)
