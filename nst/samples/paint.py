"""Draw the five style paintings that ship with the project: ``python -m nst.samples.paint [FOLDER]``.

Every painting starts from a fixed seed and is drawn at twice its side, then reduced, which smooths its edges. Lengths
are fractions of the canvas, so a painting can be drawn at any side; points are (x, y) with y pointing down.
"""

import argparse
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from scipy import interpolate, ndimage

Array = NDArray[Any]

SIDE = 640
SEED = 7


def ramp(colours: str, position: Array | float) -> Array:
    """Colours at ``position`` in [0, 1] along evenly spaced stops, given as hex codes with spaces between."""
    stops = np.array([ImageColor.getrgb(f"#{colour}") for colour in colours.split()])
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(position, places, channel) for channel in stops.T], axis=-1)


def ink(colour: Array) -> tuple[int, ...]:
    """A colour as ImageDraw wants it."""
    return tuple(int(channel) for channel in np.clip(colour, 0, 255))


def flat(points: Array, size: int) -> list[float]:
    """Points as ImageDraw wants them: pixel coordinates in one list."""
    return [float(length) for length in (points * size).ravel()]


def disc(pen: ImageDraw.ImageDraw, size: int, centre: Array, radius: float, colour: tuple[int, ...]) -> None:
    """Draw a filled circle."""
    pen.ellipse(flat(np.array([centre - radius, centre + radius]), size), fill=colour)


def grid(size: int) -> tuple[Array, Array]:
    """The x and the y of every pixel, in [0, 1)."""
    y, x = np.mgrid[0:size, 0:size] / size
    return x, y


def pixel(points: Array, size: int) -> tuple[Array, ...]:
    """The row and column under each point, the nearest ones for a point off the canvas."""
    return tuple(np.moveaxis(np.clip(points * size, 0, size - 1).astype(int), -1, 0)[::-1])


