"""Images given in memory: PIL images, arrays and tensors, as PNG files."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from nst.errors import InputError
from nst.images.files import encode_png


def named_files(value: Any, path: Path, images: dict[Path, bytes]) -> Any:
    """A key's value with paths in place of its images in memory: PIL images, arrays and tensors.

    Each of them gets the name `path`, in a list or a mapping one below it, and is added to `images` as a PNG file.
    Raises InputError for an array or a tensor that is not an image.
    """
    if isinstance(value, Mapping):
        return {name: named_files(each, path / str(name), images) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [named_files(each, path / str(number), images) for number, each in enumerate(value, 1)]
    if isinstance(value, PIL.Image.Image):
        file = io.BytesIO()
        value.save(file, format="PNG")
        png = file.getvalue()
    elif isinstance(value, np.ndarray | Tensor):
        png = encode_png(to_pixels(value), {})
    else:
        return value
    images[path := path.with_suffix(".png")] = png
    return path


def to_pixels(value: "np.ndarray[Any, Any] | Tensor") -> Tensor:
    """An array or a tensor as (1, 3 or 4, H, W) in [0, 1]. Raises InputError for anything but an image."""
    pixels = torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value.detach().cpu()
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if isinstance(value, np.ndarray):
        pixels = pixels[..., None].expand(*pixels.shape, 3) if pixels.ndim == 2 else pixels
        pixels = pixels.movedim(-1, 0)
    shape = "×".join(map(str, value.shape))
    if pixels.ndim != 3 or len(pixels) not in (3, 4) or not pixels.numel():
        raise InputError(f"an image of shape {shape}: expected an array (H, W, 3 or 4) or a tensor (3 or 4, H, W)")
    if pixels.dtype == torch.uint8:
        pixels = pixels / 255
    if not pixels.is_floating_point() or not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise InputError(f"an image of shape {shape}, {value.dtype}: expected uint8, or floating point in [0, 1]")
    return pixels[None].float()
