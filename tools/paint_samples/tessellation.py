"""The painting `tessellation`."""

import numpy as np
from PIL import Image
from scipy import ndimage

from tools.paint_samples.canvas import comb, finish, grid, noise, ramp


def tessellation(rng: np.random.Generator, side: int) -> Image.Image:
    """Stars of a hyperbolic tiling that shrink toward the corners, strapped, hatched and stippled in ink."""
    size = 2 * side
    x, y = grid(size)
    wobble = 0.0016 * (noise(rng, size, 24) + 1j * noise(rng, size, 24))
    z, shift = 1.37 * (x - 0.5 + 1j * (y - 0.5) + wobble), 0.20 - 0.12j
    z = (z + shift) / (1 + np.conj(shift) * z)
    # points of the Poincaré disc as vectors on the hyperboloid, where reflections are linear
    scale = 2 / (1 - np.abs(z) ** 2)
    points = np.stack([scale * z.real, scale * z.imag, scale - 1], axis=-1)
    form = np.array([1, 1, -1])
    # hexagons, four at each corner: the mirrors of the triangle (center, middle of a side, corner)
    reach = np.cos(np.pi / 4) / np.sin(np.pi / 6)
    lift = np.sqrt(reach**2 - 1)
    mirrors = np.array([(0, 1, 0), (np.sin(np.pi / 6), -np.cos(np.pi / 6), 0), (-reach, 0, -lift)])
    flips, tile = np.zeros((size, size), dtype=int), np.zeros((size, size), dtype=int)
    for _ in range(12):
        for index, mirror in enumerate(mirrors):
            offset = np.minimum(points @ (form * mirror), 0)
            points -= 2 * offset[..., None] * mirror
            flips += offset < 0
            tile += (offset < 0) & (index == 2)
    # two straps start in the middle of every side; each center has a flower, each corner an eye
    straps = [(np.sin(turn) * reach, np.cos(turn), np.sin(turn) * lift) for turn in (0.62, 1.12)]
    wide, narrow = (np.arcsinh(points @ (form * strap)) for strap in straps)
    radius = np.arccosh(np.maximum(points[..., 2], 1))
    flower = radius - 0.36 - 0.09 * np.cos(6 * np.arctan2(points[..., 1], points[..., 0]))
    eye = np.arccosh(np.maximum(-points @ (form * np.sqrt((1.5, 0.5, 3))), 1)) - 0.24
    kinds = [eye < -0.1, eye < 0, flower < -0.16, flower < 0, (wide < 0) & (narrow < 0), (wide < 0) | (narrow < 0)]
    region = np.select(kinds, range(6), 6)
    even_tiles = ramp("d23a22 17181c e8a92a 17181c cf3620 f3e8cd e3a12b", region / 6)
    odd_tiles = ramp("d23a22 17181c d23a22 f3e8cd 14626f f3e8cd e3a12b", region / 6)
    pixels = np.where((tile % 2 == 0)[..., None], even_tiles, odd_tiles)

    black, paper = (23, 24, 28), (246, 236, 212)
    seam = np.min(np.abs([wide, narrow, flower, eye]), axis=0)
    tone = np.clip(0.1 + 0.3 * (flips % 2) + 0.7 * np.exp(-seam / 0.09), 0, 0.9)
    # hatching of constant density: every second line fades out each time the tiles halve in size
    octave = np.log2(scale)
    for lines, limit in ((np.where(region == 4, narrow, wide), 0.0), (radius, 0.55)):
        ruling = lines / (0.0105 * 2 ** np.floor(octave))
        thickness = np.where(np.floor(ruling) % 2 == 0, 1, 1 - octave % 1) * (tone - limit)
        pixels[(comb(ruling) < thickness) & (region != 3)] = black
    speckle = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 640)
    pixels[(speckle > speckle.std() * (2.2 - 1.4 * tone)) & (region >= 5)] = black
    pixels[seam < 0.03] = black
    pixels[seam < 0.017] = paper
    return finish(pixels, side)
