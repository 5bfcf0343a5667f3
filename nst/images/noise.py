"""White noise as a starting image."""

import torch
from torch import Tensor


def noise(height: int, width: int, seed: int) -> Tensor:
    """White noise (1, 3, height, width), uniform in [0, 1), on the CPU; the same seed gives the same noise."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
