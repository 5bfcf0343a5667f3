"""What the paintings share: colors, noise, coordinates and drawing.

Lengths are fractions of the canvas, so a painting can be drawn at any size. Points are (x, y), with y pointing down.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from scipy import ndimage

Array = NDArray[Any]


def ramp(colors: str, position: Array | float) -> Array:
    """Interpolate a color scale.

    colors: the stops, evenly spaced over [0, 1]: hex codes separated by spaces. position: any shape, clipped to [0, 1].
    Returns float RGB in [0, 255], shape (*position.shape, 3).
    """
    stops = np.array([ImageColor.getrgb(f"#{color}") for color in colors.split()])
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(position, places, channel) for channel in stops.T], axis=-1)


def ink(color: Array) -> tuple[int, ...]:
    """A color, (3,), as the tuple of 0-255 integers that ImageDraw takes."""
    return tuple(int(channel) for channel in np.clip(color, 0, 255))


def flat(points: Array, size: int) -> list[float]:
    """Points (N, 2) as ImageDraw takes them: one list of pixel coordinates x0, y0, x1, y1, …"""
    return [float(length) for length in (points * size).ravel()]


def disc(pen: ImageDraw.ImageDraw, size: int, center: Array, radius: float, color: tuple[int, ...]) -> None:
    """Draw a filled circle."""
    pen.ellipse(flat(np.array([center - radius, center + radius]), size), fill=color)


def grid(size: int) -> tuple[Array, Array]:
    """The x and the y coordinate of every pixel, in [0, 1), each (size, size)."""
    y, x = np.mgrid[0:size, 0:size] / size
    return x, y


def pixel(points: Array, size: int) -> tuple[Array, ...]:
    """Row and column indices of the pixel under each point (…, 2). Points off the canvas are moved to its edge."""
    return tuple(np.moveaxis(np.clip(points * size, 0, size - 1).astype(int), -1, 0)[::-1])


def noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """A smooth random field (size, size), about in [-1, 1], with `cells` bumps along each side."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=float)


def grain(rng: np.random.Generator, size: int, along: float, across: float) -> Array:
    """Horizontal streaks (size, size) of unit variance: white noise, blurred.

    along, across: standard deviations of the blur, as fractions of the canvas.
    """
    streaks: Array = ndimage.gaussian_filter(rng.normal(size=(size, size)), (across * size, along * size), mode="wrap")
    streaks /= streaks.std()
    return streaks


def comb(phase: Array) -> Array:
    """A triangle wave of period 1 between 0 and 1. Thresholding it gives lines of that relative width."""
    return np.abs(phase % 1 - 0.5) * 2


def finish(pixels: Array, side: int) -> Image.Image:
    """Shrink a canvas of RGB values, (H, W, 3), to `side` pixels a side; values are clipped to [0, 255]."""
    canvas = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return canvas.resize((side, side), Image.Resampling.LANCZOS)
