"""Whatever Pillow reads comes in as sRGB in [0, 1], upright and opaque; what is no image is refused in one line."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, PngImagePlugin

from nst import imagefile
from nst.errors import InputError
from tests.conftest import pixels

RED = (255, 0, 0)


def colour(path: Path, y: int = 0, x: int = 0, alpha: str = "white") -> list[int]:
    return [round(value) for value in (imagefile.load(path, alpha=alpha)[0, :, y, x] * 255).tolist()]


def test_size_is_the_longest_side_and_the_aspect_ratio_stays(photo: Path) -> None:
    assert imagefile.load(photo, 32).shape == (1, 3, 24, 32)
    assert imagefile.load(photo, 128).shape == (1, 3, 96, 128)
    assert imagefile.load(photo).is_contiguous()


def test_cover_crops_the_centre(photo: Path) -> None:
    covered = imagefile.load_cover(photo, 40, 40)
    assert covered.shape == (1, 3, 40, 40)
    assert covered[0, 0, 20, 20] > 0.8  # the red disc
    assert covered[0, 2, 20, 20] < 0.2


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2), "blue")
    image.paste(RED, (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90°
    image.save(tmp_path / "turned.png", exif=exif)
    assert imagefile.load(tmp_path / "turned.png").shape == (1, 3, 4, 2)
    assert colour(tmp_path / "turned.png") == [255, 0, 0]
    assert colour(tmp_path / "turned.png", y=3) == [0, 0, 255]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.tif" if mode in ("CMYK", "YCbCr") else "image.png")
    Image.new("RGB", (5, 4), "white").convert(mode).save(path)
    image = imagefile.load(path)
    assert image.shape == (1, 3, 4, 5)
    assert image.min() > 0.98


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 16384, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = torch.tensor([0, 0.25, 0.5, 1]).expand(3, 4)
    torch.testing.assert_close(imagefile.load(tmp_path / "deep.png")[0, :, 0], expected, atol=3e-3, rtol=0)


def test_alpha_is_laid_on_white_or_on_the_colour_given(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")  # a hidden red
    assert colour(tmp_path / "clear.png") == [255, 255, 255]
    assert colour(tmp_path / "clear.png", alpha="#0000ff") == [0, 0, 255]
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert colour(tmp_path / "palette.png") == [255, 255, 255]
    chunk = PngImagePlugin.PngInfo()
    Image.new("RGB", (2, 2), RED).save(tmp_path / "keyed.png", transparency=RED, pnginfo=chunk)
    assert colour(tmp_path / "keyed.png") == [255, 255, 255]


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "srgb.png", icc_profile=profile)
    assert colour(tmp_path / "srgb.png") == pytest.approx([200, 100, 50], abs=1)
    # the same with its red and blue primaries exchanged
    exchanged = profile.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "exchanged.png", icc_profile=exchanged)
    assert colour(tmp_path / "exchanged.png") == pytest.approx([50, 100, 200], abs=2)


def test_a_damaged_profile_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "bad.png", icc_profile=b"not a profile")
    assert colour(tmp_path / "bad.png") == [200, 100, 50]


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), name) for name in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert colour(tmp_path / "moving.gif") == pytest.approx([255, 0, 0], abs=2)


def test_missing_empty_foreign_and_truncated_files_are_refused(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image")
    buffer = io.BytesIO()
    Image.fromarray(pixels(photo)).save(buffer, format="JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:-200])
    for name in ("missing.png", "empty.png", "text.png", "cut.jpg"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")) as error:
            imagefile.load(tmp_path / name, 64)
        assert "\n" not in str(error.value)


def test_an_absurdly_large_image_is_refused_before_it_is_decoded(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagefile, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="64×48 pixels"):
        imagefile.load(photo, 32)


def test_png_keeps_every_pixel_and_the_text(photo: Path) -> None:
    image = imagefile.load(photo)
    png = Image.open(io.BytesIO(imagefile.encode_png(image, {"nst": "what × it was"})))
    assert np.array_equal(np.asarray(png), pixels(photo))
    assert getattr(png, "text", {}) == {"nst": "what × it was"}
