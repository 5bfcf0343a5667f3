"""Colors: keep those of a content, or move those of a style to it."""

from collections.abc import Sequence

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""The luma coefficients of red, green and blue (ITU-R BT.601)."""
ROUNDING = 255.0**-2
"""Variance of a style's colors below which it is not blown up: that of rounding to 8 bits, as in a gray drawing."""


def luma(image: Tensor) -> Tensor:
    """The luma (B, 1, H, W) of RGB (B, 3, H, W), in its range."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def with_colors_of(painted: Tensor, content: Tensor) -> Tensor:
    """The luma of `painted` with the chroma of `content`; all images are (B, 3, H, W), RGB in [0, 1].

    Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", section 3.
    """
    return (content + luma(painted - content)).clamp(0, 1)


def matched_to(style: Tensor, contents: Sequence[Tensor], space: str = "rgb") -> Tensor:
    """A style image with the mean and the covariance of the contents' colors; all are (1, 3, H, W), RGB in [0, 1].

    Gatys et al. 2017, "Controlling Perceptual Factors", section 5, x' = M (x - mean) + mean', with the symmetric M: of
    all linear maps it moves the colors least (Monge's map of two Gaussians). space: "rgb", or "lab", CIE L*a*b*. The
    result is cut to [0, 1]: there its covariance can be smaller.
    """
    of_style, *others = (to_lab(each) if space == "lab" else each for each in (style, *contents))
    (mean, covariance), (wanted_mean, wanted) = _moments([of_style]), _moments(others)
    root, inverse = _power(covariance, 0.5, ROUNDING), _power(covariance, -0.5, ROUNDING)
    matrix = inverse @ _power(root @ wanted @ root, 0.5, 0.0) @ inverse
    pixels = of_style[0].flatten(1).double()
    moved = (matrix @ (pixels - mean) + wanted_mean).view_as(of_style[0])[None].to(style.dtype)
    return (to_rgb(moved) if space == "lab" else moved).clamp(0, 1)


def _moments(images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3) of the colors of all images (1, 3, H, W) together, in float64."""
    pixels = torch.cat([image[0].flatten(1) for image in images], dim=1).double()
    return pixels.mean(1, keepdim=True), torch.cov(pixels)


def _power(matrix: Tensor, power: float, least: float) -> Tensor:
    """A power of a symmetric matrix (3, 3), whose eigenvalues are first raised to at least `least`."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(least).pow(power)) @ vectors.T


XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
"""From linear sRGB to CIE XYZ (IEC 61966-2-1)."""
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of the white point D65."""


def to_lab(image: Tensor) -> Tensor:
    """sRGB (1, 3, H, W) as CIE L*a*b*, divided by 100."""
    linear = torch.where(image > 0.04045, ((image + 0.055) / 1.055).clamp_min(0) ** 2.4, image / 12.92)
    xyz = torch.einsum("ij,bjhw->bihw", image.new_tensor(XYZ), linear) / image.new_tensor(WHITE)[:, None, None]
    x, y, z = torch.where(xyz > 216 / 24389, xyz.clamp_min(0) ** (1 / 3), (24389 / 27 * xyz + 16) / 116).unbind(1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], dim=1)


def to_rgb(image: Tensor) -> Tensor:
    """CIE L*a*b*, divided by 100, as sRGB (1, 3, H, W)."""
    light, a, b = image.unbind(1)
    y = (light + 0.16) / 1.16
    roots = torch.stack([y + a / 5, y, y - b / 2], dim=1)
    xyz = torch.where(roots**3 > 216 / 24389, roots**3, (116 * roots - 16) * 27 / 24389)
    xyz = xyz * image.new_tensor(WHITE)[:, None, None]
    linear = torch.einsum("ij,bjhw->bihw", image.new_tensor(XYZ).inverse(), xyz)
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear)
