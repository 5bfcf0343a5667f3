"""Read image files as tensors, and encode tensors as image files."""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from nst.errors import InputError
from nst.files import refuse_no_file
from nst.images.written import MAX_PIXELS, TooSlow, opened

LARGEST_FILE = 2 * 2**30
"""Bytes of an image file: 178 million pixels of 16 bits a channel have little more than half of it."""
WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffix → format, of the files that a result is written to."""
HEIC = (".heic", ".heif", ".hif")
"""Suffixes of a phone's pictures, which Pillow cannot read alone."""
LARGEST_PROFILE = 8 * 2**20
"""Bytes of a color profile. Those of printers have about two million."""
LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
"""Format → the longest side that it can store, in pixels."""


def load(path: Path, size: int | None = None, background: str = "white") -> Tensor:
    """Read an image file as (1, 3, H, W), float32 sRGB in [0, 1].

    size: the longest side in pixels, aspect ratio kept; None: the file's own size. background: the color behind
    transparent pixels, a name or #rrggbb. EXIF orientation is applied, embedded color profiles are converted, and an
    animation gives its first frame. Raises InputError for a missing, damaged or too large file, and for an unknown
    color.
    """
    image = _read_srgb(path, background)
    return _to_tensor(image.resize(_fitted(image.size, size), Image.Resampling.LANCZOS))


def load_opacity(path: Path, size: int | None = None) -> Tensor | None:
    """The alpha channel of an image file, (1, 1, H, W) in [0, 1], scaled as by `load`; None without transparency."""
    with _quiet_open(path) as image:
        if not image.has_transparency_data:
            return None
        opacity = ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")
    resized = opacity.resize(_fitted(opacity.size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(resized))[None, None].float() / 255


def load_cover(path: Path, height: int, width: int, background: str = "white") -> Tensor:
    """Read an image file as (1, 3, height, width): scaled until it covers that size, then cropped at the center.

    Otherwise as `load`.
    """
    return _to_tensor(ImageOps.fit(_read_srgb(path, background), (width, height), Image.Resampling.LANCZOS))


def load_crop(path: Path, side: int, scale: float, top: float, left: float) -> Tensor:
    """A square crop of an image file, resized to (3, side, side), uint8; otherwise as `load`.

    scale, top, left: in [0, 1]. The crop's side goes from `side` pixels (scale 0) to the shorter side of the image (1);
    its position goes from the top left corner (0) to the bottom right corner (1).
    """
    image = _read_srgb(path, "white")
    shorter = min(image.size)
    span = min(side + scale * (shorter - side), shorter)
    x, y = left * (image.width - span), top * (image.height - span)
    crop = image.resize((side, side), Image.Resampling.LANCZOS, box=(x, y, x + span, y + span))
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1)


def is_image(path: Path) -> bool:
    """Whether Pillow recognizes a file as an image by its first bytes."""
    try:
        with _quiet_open(path):
            return True
    except InputError:
        return False


def png_text(path: Path, name: str) -> str | None:
    """The text chunk `name` of a PNG file; None if there is none, or if the file is not a valid PNG file."""
    try:
        with _quiet_open(path, ("PNG",)) as image:  # nst writes its text before the pixels
            text = image.info.get(name)
    except InputError:
        return None
    return text if isinstance(text, str) else None


def encode_png(image: Tensor, text: Mapping[str, str]) -> bytes:
    """Encode an image (1, 3 or 4, H, W) in [0, 1] as a PNG file. text: name → content of its text chunks."""
    chunks = PngInfo()
    for name, value in text.items():
        chunks.add_text(name, value)
    return _encode(image, format="PNG", pnginfo=chunks)


def encode_jpeg(image: Tensor) -> bytes:
    """Encode an image (1, 3 or 4, H, W) in [0, 1] as a JPEG file of quality 90, for viewing.

    Transparency is dropped. An image too large for JPEG is scaled down.
    """
    height, width = image.shape[2:]
    if max(height, width) > LARGEST_SIDE["JPEG"]:
        scale = LARGEST_SIDE["JPEG"] / max(height, width)
        image = F.interpolate(image, [max(1, int(height * scale)), max(1, int(width * scale))], mode="area")
    return _encode(image[:, :3], format="JPEG", quality=90)


