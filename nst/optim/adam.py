"""Adam (Kingma & Ba 2015) whose memory of an image can be resized."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.optim.base import CheckedOptimizer, ImageOptimizer


class Adam(torch.optim.Adam, ImageOptimizer):
    """torch's Adam. lr: step size, in the parameters' units. beta1, beta2: decays of the two means, in [0, 1)."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> None:
        super().__init__(parameters, lr=lr, betas=(beta1, beta2))

    def shapes(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        return _shapes(parameter)

    @torch.no_grad()
    def resized(self, old: nn.Parameter, new: nn.Parameter) -> None:
        """Go on with `new`, with the means at its size and the same count of steps.

        The mean of the squares is interpolated linearly and clamped, because it must not be negative
        (crowsonkb/style-transfer-pytorch, style_transfer.py).
        """
        state, size = self.state.get(old), new.shape[2:]
        super().resized(old, new)
        if state:

            def at_size(mean: Tensor, mode: str) -> Tensor:
                return F.interpolate(mean, size, mode=mode, align_corners=False)

            self.state[new] = state | {
                "exp_avg": at_size(state["exp_avg"], "bicubic"),
                "exp_avg_sq": at_size(state["exp_avg_sq"], "bilinear").clamp_min_(0),
            }


class AdamW(torch.optim.AdamW, CheckedOptimizer):
    """torch's AdamW (Loshchilov & Hutter 2019)."""

    def shapes(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        return _shapes(parameter)


def _shapes(parameter: Tensor) -> dict[str, tuple[int, ...]]:
    return {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
