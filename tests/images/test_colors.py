"""Colors of the content, kept or matched."""

import pytest
import torch
from torch import Tensor

from nst.images.colors import matched_to, to_lab, to_rgb, with_colors_of


def image(seed: int, mean: float, spread: float) -> Tensor:
    """Correlated colors, (1, 3, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(3) + 0.5 * torch.rand(3, 3, generator=generator)
    colors = torch.einsum("ij,bjhw->bihw", mixing, torch.rand(1, 3, 16, 16, generator=generator) - 0.5)
    return (mean + spread * colors).clamp(0, 1)


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    pixels = image[0].flatten(1)
    return pixels.mean(1), torch.cov(pixels)


def test_matched_colors_have_the_content_s_mean_and_covariance() -> None:
    style, content = image(0, 0.5, 0.3), image(1, 0.4, 0.2)
    matched = matched_to(style, [content])
    assert matched.min() > 0  # nothing was cut off, which would change the moments
    assert matched.max() < 1
    torch.testing.assert_close(moments(matched), moments(content), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(matched_to(content, [content]), content, rtol=1e-3, atol=1e-4)
    # Monge's map is symmetric: of two channels that are independent in both images, each only moves by itself
    gray = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2)).expand(1, 3, 8, 8)
    assert matched_to(gray, [gray * 0.5 + 0.2]).isfinite().all()


def test_lab_is_that_of_the_standard_and_can_be_undone() -> None:
    colors = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 1], [0.2, 0.5, 0.1]]).T[None, :, None]
    lab = 100 * to_lab(colors)[0, :, 0].T
    # CIE L*a*b* of sRGB red, black and white (D65)
    expected = torch.tensor([[53.24, 80.09, 67.20], [0, 0, 0], [100, 0, 0]])
    torch.testing.assert_close(lab[:3], expected, atol=0.05, rtol=0)
    torch.testing.assert_close(to_rgb(to_lab(colors)), colors, atol=1e-4, rtol=0)
    style, content = image(0, 0.5, 0.3), image(1, 0.4, 0.2)
    matched = matched_to(style, [content], "lab")
    torch.testing.assert_close(moments(to_lab(matched)), moments(to_lab(content)), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("shade", [0.2, 0.8])
def test_the_content_s_hues_stay_and_the_brightness_is_the_picture_s(shade: float) -> None:
    content = torch.tensor([0.5, 0.4, 0.3])[None, :, None, None]
    kept = with_colors_of(torch.full((1, 3, 1, 1), shade), content)
    luma = torch.tensor([0.299, 0.587, 0.114])
    assert float(kept[0, :, 0, 0] @ luma) == pytest.approx(shade, abs=1e-5)
    torch.testing.assert_close(kept[0, 0] - kept[0, 2], content[0, 0] - content[0, 2])
