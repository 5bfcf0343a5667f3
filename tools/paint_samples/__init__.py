"""Draws the five style paintings that are bundled with nst (nst/images/samples). Needs scipy.

Every painting starts from a fixed seed. It is drawn at twice its size and then shrunk, which smooths its edges.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from tools.paint_samples.facets import facets
from tools.paint_samples.mosaic import mosaic
from tools.paint_samples.swirl import swirl
from tools.paint_samples.tessellation import tessellation
from tools.paint_samples.waves import waves

SIDE = 640
"""Pixels a side of a bundled painting."""
SEED = 7
PAINTINGS: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    "swirl": swirl,
    "facets": facets,
    "waves": waves,
    "tessellation": tessellation,
    "mosaic": mosaic,
}
"""Name → function of a random generator and a side in pixels."""
