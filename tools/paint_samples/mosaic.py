"""The painting `mosaic`."""

from collections import deque

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tools.paint_samples.canvas import finish, flat, grid, ink, noise, pixel, ramp


def mosaic(rng: np.random.Generator, side: int) -> Image.Image:
    """Tesserae of gold, turquoise and crimson, laid in rows around medallions and along rivers, in white grout."""
    size = 2 * side
    golds, crimsons = "8f5210 c98a1a e9b42c f9dc78", "560a1c 960f28 c9202f ea5a3c"
    families = [golds, crimsons, "083f55 0f7480 1ea7a4 74d3c8"]
    medallions = [(0.30, 0.33, 0.21), (0.77, 0.22, 0.13), (0.73, 0.70, 0.19), (0.20, 0.80, 0.12), (0.47, 0.62, 0.06)]
    medallions += [(0.52, 0.10, 0.05), (0.95, 0.46, 0.07), (0.03, 0.57, 0.06), (0.45, 0.93, 0.07), (0.03, 0.06, 0.07)]
    x, y = grid(size)
    # rows follow the contour lines of one field, colors those of a second one with smaller medallions
    rows = 0.9 * y + 0.10 * np.sin(6.5 * x + 2.2 * y + 0.6) + 0.05 * noise(rng, size, 5)
    tones = 5 * rows
    for index, (cx, cy, radius) in enumerate(medallions):
        distance = np.hypot(x - cx, y - cy)
        rows = np.where(distance < 1.25 * radius, distance, rows)
        tones = np.where(distance < radius, 5 * distance / radius + index, tones)
    rows = ndimage.gaussian_filter(rows, 0.004 * size)
    across = np.stack([ndimage.sobel(rows, 1), ndimage.sobel(rows, 0)], axis=-1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-9

    canvas, taken = Image.new("RGB", (size, size), (236, 229, 214)), Image.new("1", (size, size))
    pen, claim = ImageDraw.Draw(canvas), ImageDraw.Draw(taken)
    square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    probe = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.5, 0.5, 5)), axis=-1).reshape(-1, 2)
    seeds = np.concatenate([np.array(medallions)[:, :2], rng.uniform(0, 1, (60, 2))])
    # whole tiles first, each adding its row and then the rows beside it; then chips in the gaps
    chips = rng.uniform(0, 1, (22000, 2))
    for length, places in [(0.015, seeds), (0.011, chips[:6000]), (0.007, chips[6000:])]:
        queue = deque(places)
        while queue:
            place = queue.popleft()
            if place.min() < 0 or place.max() >= 1:
                continue
            normal = across[pixel(place, size)]
            frame = np.array([normal[::-1] * (-1, 1), normal])
            # the reserved area is smaller than the tile, so that neighbors on a curve can touch
            spots = pixel(place + 0.84 * length * probe @ frame, size)
            if any(taken.getpixel((int(column), int(row))) for row, column in zip(*spots, strict=True)):
                continue
            claim.polygon(flat(place + 0.84 * length * square @ frame, size), fill=1)
            tone = tones[pixel(place, size)]
            color = ramp(families[int(tone) % 3], tone % 1 + rng.normal(0, 0.18)) + rng.normal(0, 8, 3)
            body = place + (length - 0.0022) * (square + rng.normal(0, 0.035, (4, 2))) @ frame
            pen.polygon(flat(body, size), fill=ink(color))
            for start, end in zip(body, np.roll(body, -1, axis=0), strict=True):
                bevel = ink(color * (1 + 0.35 * (end - start) @ (0.7, -0.7) / length))
                pen.line(flat(np.array([start, end]), size), bevel, max(1, round(0.0018 * size)))
            if length == 0.015:
                queue.extendleft([place + length * frame[0], place - length * frame[0]])
                queue.extend([place + length * frame[1], place - length * frame[1]])
    return finish(np.asarray(canvas), side)
