"""The painting `waves`."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import interpolate

from tools.paint_samples.canvas import Array, comb, disc, finish, flat, grain, grid, ink, noise, ramp


def waves(rng: np.random.Generator, side: int) -> Image.Image:
    """A woodcut sea: curling crests striped with carved lines, foam fingers, a vermilion sun in an engraved sky."""
    size = 2 * side
    paper, indigo = (246, 238, 216), (14, 26, 66)
    x, y = grid(size)
    wood = grain(rng, size, 0.09, 0.0011)
    # the lines of the sky circle the sun, and are thicker where the sky is darker
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
    # a wave of unit height lies between two curves that meet at the tip: its back and its hollow face
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
            # each stripe: the water, one broad white cut, two thin ink lines
            for start, width, color in [
                (0.0, np.full_like(along, 1.05), water),
                (0.0, rng.uniform(0.3, 0.5) * taper, paper),
                (0.45, rng.uniform(0.06, 0.16) * taper, indigo),
                (0.7, rng.uniform(0.06, 0.16) * taper, indigo),
            ]:
                mixes = [(stripe + start + extent) / stripes for extent in (0 * width, width)]
                mixes = [np.clip(mix + swell * mix * (1 - mix), 0, 1) for mix in mixes]
                low, high = (outer + mix * (inner - outer) for mix in mixes)
                pen.polygon(flat(np.concatenate([low, high[::-1]]), size), fill=color)
        for curve in (outer, inner):
            pen.line(flat(curve, size), indigo, max(1, round(0.0035 * size)), "curve")
        foam = []
        for spot in rng.integers(36, 88, round(60 + 500 * scale)):
            heading = outer[spot + 1] - outer[spot]
            angle = np.arctan2(heading[1], heading[0]) + rng.normal(-0.1, 0.7)
            radius = rng.uniform(0.02, 0.07) * min(scale, 0.2) ** 0.9
            foam.append(finger(outer[spot] + rng.normal(0, 0.035 * scale, 2), angle, radius, rng.normal(0.17, 0.05)))
        for drops in sorted(foam, key=lambda drops: -drops[0][1]):
            for outline, color in ((0.0016, indigo), (0.0, paper)):
                for place, radius in drops:
                    disc(pen, size, place, radius + outline, color)
        spray = outer[rng.integers(40, 90, round(250 * scale))]
        for place in spray + scale * rng.normal((0.05, -0.1), 0.15, spray.shape):
            disc(pen, size, place, rng.uniform(0.0012, 0.0035), paper)
    return finish(np.asarray(canvas) + 5.0 * wood[..., None], side)
