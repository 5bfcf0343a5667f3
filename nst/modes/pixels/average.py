"""The average of an image over the steps."""

from typing import Any

import torch
from torch import Tensor

from nst.errors import InputError


class Average:
    """Exponential moving average of an image, corrected for its start at zero (Kingma & Ba 2015, section 3).

    decay: of an image's weight with each further step, in [0, 1); 0: the average is the last image, nothing is kept.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._state: dict[str, Tensor] = {}

    def restart(self, image: Tensor) -> None:
        """Forget all images so far; the next ones have the size of `image`."""
        self._state = {"sum": torch.zeros_like(image), "weight": image.new_zeros(())} if self._decay else {}

    def add(self, image: Tensor) -> None:
        """Take in one more image. In place, and without synchronizing the device: a CUDA graph may contain it."""
        for name, value in self._state.items():
            # the sum of the weights is the same average of a constant 1
            value.mul_(self._decay).add_(image if name == "sum" else 1.0, alpha=1 - self._decay)

    def value(self, image: Tensor) -> Tensor:
        """The average, or `image`, the last one, while there is none."""
        if not self._state:
            return image
        weight = self._state["weight"]
        return torch.where(weight > 0, self._state["sum"] / weight, image)

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {name: value.clone() for name, value in self._state.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned. Raises InputError if that is of an image of another size."""
        for name, value in self._state.items():
            if state[name].shape != value.shape:
                raise InputError("its average is of another size")
            value.copy_(state[name])