def encode_as(suffix: str, image: Tensor, text: Mapping[str, str] | None = None) -> bytes:
    """Encode an image (1, 3 or 4, H, W) in [0, 1] as a .jpg, .jpeg or .webp file (quality 95); else as PNG.

    JPEG drops transparency. text: as for `encode_png`; the other formats have none. Raises InputError if the image is
    too large for the format.
    """
    kind = WRITTEN.get(suffix.lower(), "PNG")
    if kind == "PNG":
        return encode_png(image, text or {})
    if max(image.shape[2:]) > LARGEST_SIDE.get(kind, math.inf):
        raise InputError(f"{kind} files have at most {LARGEST_SIDE[kind]} pixels a side; take PNG, or a smaller size")
    return _encode(image[:, :3] if kind == "JPEG" else image, format=kind, quality=95)


def _fitted(sides: tuple[int, int], size: int | None) -> tuple[int, int]:
    """Scale width and height to a longest side of `size` pixels; None: unchanged."""
    scale = size / max(sides) if size else 1.0
    return max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale))


@contextmanager
def _quiet_open(path: Path, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """Open an image file, with Pillow's warnings about its size and broken EXIF turned off: the one door to images.

    Raises InputError for what is no file or no image, also if that shows only inside the block.
    """
    refuse_no_file(path)
    try:
        with opened(path, formats or _formats()) as image:
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"no file '{path}'") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels; scale it down first") from None
    except UnidentifiedImageError:
        if path.suffix.lower() in HEIC and not find_spec("pillow_heif"):
            raise InputError(
                f"{path}: HEIC, a phone's format, needs pillow-heif: pip install -e '.[heic]'; or save it as JPEG"
            ) from None
        raise InputError(f"{path} is not an image that Pillow can read") from None
    except Exception as error:  # a broken file can raise anything in Pillow
        reason = error.__cause__ if isinstance(error.__cause__, TooSlow) else error
        raise InputError(f"cannot read {path}: {reason}") from None


@cache
def _formats() -> tuple[str, ...]:
    """Every format that Pillow reads, and HEIC with the extra `heic`.

    Except EPS: an EPS file is a program, which Pillow lets Ghostscript execute.
    """
    Image.init()
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in Image.OPEN if name != "EPS")


def _read_srgb(path: Path, background: str) -> Image.Image:
    try:
        color = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise InputError(f"background={background}: not a color; use a name such as white, or #rrggbb") from None
    with _quiet_open(path) as image:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: has more than {LARGEST_FILE >> 30} GiB")
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{path} is {image.width}×{image.height} pixels: more than {MAX_PIXELS // 10**6} million; "
                "scale it down first"
            )
        return _to_srgb(ImageOps.exif_transpose(image), color)


def _to_srgb(image: Image.Image, background: tuple[int, ...]) -> Image.Image:
    """8-bit sRGB, with the color `background` behind transparent pixels."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("P", "PA", "LA", "RGBA"):
        image = image.convert("RGB" if image.mode != "LA" else "L")
    rgb = None
    if profile and _can_be_applied(profile):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            rgb = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile, or one for another color model
    rgb = rgb or image.convert("RGB")  # without a profile that can be used, the pixel values are taken as sRGB
    if opacity is not None:
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, background), opacity)
    return rgb


def _can_be_applied(profile: bytes) -> bool:
    """Whether an ICC profile is small, and without formulas: some bytes can hold so many that LittleCMS never ends.

    Source: ICC.1:2022, section 7.3: after 128 bytes the number of tags, then of each its name, offset and size.
    """
    count = min(int.from_bytes(profile[128:132], "big"), len(profile) // 12)
    offsets = (int.from_bytes(profile[place : place + 4], "big") for place in range(136, 136 + 12 * count, 12))
    return len(profile) <= LARGEST_PROFILE and all(profile[offset : offset + 4] != b"mpet" for offset in offsets)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit, 32-bit or float gray to 8 bits; Pillow's own conversion clips everything above 255 to white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = max(values.max(), 65535.0)
    if image.mode == "F":  # the range of floats is unknown: [0, 1] or [0, 255] with some overshoot, else its own
        top = next((white for white in (1.0, 255.0) if values.max() <= 1.5 * white), values.max())
    return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8))


def _to_tensor(image: Image.Image) -> Tensor:
    # contiguous, as noise is, so that the same kernels run wherever an image comes from
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255).contiguous()


def _encode(image: Tensor, **options: object) -> bytes:
    pixels = image.detach()[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
