"""The painting `facets`."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tools.paint_samples.canvas import Array, comb, finish, flat, grain, grid, ramp


def facets(rng: np.random.Generator, side: int) -> Image.Image:
    """A cubist still life of overlapping planes, shaded and hatched, between dark contours."""
    size = 2 * side
    warms = "f4e7c3 f2c25c e09a2e d4672a b23c1c 6a2a1c e8a93c f6edd2"
    cools = "20304a 3d6690 7fa6b8 dfe0cc 8a8c3c 4d5a2c 2a4a6a c9a24e"
    planes = [np.array([(-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1)])]

    def weight(plane: Array) -> float:
        # smaller planes in the middle of the picture, where viewers look first
        (px, py), middle = plane.T, np.exp(-8 * np.sum((plane.mean(axis=0) - 0.5) ** 2))
        return float(abs(px @ np.roll(py, 1) - py @ np.roll(px, 1)) * (0.35 + middle))

    while len(planes) < 170:
        plane = planes.pop(int(np.argmax([weight(plane) for plane in planes])))
        angle = rng.choice([0.35, 1.15, 1.75, 2.6]) + rng.normal(0, 0.12)
        inner_point = rng.dirichlet(np.full(len(plane), 4.0)) @ plane
        offsets = (plane - inner_point) @ (-np.sin(angle), np.cos(angle))
        halves: tuple[list[Array], list[Array]] = ([], [])
        for index, corner in enumerate(plane):
            before, here, there = plane[index - 1], offsets[index], offsets[index - 1]
            if (here > 0) != (there > 0):
                for half in halves:
                    half.append(corner + here / (here - there) * (before - corner))
            halves[int(here > 0)].append(corner)
        planes += [np.array(half) for half in halves]
    # on top: enlarged copies of some planes, and sectors of discs for the curves of guitars and jugs
    overlays = []
    for plane in [planes[index] for index in rng.permutation(len(planes))[:50]]:
        overlays.append(plane.mean(axis=0) + rng.uniform(1.0, 1.7) * (plane - plane.mean(axis=0)))
    for radius in rng.uniform(0.05, 0.13, 16):
        arc = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.choice([0.5, 1.0, 1.4]) * np.pi, 40)
        overlays.append(rng.normal(0.5, 0.2, 2) + radius * np.stack([np.cos(arc), np.sin(arc)], axis=-1))
    rng.shuffle(overlays)

    canvas = Image.new("RGB", (size, size))
    pen = ImageDraw.Draw(canvas)
    x, y = grid(size)
    dabs = [ndimage.rotate(grain(rng, size, 0.0045, 0.0011), turn, reshape=False, mode="wrap") for turn in (0, 35, 80)]
    for index, plane in enumerate([*planes, *overlays]):
        center = plane.mean(axis=0)
        left, top = (int(low) for low in np.clip(plane.min(axis=0) * size, 0, size - 1))
        right, bottom = (int(high) for high in np.clip(plane.max(axis=0) * size + 2, 1, size))
        window = np.s_[top:bottom, left:right]
        edge = plane[rng.integers(len(plane))] - plane[0] + rng.normal(0, 1e-3, 2)
        axis = edge[::-1] * (-1, 1) / np.hypot(*edge)
        along = (x[window] - center[0]) * axis[0] + (y[window] - center[1]) * axis[1]
        span = (plane - center) @ axis
        shade = np.clip((along - span.min()) / np.ptp(span), 0, 1)
        warm = np.exp(-7 * np.sum((center - (0.52, 0.48)) ** 2)) + rng.normal(0, 0.22) > 0.5
        base = ramp(warms if warm else cools, rng.random()) + rng.normal(0, 8, 3)
        tint = base * (0.45 + 0.85 * shade[..., None]) + 12 * dabs[rng.integers(len(dabs))][window][..., None]
        if rng.random() < 0.6:
            hatched = comb(along / rng.choice([0.009, 0.012, 0.016])) < 0.62 * (1 - shade / rng.uniform(0.5, 1.0))
            tint[hatched] = 0.35 * tint[hatched] + rng.choice([(25, 18, 20), (160, 145, 115)], p=[0.75, 0.25])
        stencil = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(stencil).polygon(flat(plane - np.array([left, top]) / size, size), fill=255)
        fade = np.clip(1.9 - 1.9 * shade, 0, 1) if index >= len(planes) else 1.0
        mask = Image.fromarray((np.asarray(stencil) * fade).astype(np.uint8))
        canvas.paste(Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8)), (left, top), mask)
        for start, end in zip(plane, np.roll(plane, 1, axis=0), strict=True):
            thickness = rng.choice([0.0008, 0.0014, 0.003], p=[0.3, 0.5, 0.2]) if len(plane) < 20 else 0.0014
            across = (end - start)[::-1] * (-1, 1) * thickness / np.hypot(*(end - start))
            stroke = np.array([start - across, start + across, end + across / 2, end - across / 2])
            pen.polygon(flat(stroke, size), fill=(30, 21, 22))
    return finish(np.asarray(canvas), side)
