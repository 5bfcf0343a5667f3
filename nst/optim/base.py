"""What our optimizers can do besides taking steps."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from nst.errors import InputError


class CheckedOptimizer(Optimizer):
    """An optimizer that refuses a state that is not one of its own: a checkpoint may be a stranger's."""

    def shapes(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        """Name → shape of each tensor that it keeps of a parameter; -1: any length."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned, but for options such as `lr`, which stay as they are.

        Raises InputError for tensors that are not those of this optimizer.
        """
        super().load_state_dict(dict(state_dict) | {"param_groups": self.state_dict()["param_groups"]})
        for parameter, held in self.state.items():
            expected = self.shapes(parameter)
            if set(held) != set(expected) or not all(_fits(held[name], shape) for name, shape in expected.items()):
                raise InputError(f"the optimizer's state is not one of {type(self).__name__}")


class ImageOptimizer(CheckedOptimizer):
    """An optimizer that goes on when the image changes its size, or the loss becomes another function of it."""

    def resized(self, old: nn.Parameter, new: nn.Parameter) -> None:
        """Go on with the image `new`, which was `old` (1, C, H, W) at another size: by default start anew."""
        self.state.pop(old, None)
        for group in self.param_groups:
            group["params"] = [new if each is old else each for each in group["params"]]

    def renewed(self) -> None:
        """Forget what holds for the former loss alone: by default nothing."""


def _fits(tensor: Any, shape: tuple[int, ...]) -> bool:
    return (
        isinstance(tensor, Tensor)
        and tensor.ndim == len(shape)
        and all(length in (-1, own) for length, own in zip(shape, tensor.shape, strict=True))
    )
