"""What a style loss is: sums that add up over strips and images, a statistic made of them, and a distance."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.guide import Guide
from nst.registry import Registry

Sums = tuple[Any, ...]
"""Tensors and numbers that a strip of an image, or one of several images, adds to a statistic."""


class StyleLoss(ABC):
    """Compares the features of one layer with those of a style, wherever they are in the image.

    Subclasses are frozen dataclasses: their fields are the options of the config group `style_loss`. Most define only
    `sums` and `statistic`. A loss that matches positions or draws at random also defines `prepare` and `renew_every`.
    """

    scale: ClassVar[float] = 1.0
    """Factor of the distance, chosen so that `style_weight=1e6` balances `content_weight=1`."""
    capturable: ClassVar[bool] = True
    """Whether a CUDA graph can contain the loss: nothing in it may synchronize the device."""
    additive: ClassVar[bool] = True
    """Whether the sums are sums over positions, the last of them their number: then styles can be mixed into one."""
    copies: ClassVar[float] = 0.0
    """Copies of all features, of the image and of the styles, that a step keeps, even if the image is in strips."""
    renew_every: int = 0
    """Steps after which `prepare` is called again; 0: never. Between two calls the loss is one smooth function."""

    @abstractmethod
    def sums(self, features: Tensor, guide: Guide | None = None) -> Sums:
        """Sums over the positions of features (B, C, H, W) of any floating type, in float32.

        guide: what each position counts; None: 1.
        """

    @abstractmethod
    def statistic(self, sums: Sums) -> Tensor:
        """The statistic (B, …) that the sums over all positions give."""

    def combine(self, parts: Iterable[Sums]) -> Sums:
        """The sums of several strips or images together: by default added."""
        first, *others = parts
        return tuple(sum(rest, start) for start, *rest in zip(first, *others, strict=True))

    def counting(self, sums: Sums, share: float) -> Sums:
        """Sums with the positions' weights scaled so that they add up to `share`; of an additive loss only."""
        return tuple(each * (share / sums[-1]) for each in sums)

    def target(self, statistic: Tensor) -> Any:
        """What is kept of a style's statistic (1, …), computed once: by default the statistic itself."""
        return statistic

    def prepare(self, target: Any, statistic: Tensor, number: int) -> Any:
        """What the image is compared with in the next `renew_every` steps: by default the target itself.

        statistic: of the image as it is now, without a gradient. number: counts the calls, as the seed of random draws.
        """
        return target

    def distance(self, statistic: Tensor, target: Any) -> Tensor:
        """The loss, a scalar: by default the mean squared difference of (B, …) from the style's (B or 1, …)."""
        return F.mse_loss(statistic, target.expand_as(statistic))

    def __call__(self, features: Tensor, target: Any) -> Tensor:
        """The calibrated loss of features (B, C, H, W) against a style's target."""
        statistic = self.statistic(self.sums(features))
        return self.scale * self.distance(statistic, self.prepare(target, statistic.detach(), 0))


STYLE_LOSSES: Registry[StyleLoss] = Registry("style_loss")


def in_float32(features: Tensor) -> Tensor:
    """Features (B, C, H, W) as (B, H·W, C) in float32; a view if they are float32 and channels-last."""
    with torch.autocast(features.device.type, enabled=False):
        return features.float().permute(0, 2, 3, 1).flatten(1, 2)


def number_of_positions(features: Tensor, guide: Guide | None) -> Tensor | int:
    """The positions of features (B, C, H, W), each counted as the guide says."""
    return features.shape[2] * features.shape[3] if guide is None else guide.weights.sum()


def weighted_columns(features: Tensor, guide: Guide | None) -> Tensor:
    """`in_float32`, multiplied by what each position counts."""
    columns = in_float32(features)
    return columns if guide is None else columns * guide.weights.flatten(2).mT
