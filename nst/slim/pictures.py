"""Pictures side by side and one below the other, for the sheet of mode=fidelity."""

import io
from collections.abc import Iterable, Mapping

from PIL import Image
from torch import Tensor

from nst.images.files import encode_png
from nst.report.sheet import block, stacked


def side_by_side(pictures: Mapping[str, Tensor]) -> Image.Image:
    """Images (1, 3, H, W) in [0, 1] in one row, in full size, each with its name above it."""
    opened = {name: Image.open(io.BytesIO(encode_png(picture, {}))) for name, picture in pictures.items()}
    return block([list(opened.items())], max(picture.width for picture in opened.values()))


def stack(strips: Iterable[bytes]) -> Image.Image:
    """Encoded images, one below the other."""
    return stacked([Image.open(io.BytesIO(strip)) for strip in strips])
