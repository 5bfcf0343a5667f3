"""Image files to tensors and back."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from nst.errors import InputError

MAX_PIXELS = 200_000_000
"""A larger image (14,000 pixels square) is refused before it is decoded: it would take over 10 GB as it is read."""


LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
"""Pixels a side that a format can hold."""


def load(path: Path, size: int | None = None, alpha: str = "white") -> Tensor:
    """Read an image file as (1, 3, H, W), float32 sRGB in [0, 1], longest side `size` pixels, aspect ratio kept.

    Without a size it keeps its own. Orientation follows EXIF, embedded colour profiles are converted, transparency is
    laid on the colour `alpha` (a name or #rrggbb), an animation gives its first frame. Raises InputError for what is
    not a whole image.
    """
    image = _open(path, alpha)
    return _to_tensor(image.resize(_fitted(image.size, size), Image.Resampling.LANCZOS))


def load_opacity(path: Path, size: int | None = None) -> Tensor | None:
    """How opaque an image file is, (1, 1, H, W) in [0, 1], scaled as by `load`; None if it has no transparency."""
    with _quietly(path) as image:
        if not image.has_transparency_data:
            return None
        opacity = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    resized = opacity.resize(_fitted(opacity.size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(resized))[None, None].float() / 255


def load_cover(path: Path, height: int, width: int, alpha: str = "white") -> Tensor:
    """Read an image file as (1, 3, height, width), scaled to cover that and cropped at the centre; else as `load`."""
    return _to_tensor(ImageOps.fit(_open(path, alpha), (width, height), Image.Resampling.LANCZOS))


def load_crop(path: Path, side: int, scale: float, top: float, left: float) -> Tensor:
    """A square part of an image file as (3, side, side), uint8; else as `load`.

    scale, top, left: in [0, 1]. The part is from `side` pixels (0) to as many as the image's shorter side has (1), and
    lies from the top left (0) to the bottom right (1).
    """
    image = _open(path, "white")
    shorter = min(image.size)
    span = min(side + scale * (shorter - side), shorter)
    x, y = left * (image.width - span), top * (image.height - span)
    part = image.resize((side, side), Image.Resampling.LANCZOS, box=(x, y, x + span, y + span))
    return torch.from_numpy(np.array(part)).permute(2, 0, 1)


def is_image(path: Path) -> bool:
    """Whether Pillow knows a file for an image by its first bytes."""
    try:
        with _quietly(path):
            return True
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def png_text(path: Path, name: str) -> str | None:
    """A text chunk of a PNG file; None if it has none of that name, or is no whole PNG file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=["PNG"]) as image:  # what nst writes comes before the pixels
                text = image.info.get(name)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return text if isinstance(text, str) else None


def encode_png(image: Tensor, text: Mapping[str, str]) -> bytes:
    """A (1, 3 or 4, H, W) image in [0, 1] as the bytes of a PNG file, with `text` in its text chunks."""
    chunks = PngInfo()
    for name, value in text.items():
        chunks.add_text(name, value)
    return _encode(image, format="PNG", pnginfo=chunks)


def encode_jpeg(image: Tensor) -> bytes:
    """A (1, 3 or 4, H, W) image in [0, 1] as the bytes of a JPEG file of quality 90, to be looked at.

    Without its transparency, and scaled down to what a JPEG can hold.
    """
    height, width = image.shape[2:]
    if max(height, width) > LARGEST_SIDE["JPEG"]:
        scale = LARGEST_SIDE["JPEG"] / max(height, width)
        image = F.interpolate(image, [max(1, int(height * scale)), max(1, int(width * scale))], mode="area")
    return _encode(image[:, :3], format="JPEG", quality=90)


def encode_as(suffix: str, image: Tensor) -> bytes:
    """A (1, 3 or 4, H, W) image in [0, 1] as the bytes of a .png, .jpg, .jpeg or .webp file.

    Raises InputError if the format cannot hold so many pixels.
    """
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(suffix.lower(), "PNG")
    if max(image.shape[2:]) > LARGEST_SIDE.get(kind, math.inf):
        raise InputError(f"a {kind} has sides of {LARGEST_SIDE[kind]} pixels at most; take PNG, or a smaller size")
    return _encode(image[:, :3] if kind == "JPEG" else image, format=kind, **({} if kind == "PNG" else {"quality": 95}))


def _fitted(sides: tuple[int, int], size: int | None) -> tuple[int, int]:
    """Width and height with a longest side of `size` pixels, or as they are."""
    scale = size / max(sides) if size else 1.0
    return max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale))


@contextmanager
def _quietly(path: Path) -> Iterator[Image.Image]:
    """An image file, open, without Pillow's own warnings of size and of broken EXIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_formats()) as image:
            yield image


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow reads by itself: for EPS it has Ghostscript run the program that such a file is."""
    Image.init()
    return tuple(name for name in Image.OPEN if name != "EPS")


def _open(path: Path, alpha: str) -> Image.Image:
    try:
        backdrop = ImageColor.getrgb(alpha)[:3]
    except ValueError:
        raise InputError(f"alpha={alpha}: not a colour; use a name such as white, or #rrggbb") from None
    try:
        with _quietly(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{path} is {image.width}×{image.height} pixels: more than {MAX_PIXELS // 10**6} million; "
                    "scale it down first"
                )
            return _to_srgb(ImageOps.exif_transpose(image), backdrop)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"no file '{path}'") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels; scale it down first") from None
    except UnidentifiedImageError:
        raise InputError(f"{path} is not an image that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError, MemoryError) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _to_srgb(image: Image.Image, backdrop: tuple[int, ...]) -> Image.Image:
    """RGB of 8 bits in sRGB, with transparency laid on `backdrop`."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("P", "PA", "LA", "RGBA"):
        image = image.convert("RGB" if image.mode != "LA" else "L")
    rgb = None
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            rgb = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile, or one for another colour model: the numbers are the best there is
    rgb = rgb or image.convert("RGB")
    if opacity is not None:
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, backdrop), opacity)
    return rgb


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or of floats, as 8 bits; Pillow's own conversion clips to white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = max(values.max(), 65535.0)
    if image.mode == "F":  # a float says nothing of its range: [0, 1] or [0, 255], with some overshoot, or its own
        top = next((usual for usual in (1.0, 255.0) if values.max() <= 1.5 * usual), values.max())
    return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8))


def _to_tensor(image: Image.Image) -> Tensor:
    # contiguous: L-BFGS flattens its parameter with view(-1)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255).contiguous()


def _encode(image: Tensor, **options: object) -> bytes:
    pixels = image.detach()[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
