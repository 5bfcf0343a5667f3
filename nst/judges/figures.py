"""Figures of a picture's pixels, which need no network."""

from collections.abc import Sequence

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from nst.images.colors import luma

SMALLEST = 11
"""Pixels a side: the window of the structural similarity."""
HIGH = 0.25
"""Cycles a pixel above which detail counts as noise: a quarter of the sampling rate, half of what pixels can show."""


def structure(picture: Tensor, content: Tensor) -> float:
    """Structural similarity of the luma of two images (1, 3, H, W), with the constants of Wang et al. 2004; 1: equal.

    Both sides have at least `SMALLEST` pixels.
    """
    gray, wanted = (luma(image.double())[0, 0].cpu().numpy() for image in (picture, content))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(gray, wanted, data_range=1.0, **options))  # type: ignore[no-untyped-call]


def noise(picture: Tensor, styles: Sequence[Tensor]) -> float:
    """How rough a picture is: its `high_share` divided by the styles' mean. 1: as rough as the painting.

    All are images (1, 3, H, W) in [0, 1], the styles at the picture's size.
    """
    return high_share(picture) / max(sum(map(high_share, styles)) / len(styles), 1e-12)


def high_share(image: Tensor) -> float:
    """The share of the energy of an image's luma, without its mean, at frequencies above HIGH; in [0, 1].

    image: (1, 3, H, W) in [0, 1]. A Hann window keeps the jump from one border to the opposite one out of the spectrum.
    """
    gray = luma(image.double())[0, 0]
    rows, columns = (torch.hann_window(side, periodic=False, dtype=gray.dtype) for side in gray.shape)
    window = rows[:, None] * columns
    gray = (gray - (window * gray).sum() / window.sum()) * window
    energy = torch.fft.fft2(gray).abs().square()
    down, across = (torch.fft.fftfreq(side, dtype=gray.dtype) for side in gray.shape)
    high = down[:, None].square() + across.square() > HIGH**2
    return float(energy[high].sum() / energy.sum().clamp_min(1e-12))
