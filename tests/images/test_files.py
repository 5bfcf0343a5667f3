"""Every image that Pillow reads is loaded as upright, opaque sRGB in [0, 1]; other files are refused in one line."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from nst.errors import InputError
from nst.images import files, written
from tests.conftest import pixels

RED = (255, 0, 0)


def color(path: Path, y: int = 0, x: int = 0, background: str = "white") -> list[int]:
    return [round(value) for value in (files.load(path, background=background)[0, :, y, x] * 255).tolist()]


def test_size_is_the_longest_side_and_the_aspect_ratio_stays(photo: Path) -> None:
    assert files.load(photo, 32).shape == (1, 3, 24, 32)
    assert files.load(photo, 128).shape == (1, 3, 96, 128)
    assert files.load(photo).is_contiguous()


def test_cover_crops_the_center(photo: Path) -> None:
    covered = files.load_cover(photo, 40, 40)
    assert covered.shape == (1, 3, 40, 40)
    assert covered[0, 0, 20, 20] > 0.8  # the red disc
    assert covered[0, 2, 20, 20] < 0.2


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2), "blue")
    image.paste(RED, (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # display rotated clockwise by 90°
    image.save(tmp_path / "turned.png", exif=exif)
    assert files.load(tmp_path / "turned.png").shape == (1, 3, 4, 2)
    assert color(tmp_path / "turned.png") == [255, 0, 0]
    assert color(tmp_path / "turned.png", y=3) == [0, 0, 255]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.tif" if mode in ("CMYK", "YCbCr") else "image.png")
    Image.new("RGB", (5, 4), "white").convert(mode).save(path)
    image = files.load(path)
    assert image.shape == (1, 3, 4, 5)
    assert image.min() > 0.98


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 16384, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = torch.tensor([0, 0.25, 0.5, 1]).expand(3, 4)
    torch.testing.assert_close(files.load(tmp_path / "deep.png")[0, :, 0], expected, atol=3e-3, rtol=0)


def test_transparent_pixels_are_white_or_of_the_given_color(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")  # a hidden red
    assert color(tmp_path / "clear.png") == [255, 255, 255]
    assert color(tmp_path / "clear.png", background="#0000ff") == [0, 0, 255]
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert color(tmp_path / "palette.png") == [255, 255, 255]
    chunk = PngImagePlugin.PngInfo()
    Image.new("RGB", (2, 2), RED).save(tmp_path / "keyed.png", transparency=RED, pnginfo=chunk)
    assert color(tmp_path / "keyed.png") == [255, 255, 255]


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = PROFILE.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
"""With the red and blue primaries swapped."""


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "srgb.png", icc_profile=PROFILE)
    assert color(tmp_path / "srgb.png") == pytest.approx([200, 100, 50], abs=1)
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "swapped.png", icc_profile=SWAPPED)
    assert color(tmp_path / "swapped.png") == pytest.approx([50, 100, 200], abs=2)


@pytest.mark.parametrize("kind", ["formulas", "large"])
def test_a_profile_that_could_take_for_ever_is_ignored(kind: str, tmp_path: Path) -> None:
    for name, changed, seen in (
        ("good", SWAPPED + b"mpet" + bytes(2**20), [50, 100, 200]),
        ("it", SWAPPED.replace(b"mluc", b"mpet") if kind == "formulas" else SWAPPED + bytes(9 * 2**20), [200, 100, 50]),
    ):
        Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / f"{name}.tiff", icc_profile=changed)
        assert color(tmp_path / f"{name}.tiff") == pytest.approx(seen, abs=2)


def test_a_damaged_profile_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "bad.png", icc_profile=b"not a profile")
    assert color(tmp_path / "bad.png") == [200, 100, 50]


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (4, 4), name) for name in ("red", "blue")]
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:])
    assert color(tmp_path / "moving.gif") == pytest.approx([255, 0, 0], abs=2)


def test_missing_empty_wrong_and_truncated_files_are_refused(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image")
    buffer = io.BytesIO()
    Image.fromarray(pixels(photo)).save(buffer, format="JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:-200])
    for name in ("missing.png", "empty.png", "text.png", "cut.jpg"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")) as error:
            files.load(tmp_path / name, 64)
        assert "\n" not in str(error.value)


def test_a_too_large_image_is_refused_before_it_is_decoded(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="64×48 pixels"):
        files.load(photo, 32)


def test_an_image_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG file that repeats its last scan: one of a megabyte can take hours."""
    buffer = io.BytesIO()
    Image.new("L", (300, 300), 255).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "slow.jpg").write_bytes(data[:-2] + scan * (200_000 // len(scan)) + data[-2:])
    now = 0.0
    read = written.Timed.read

    def slow(file: written.Timed, size: int | None = -1) -> bytes:
        nonlocal now
        part = read(file, size)
        now += 100.0 if len(part) > 10_000 else 0.0  # decoding it takes so long
        return part

    monkeypatch.setattr(written.Timed, "read", slow)
    monkeypatch.setattr(written, "time", SimpleNamespace(monotonic=lambda: now))
    with pytest.raises(InputError, match=r"cannot read .*slow\.jpg: it takes more than 120 s"):
        files.load(tmp_path / "slow.jpg", 32)
    shown = written.read_written(tmp_path / "slow.jpg", 32)
    assert shown.getpixel((9, 9)) == (128, 128, 128)  # gray, as are others that cannot be read


def test_png_keeps_every_pixel_and_the_text(photo: Path) -> None:
    image = files.load(photo)
    png = Image.open(io.BytesIO(files.encode_png(image, {"nst": "what × it was"})))
    assert np.array_equal(np.asarray(png), pixels(photo))
    assert getattr(png, "text", {}) == {"nst": "what × it was"}


def test_an_unknown_background_is_refused(photo: Path) -> None:
    with pytest.raises(InputError, match="background=whit: not a color"):
        files.load(photo, background="whit")
