"""Reading the pictures that runs have written, also those in a stranger's folder. Without torch: reports start fast."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path

from PIL import Image

from nst.errors import InputError

MAX_PIXELS = 178_000_000
"""A larger image (over 13,300 pixels square) is refused before it is decoded: reading it would take about 10 GB.

Pillow itself refuses more than 178,956,970.
"""
SLOWEST = 120.0
"""Seconds that reading an image may take. A small JPEG file can hold thousands of scans of so many pixels."""


class TooSlow(Exception):
    """Reading an image has taken too long."""


class Timed(BufferedReader):
    """An image file whose bytes can be read for SLOWEST seconds; later, `read` raises TooSlow.

    Pillow reads a part, decodes it, and reads the next one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self._until = time.monotonic() + SLOWEST

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        if time.monotonic() > self._until:
            raise TooSlow(f"it takes more than {SLOWEST:g} s")
        return super().read(size)


@contextmanager
def opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Open an image file of one of these formats of Pillow's: within SLOWEST, and without Pillow's warnings.

    Raises errors of any kind for what is none, also if that shows only inside the block.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Timed(path) as file, Image.open(file, formats=formats) as image:
            yield image


def is_written_image(path: Path) -> bool:
    """Whether a file is one that a run writes: a PNG or JPEG image of at most MAX_PIXELS, and no link.

    A run's folder may be a stranger's: its files are not opened as any other format, and no link is followed.
    """
    try:
        with _open_written(path):
            return True
    except InputError:
        return False


def written_images(folder: Path, pattern: str) -> list[Path]:
    """The images in a folder that a run made for them, by name; none if the folder is a link."""
    return [] if folder.is_symlink() else sorted(filter(is_written_image, folder.glob(pattern)))


def read_written(path: Path, side: int | None = None) -> Image.Image:
    """A PNG or JPEG image that a run has written, in 8-bit RGB, scaled down to a longest side of `side` pixels.

    One that is damaged, cut short or too slow to read is gray: a report shows the others. Raises InputError for
    anything else, such as a link.
    """
    with _open_written(path) as image:
        try:
            picture = image.convert("RGB")
        except Exception:  # a broken file can raise anything in Pillow
            picture = Image.new("RGB", image.size, "gray")
    if side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


@contextmanager
def _open_written(path: Path) -> Iterator[Image.Image]:
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path}: not a file of its own")
    try:
        with opened(path, ("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels")
            yield image
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"cannot read {path}: {error}") from None
