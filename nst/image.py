"""Images as tensors: where an optimised one starts, and whose colours it has."""

import torch
from torch import Tensor


def noise(height: int, width: int, seed: int) -> Tensor:
    """White noise (1, 3, height, width), uniform in [0, 1]: the same for the same seed on every device."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def with_colours_of(painted: Tensor, content: Tensor) -> Tensor:
    """The brightness of one image with the colours of another, both (B, 3, H, W) in [0, 1].

    Luma of the painted image, chroma of the content: Gatys et al. 2016, "Preserving Color in Neural Artistic Style
    Transfer", section 3, with the coefficients of ITU-R BT.601.
    """
    luma = content.new_tensor((0.299, 0.587, 0.114))[:, None, None]
    return (content + (luma * (painted - content)).sum(1, keepdim=True)).clamp(0, 1)
