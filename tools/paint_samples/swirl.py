"""The painting `swirl`."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tools.paint_samples.canvas import Array, finish, flat, grid, ink, noise, pixel, ramp


def swirl(rng: np.random.Generator, side: int) -> Image.Image:
    """A night sky of whirls and suns, in three layers of bristled brush strokes that follow a flow field."""
    size = 2 * side
    night = "0a1238 10206a 1b3f9c 2a6bc4 4fa5d8 a5dce0 f4efc0 fbd657 f7a823 ee7a1c"
    x, y = grid(size)
    u, v = np.full_like(x, 0.55), 0.30 * np.sin(7 * x + 3 * y) + 0.25 * noise(rng, size, 5)
    glow = 0.10 - 0.22 * y + 0.10 * noise(rng, size, 6)
    whirls = [(0.36, 0.44, 0.17, 5, 0.40), (0.65, 0.61, 0.13, -5, 0.40)]
    suns = [(0.82, 0.18, 0.14, 4, 0.88), (0.13, 0.13, 0.075, -4, 0.66), (0.10, 0.80, 0.10, 4, 0.80)]
    stars = [(0.50, 0.10, 0.045, 4, 0.60), (0.90, 0.80, 0.05, -4, 0.56), (0.38, 0.88, 0.045, -4, 0.72)]
    stars += [(0.93, 0.46, 0.035, 4, 0.62)]
    for cx, cy, radius, spin, brightness in whirls + suns + stars:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1e-6
        pull = np.exp(-((distance / radius / 1.5) ** 2)) / distance
        # the inward part keeps strokes from drifting outward and leaving the center bare
        u, v = u - pull * (spin * dy + 0.3 * abs(spin) * dx), v + pull * (spin * dx - 0.3 * abs(spin) * dy)
        spiral = np.cos(2 * np.arctan2(dy, dx) - np.sign(spin) * 28 * np.sqrt(distance))
        glow += 0.13 * spiral * np.exp(-((distance / radius / 1.8) ** 2))
        glow += brightness * np.exp(-((distance / radius) ** 2))
    flow = np.stack([u, v], axis=-1) / np.hypot(u, v)[..., None]
    streaks = noise(rng, size, 28)

    def trace(points: Array, steps: int, step: float) -> Array:
        path = [points]
        for _ in range(steps):
            path.append(path[-1] + step * flow[pixel(path[-1], size)])
        return np.stack(path, axis=1)

    canvas, relief = Image.fromarray(ramp(night, glow + 0.15).astype(np.uint8)), Image.new("L", (size, size), 128)
    brush, height = ImageDraw.Draw(canvas), ImageDraw.Draw(relief)
    broad, medium, fine = (0.026, 0.13, 2200, 7, 0.05), (0.014, 0.09, 5000, 5, 0.08), (0.007, 0.06, 7000, 3, 0.13)
    for width, length, count, bristles, spread in (broad, medium, fine):
        paths = trace(rng.uniform(-0.05, 1.05, (count, 2)), 10, length / 10)
        # part of the tone is sampled far downstream, so that strokes on the same streamline share it
        downstream = trace(paths[:, -1], 12, 0.01)[:, -1]
        tones = 0.17 + glow[pixel(paths[:, 5], size)] + 0.13 * streaks[pixel(downstream, size)]
        colors = ramp(night, tones + spread * rng.normal(size=count)) + rng.normal(0, 9, (count, 3))
        thickness = max(1, round(1.5 * width / bristles * size))
        for path, color in zip(paths, colors, strict=True):
            slope = np.gradient(path, axis=0)
            normal = slope[:, ::-1] * (-1, 1) / np.linalg.norm(slope, axis=1, keepdims=True)
            for offset in rng.permutation(np.linspace(-0.5, 0.5, bristles)):
                bristle = flat((path + width * offset * normal)[rng.integers(0, 3) : 11 - rng.integers(0, 3)], size)
                brush.line(bristle, ink(color + rng.normal(0, 12)), thickness, "curve")
                height.line(bristle, int(150 - 120 * abs(offset) + rng.normal(0, 22)), thickness, "curve")
    bumps = ndimage.gaussian_filter(np.asarray(relief, dtype=float), size / 1280)
    light = ndimage.sobel(bumps, 0) + ndimage.sobel(bumps, 1)
    return finish(np.asarray(canvas) + np.clip(0.16 * light, -48, 60)[..., None], side)