def noise(rng: np.random.Generator, size: int, cells: int) -> Array:
    """A smooth random field in about [-1, 1] with ``cells`` bumps across."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=float)


def grain(rng: np.random.Generator, size: int, along: float, across: float) -> Array:
    """Horizontal streaks of unit variance."""
    streaks: Array = ndimage.gaussian_filter(rng.normal(size=(size, size)), (across * size, along * size), mode="wrap")
    streaks /= streaks.std()
    return streaks


def comb(phase: Array) -> Array:
    """A triangle wave of period one, from 1 down to 0 and back: below a threshold it gives lines of that width."""
    return np.abs(phase % 1 - 0.5) * 2


def finish(pixels: Array, side: int) -> Image.Image:
    """Reduce a canvas to its final side."""
    canvas = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return canvas.resize((side, side), Image.Resampling.LANCZOS)


def swirl(rng: np.random.Generator, side: int) -> Image.Image:
    """A night of whirls and suns, in three layers of bristled brush strokes that follow the flow."""
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
        # the inward part keeps strokes from drifting off and baring the centre
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
    broad, middling, fine = (0.026, 0.13, 2200, 7, 0.05), (0.014, 0.09, 5000, 5, 0.08), (0.007, 0.06, 7000, 3, 0.13)
    for width, length, count, bristles, spread in (broad, middling, fine):
        paths = trace(rng.uniform(-0.05, 1.05, (count, 2)), 10, length / 10)
        # one part of the tone is read far downstream, so that strokes on one streamline share it
        downstream = trace(paths[:, -1], 12, 0.01)[:, -1]
        tones = 0.17 + glow[pixel(paths[:, 5], size)] + 0.13 * streaks[pixel(downstream, size)]
        colours = ramp(night, tones + spread * rng.normal(size=count)) + rng.normal(0, 9, (count, 3))
        thickness = max(1, round(1.5 * width / bristles * size))
        for path, colour in zip(paths, colours, strict=True):
            slope = np.gradient(path, axis=0)
            normal = slope[:, ::-1] * (-1, 1) / np.linalg.norm(slope, axis=1, keepdims=True)
            for offset in rng.permutation(np.linspace(-0.5, 0.5, bristles)):
                bristle = flat((path + width * offset * normal)[rng.integers(0, 3) : 11 - rng.integers(0, 3)], size)
                brush.line(bristle, ink(colour + rng.normal(0, 12)), thickness, "curve")
                height.line(bristle, int(150 - 120 * abs(offset) + rng.normal(0, 22)), thickness, "curve")
    bumps = ndimage.gaussian_filter(np.asarray(relief, dtype=float), size / 1280)
    light = ndimage.sobel(bumps, 0) + ndimage.sobel(bumps, 1)
    return finish(np.asarray(canvas) + np.clip(0.16 * light, -48, 60)[..., None], side)


def facets(rng: np.random.Generator, side: int) -> Image.Image:
    """A cubist still life of overlapping planes, shaded and hatched, between dark contours."""
    size = 2 * side
    warms = "f4e7c3 f2c25c e09a2e d4672a b23c1c 6a2a1c e8a93c f6edd2"
    cools = "20304a 3d6690 7fa6b8 dfe0cc 8a8c3c 4d5a2c 2a4a6a c9a24e"
    planes = [np.array([(-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1)])]

    def weight(plane: Array) -> float:
        # the eye goes to the middle: it is cut finer
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
        centre = plane.mean(axis=0)
        left, top = (int(low) for low in np.clip(plane.min(axis=0) * size, 0, size - 1))
        right, bottom = (int(high) for high in np.clip(plane.max(axis=0) * size + 2, 1, size))
        window = np.s_[top:bottom, left:right]
        edge = plane[rng.integers(len(plane))] - plane[0] + rng.normal(0, 1e-3, 2)
        axis = edge[::-1] * (-1, 1) / np.hypot(*edge)
        reach = (x[window] - centre[0]) * axis[0] + (y[window] - centre[1]) * axis[1]
        span = (plane - centre) @ axis
        shade = np.clip((reach - span.min()) / np.ptp(span), 0, 1)
        warm = np.exp(-7 * np.sum((centre - (0.52, 0.48)) ** 2)) + rng.normal(0, 0.22) > 0.5
        base = ramp(warms if warm else cools, rng.random()) + rng.normal(0, 8, 3)
        tint = base * (0.45 + 0.85 * shade[..., None]) + 12 * dabs[rng.integers(len(dabs))][window][..., None]
        if rng.random() < 0.6:
            hatched = comb(reach / rng.choice([0.009, 0.012, 0.016])) < 0.62 * (1 - shade / rng.uniform(0.5, 1.0))
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


def waves(rng: np.random.Generator, side: int) -> Image.Image:
    """A woodcut sea: curling crests striped with carved lines, foam fingers, a vermilion sun in an engraved sky."""
    size = 2 * side
    paper, indigo = (246, 238, 216), (14, 26, 66)
    x, y = grid(size)
    wood = grain(rng, size, 0.09, 0.0011)
    # the lines of the sky ring the sun, and swell where the sky darkens
    from_sun = np.hypot(x - 0.66, y - 0.27) + 0.0015 * noise(rng, size, 40)
    dark = np.clip(1.15 - 2.6 * y, 0, 1) ** 1.5 + 0.12 * noise(rng, size, 6)
    rings = from_sun + 0.02 * noise(rng, size, 9) + 0.045 * noise(rng, size, 4)
    sky = ramp("f3e6c4 f0d9ae b9cdc4 6c9fb8 3f78a8", dark)
    lines = comb(rings / 0.0135) < 0.22 + 0.6 * dark
    sky[lines] = ramp("d9b98a 8fb0b0 2f6795 16356b 0f2350", dark[lines])
    sky[from_sun < 0.157] = indigo
    sky[from_sun < 0.15] = ramp("e8502a d9331f b81f1c", (y[from_sun < 0.15] - 0.12) / 0.3)
    cuts = comb((y + 0.012 * noise(rng, size, 7)) / 0.0125) < 0.12 + 2.2 * (y - 0.2)
    sky[cuts & (from_sun < 0.15)] = paper
    canvas = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    # a wave of unit height lies between two curves, its back and its hollow face, that meet at the tip
    tip = (0.88, -0.3)
    back = [(-2.6, 1.6), (-1.6, 0.35), (-0.9, -0.25), (-0.3, -0.8), (0.3, -1.05), (0.75, -0.9), (0.95, -0.5), tip]
    face = [(2.4, 1.6), (1.4, 0.5), (0.75, 0.15), (0.32, -0.15), (0.25, -0.5), (0.45, -0.72), (0.68, -0.62), tip]
    along = np.linspace(0, 1, 90)[:, None]
    rims = [interpolate.make_interp_spline(np.linspace(0, 1, 8), curve)(along[:, 0]) for curve in (back, face)]

    def finger(place: Array, angle: float, radius: float, curl: float) -> list[tuple[Array, float]]:
        drops = []
        while radius > 0.0011:
            drops.append((place, radius))
            place = place + 0.55 * radius * np.array([np.cos(angle), np.sin(angle)])
            angle, radius = angle + curl, radius * 0.93
        return drops

    crests = [(0.10, 0.60, 0.07), (0.36, 0.62, 0.06), (0.62, 0.59, 0.075), (0.88, 0.62, 0.065), (0.75, 0.68, 0.08)]
    crests += [(-0.02, 0.72, 0.10), (0.56, 0.70, 0.11), (0.93, 0.74, 0.10), (0.22, 0.56, 0.30), (0.74, 0.84, 0.13)]
    crests += [(0.02, 0.92, 0.13), (0.42, 0.97, 0.13), (0.92, 0.99, 0.12)]
    for cx, cy, scale in crests:
        lean = rng.normal(0, 0.05)
        turn = np.array([(np.cos(lean), np.sin(lean)), (-np.sin(lean), np.cos(lean))])
        outer, inner = (np.array((cx, cy)) + scale * rim @ turn for rim in rims)
        swell = 0.35 * np.sin(5 * along + rng.uniform(0, 6))
        stripes = round(8 + 60 * scale)
        for stripe in range(stripes):
            tone = rng.uniform(0, 0.3) + 0.7 * abs(2 * stripe / stripes - 0.9)
            water = ink(ramp("2a5f98 17356f 4f8fb8 a9cdd0 1a3570", tone))
            taper = np.sin(np.pi * along ** rng.uniform(0.6, 1.4)).clip(0)
            # each stripe: its water, one broad cut down to the paper, two thin inked lines
            for start, width, colour in [
                (0.0, np.full_like(along, 1.05), water),
                (0.0, rng.uniform(0.3, 0.5) * taper, paper),
                (0.45, rng.uniform(0.06, 0.16) * taper, indigo),
                (0.7, rng.uniform(0.06, 0.16) * taper, indigo),
            ]:
                mixes = [(stripe + start + extent) / stripes for extent in (0 * width, width)]
                mixes = [np.clip(mix + swell * mix * (1 - mix), 0, 1) for mix in mixes]
                low, high = (outer + mix * (inner - outer) for mix in mixes)
                pen.polygon(flat(np.concatenate([low, high[::-1]]), size), fill=colour)
        for curve in (outer, inner):
            pen.line(flat(curve, size), indigo, max(1, round(0.0035 * size)), "curve")
        foam = []
        for spot in rng.integers(36, 88, round(60 + 500 * scale)):
            heading = outer[spot + 1] - outer[spot]
            angle = np.arctan2(heading[1], heading[0]) + rng.normal(-0.1, 0.7)
            radius = rng.uniform(0.02, 0.07) * min(scale, 0.2) ** 0.9
            foam.append(finger(outer[spot] + rng.normal(0, 0.035 * scale, 2), angle, radius, rng.normal(0.17, 0.05)))
        for drops in sorted(foam, key=lambda drops: -drops[0][1]):
            for outline, colour in ((0.0016, indigo), (0.0, paper)):
                for place, radius in drops:
                    disc(pen, size, place, radius + outline, colour)
        spray = outer[rng.integers(40, 90, round(250 * scale))]
        for place in spray + scale * rng.normal((0.05, -0.1), 0.15, spray.shape):
            disc(pen, size, place, rng.uniform(0.0012, 0.0035), paper)
    return finish(np.asarray(canvas) + 5.0 * wood[..., None], side)


def tessellation(rng: np.random.Generator, side: int) -> Image.Image:
    """Stars of a hyperbolic tiling that shrink toward the corners, strapped, hatched and stippled in ink."""
    size = 2 * side
    x, y = grid(size)
    wobble = 0.0016 * (noise(rng, size, 24) + 1j * noise(rng, size, 24))
    z, shift = 1.37 * (x - 0.5 + 1j * (y - 0.5) + wobble), 0.20 - 0.12j
    z = (z + shift) / (1 + np.conj(shift) * z)
    # points of the disc as vectors of the hyperboloid, on which mirrors act linearly
    scale = 2 / (1 - np.abs(z) ** 2)
    points = np.stack([scale * z.real, scale * z.imag, scale - 1], axis=-1)
    form = np.array([1, 1, -1])
    # hexagons, four to a corner: the mirrors of the triangle (centre, middle of a side, corner)
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
    # two straps leave the middle of every side; a flower fills every centre, an eye every corner
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
    # the hatching keeps its density on paper: every other line dies out as the tiles shrink by half
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


def mosaic(rng: np.random.Generator, side: int) -> Image.Image:
    """Tesserae of gold, turquoise and crimson, laid in rows around medallions and along rivers, in white grout."""
    size = 2 * side
    golds, crimsons = "8f5210 c98a1a e9b42c f9dc78", "560a1c 960f28 c9202f ea5a3c"
    families = [golds, crimsons, "083f55 0f7480 1ea7a4 74d3c8"]
    medallions = [(0.30, 0.33, 0.21), (0.77, 0.22, 0.13), (0.73, 0.70, 0.19), (0.20, 0.80, 0.12), (0.47, 0.62, 0.06)]
    medallions += [(0.52, 0.10, 0.05), (0.95, 0.46, 0.07), (0.03, 0.57, 0.06), (0.45, 0.93, 0.07), (0.03, 0.06, 0.07)]
    x, y = grid(size)
    # rows follow the level lines of one field, colours those of another, whose medallions are smaller
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
    # whole tiles first, each growing its row and then the rows beside it; then chips in the gaps
    chips = rng.uniform(0, 1, (22000, 2))
    for length, places in [(0.015, seeds), (0.011, chips[:6000]), (0.007, chips[6000:])]:
        queue = deque(places)
        while queue:
            place = queue.popleft()
            if place.min() < 0 or place.max() >= 1:
                continue
            normal = across[pixel(place, size)]
            frame = np.array([normal[::-1] * (-1, 1), normal])
            # the claim is smaller than the tile, which lets neighbours on a curve close up
            spots = pixel(place + 0.84 * length * probe @ frame, size)
            if any(taken.getpixel((int(column), int(row))) for row, column in zip(*spots, strict=True)):
                continue
            claim.polygon(flat(place + 0.84 * length * square @ frame, size), fill=1)
            tone = tones[pixel(place, size)]
            colour = ramp(families[int(tone) % 3], tone % 1 + rng.normal(0, 0.18)) + rng.normal(0, 8, 3)
            body = place + (length - 0.0022) * (square + rng.normal(0, 0.035, (4, 2))) @ frame
            pen.polygon(flat(body, size), fill=ink(colour))
            for start, end in zip(body, np.roll(body, -1, axis=0), strict=True):
                bevel = ink(colour * (1 + 0.35 * (end - start) @ (0.7, -0.7) / length))
                pen.line(flat(np.array([start, end]), size), bevel, max(1, round(0.0018 * size)))
            if length == 0.015:
                queue.extendleft([place + length * frame[0], place - length * frame[0]])
                queue.extend([place + length * frame[1], place - length * frame[1]])
    return finish(np.asarray(canvas), side)


PAINTINGS: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    "swirl": swirl,
    "facets": facets,
    "waves": waves,
    "tessellation": tessellation,
    "mosaic": mosaic,
}


def main() -> None:
    """Redraw the five style paintings."""
    parser = argparse.ArgumentParser(prog="python -m nst.samples.paint", description=main.__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(__file__).parent, help="default: beside the script"
    )
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, paint in PAINTINGS.items():
        paint(np.random.default_rng(SEED), SIDE).save(folder / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
