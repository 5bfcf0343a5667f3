"""Training data of a generator: the images in a folder, and an endless series of random crops of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from nst.errors import InputError
from nst.images.files import is_image, load_crop


def find_images(folder: Path) -> tuple[list[Path], int]:
    """All images in a folder, at any depth, sorted by path; and the number of other files there.

    Hidden files and folders are left out. Links to folders are not followed.
    """

    def hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not hidden(path))
    images = [path for path in paths if is_image(path)]
    return images, len(paths) - len(images)


class CropDataset(Dataset[tuple[Tensor, int]]):
    """An endless, shuffled series of random square crops, reproducible from the seed.

    An item is a crop, (3, side, side), uint8, and the index in `paths` of the image that could not be read and was
    replaced by the next one; len(paths) if there was none. The crop depends only on the position, not on workers, on
    ranks or on where a run was resumed. Every len(paths) positions are one epoch: each image is used once.
    Raises InputError if no image can be read.
    """

    def __init__(self, paths: Sequence[Path], side: int, seed: int) -> None:
        self.paths, self.side, self.seed = list(paths), side, seed
        self._orders: dict[int, list[int]] = {}

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        epoch, place = divmod(position, len(self.paths))
        scale, top, left, mirrored = np.random.default_rng([self.seed, epoch, place]).random(4)
        order = self._order(epoch)
        for skipped in range(len(order)):
            path = self.paths[order[(place + skipped) % len(order)]]
            try:
                crop = load_crop(path, self.side, scale, top, left)
            except InputError:
                continue
            return (crop.flip(2) if mirrored < 0.5 else crop).contiguous(), order[place] if skipped else len(order)
        raise InputError("none of the training images can be read completely")

    def _order(self, epoch: int) -> list[int]:
        """Indices of the images in the order of an epoch. Two epochs are kept: a batch may begin in one and end in
        the next."""
        if epoch not in self._orders:
            if len(self._orders) == 2:
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(len(self.paths)).tolist()
        return self._orders[epoch]


class Positions(Sampler[int]):
    """One process's share of the positions `start` ≤ position < `stop`: every `processes`-th, from `start + rank`."""

    def __init__(self, start: int, stop: int, rank: int = 0, processes: int = 1) -> None:
        self._positions = range(start + rank, stop, processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)
