"""What a content loss is: a target made of the content's features, parts that add up over strips, and a distance."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nst.registry import Registry


class ContentLoss(ABC):
    """Compares the features of one layer with those of the content, position by position."""

    @abstractmethod
    def target(self, features: Tensor) -> Any:
        """What is kept of the content's features (B, C, H, W), float32, of the whole image."""

    @abstractmethod
    def part(self, features: Tensor, rows: slice, target: Any) -> Any:
        """What a strip adds. features: (B, C, h, W) of its own rows, which are `rows` of the whole image's features."""

    @abstractmethod
    def distance(self, parts: Sequence[Any], target: Any) -> Tensor:
        """The loss, a scalar, of the parts of all strips, in order."""

    def __call__(self, features: Tensor, target: Any) -> Tensor:
        """The loss of the whole image's features (B, C, H, W)."""
        return self.distance([self.part(features, slice(None), target)], target)


CONTENT_LOSSES: Registry[ContentLoss] = Registry("content_loss", key="content_loss")
