"""What the optimizer of an image can do besides taking steps."""

from torch import nn
from torch.optim import Optimizer


class ImageOptimizer(Optimizer):
    """An optimizer that goes on when the image changes its size, or the loss becomes another function of it."""

    def resized(self, old: nn.Parameter, new: nn.Parameter) -> None:
        """Go on with the image `new`, which was `old` (1, C, H, W) at another size: by default start anew."""
        self.state.pop(old, None)
        for group in self.param_groups:
            group["params"] = [new if each is old else each for each in group["params"]]

    def renewed(self) -> None:
        """Forget what holds for the former loss alone: by default nothing."""
