"""The image being optimised: where it starts."""

import torch
from torch import Tensor


def noise(height: int, width: int, seed: int) -> Tensor:
    """White noise (1, 3, height, width), uniform in [0, 1]: the same for the same seed on every device."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
