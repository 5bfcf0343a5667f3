"""Masks of the bundled photographs, drawn by hand: where the astronaut is, and the cup, the saucer and the table."""

from collections.abc import Callable

from PIL import Image, ImageDraw

SMOOTH = 4
"""Masks are drawn so many times larger."""
SUIT = (
    *((20, 512), (22, 420), (28, 330), (50, 280), (85, 245), (118, 232), (113, 195), (125, 160), (155, 150)),
    *((182, 148), (178, 125), (160, 110), (155, 80), (165, 50), (190, 22), (225, 15), (265, 20), (290, 45)),
    *((300, 80), (295, 115), (275, 130), (268, 150), (258, 172), (285, 185), (302, 215), (303, 245), (330, 255)),
    *((350, 285), (358, 330), (362, 350), (400, 345), (445, 355), (475, 385), (497, 440), (505, 470), (512, 490)),
    (512, 512),
)
"""Outline of the astronaut with her helmet, in pixels of 512 × 512."""
SAUCER, CUP = (77, 58, 480, 387), (172, 16, 410, 206)
"""Ellipses (left, top, right, bottom) in pixels of 600 × 400; the cup's belly hangs from its rim."""
BELLY = ((173, 115), (183, 205), (205, 250), (200, 295), (225, 303), (255, 275), (320, 275), (370, 240), (409, 115))


def astronaut_mask() -> Image.Image:
    """White where the astronaut is."""
    return _drawn((512, 512), lambda draw: draw.polygon(_large(SUIT), fill=255))


def coffee_mask() -> Image.Image:
    """White where cup and saucer are."""
    return _drawn((600, 400), lambda draw: _coffee(draw, 255, 255))


def coffee_parts() -> Image.Image:
    """Red where the cup is, blue where the saucer is, black where the table is; no other colors, so no soft edges."""
    image = Image.new("RGB", (600, 400))
    _coffee(ImageDraw.Draw(image), "red", "blue", smooth=1)
    return image


MASKS = {"astronaut_mask": astronaut_mask, "coffee_mask": coffee_mask, "coffee_parts": coffee_parts}


def _coffee(draw: ImageDraw.ImageDraw, cup: int | str, saucer: int | str, smooth: int = SMOOTH) -> None:
    draw.ellipse([smooth * each for each in SAUCER], fill=saucer)
    draw.polygon(_large(BELLY, smooth), fill=cup)
    draw.ellipse([smooth * each for each in CUP], fill=cup)


def _large(points: tuple[tuple[int, int], ...], smooth: int = SMOOTH) -> list[tuple[int, int]]:
    return [(smooth * x, smooth * y) for x, y in points]


def _drawn(size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """What `draw` draws, SMOOTH times larger, on black; gray, in `size`."""
    image = Image.new("L", (SMOOTH * size[0], SMOOTH * size[1]))
    draw(ImageDraw.Draw(image))
    return image.reduce(SMOOTH)
