"""Optimising the pixels of one image: reconstruction, texture synthesis and style transfer."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from nst.errors import InputError
from nst.losses import range_loss
from nst.objective import Objective
from nst.replay import Replay
from nst.tasks.chunks import ChunkedTask

LARGEST_LOSS = 2.0**30
"""What is minimised is scaled down to about this for a grey image, where it is more."""


@dataclass(frozen=True)
class Level:
    """A size that the image is painted at: (H, W) in pixels, what is minimised there, and the step that ends it."""

    size: tuple[int, int]
    objective: Objective
    until: int


class Transfer(ChunkedTask):
    """Owns an image (1, 3, H, W) and minimises an objective over its pixels, at one size after the other.

    pixels: the image to start from, of the first level's size. levels: from coarse to fine, since a layer sees as many
    pixels at any size: the coarse ones lay out the large strokes, and a step there costs little (Gatys et al. 2017,
    "Controlling Perceptual Factors in Neural Style Transfer", on high resolutions). make_optimizer: parameters →
    optimiser. stops: the steps at which to report, beside those at which a level ends.

    range_weight is the factor of the range loss, in units of the loss of a grey image, so that it suits any weights and
    backbone. A departure from Gatys et al.: left to itself L-BFGS takes pixels far outside [0, 1], and clamping them at
    the end undoes its work. On chelsea in swirl (160 px, 120 steps; with torch's L-BFGS and earlier weights) the
    clamped picture's total was 58, 5.06, 5.08 and 5.51 with factors of 0, 1, 10 and 100, and with a style weight of 1e3
    it was 1.79, 1.31, 0.99 and 0.98.
    """

    _step: Replay | None = None

    def __init__(
        self,
        pixels: Tensor,
        levels: Sequence[Level],
        make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        range_weight: float = 10.0,
        stops: Iterable[int] = (),
    ) -> None:
        super().__init__(sorted({*stops, *(level.until for level in levels)}))
        self.pixels = nn.Parameter(pixels.clone())
        self.levels = list(levels)
        self._make_optimizer, self._range_weight = make_optimizer, range_weight
        self._enter(0)

    def configure_optimizers(self) -> Optimizer:
        optimizer = self._make_optimizer([self.pixels])
        for group in optimizer.param_groups:
            _capturable(group, self.pixels.is_cuda)
        return optimizer

    def run_chunk(self, steps: int) -> dict[str, float]:
        if self.step >= self.levels[self._at].until:
            self._enter(next(at for at, level in enumerate(self.levels) if self.step < level.until))
            # the pixels are others, and what an optimiser remembers of steps is of the old ones
            self.trainer.optimizers = [self.configure_optimizers()]
        figures = self.advance(self.optimizers(use_pl_optimizer=False), steps)
        if self.step + steps >= self.levels[-1].until:
            self._step = None  # a CUDA graph has memory of its own
        return figures

    @property
    def objective(self) -> Objective:
        """What is minimised at the size that the image has now."""
        return self.levels[self._at].objective

    @torch.no_grad()
    def _enter(self, at: int) -> None:
        """Go on at a level, from the image as it is."""
        self._step = None
        self._at, size = at, self.levels[at].size
        if self.pixels.shape[2:] != size:
            self.pixels = nn.Parameter(F.interpolate(self.pixels, size, mode="bicubic", align_corners=False))
        with torch.autocast(self.pixels.device.type, enabled=False):  # as when a checkpoint is loaded
            grey = self.objective(torch.full_like(self.pixels, 0.5))["total"]
        self._range_factor = self._range_weight * grey
        # products of gradients overflow; scaled by a power of two the steps are the same to the bit
        self._scale = min(1.0, LARGEST_LOSS / 2.0 ** math.frexp(float(grey))[1])

    def advance(self, optimizer: Any, steps: int) -> dict[str, float]:
        """Take `steps` steps of an optimiser of `pixels`, the same one at a level's every call.

        Returns named figures, as they were before the first.
        """
        if self._step is None:
            self._step = Replay(partial(optimizer.step, self._evaluate), self.pixels.device)
        begun = self._step().clone()
        for _ in range(steps - 1):
            self._step()
        _, *terms = begun.tolist()  # the device is waited for here, once all steps are on their way
        return self.objective.named(dict(zip(self.objective.terms, terms, strict=True)))

    def _evaluate(self) -> Tensor:
        """Compute the gradient of what is minimised. Returns that, and the objective's terms, one tensor."""
        terms = self.objective(self.pixels)
        minimised = self._scale * (terms["total"] + self._range_factor * range_loss(self.pixels))
        (self.pixels.grad,) = torch.autograd.grad(minimised, [self.pixels])
        return torch.stack([minimised, *(terms[name] for name in self.objective.terms)]).detach()

    @torch.no_grad()
    def picture(self) -> Tensor:
        """The image so far, (1, 3, H, W) in [0, 1]. Clamped only here: inside a step it would mislead L-BFGS."""
        return self.pixels.detach().clamp(0, 1)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """The losses of `picture()`."""
        return {name: float(value) for name, value in self.objective.named(self.objective(self.picture())).items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"] = {"pixels": self.pixels.detach()}
        checkpoint["progress"]["finer_levels"] = len(self.levels) - 1 - self._at

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        at = len(self.levels) - 1 - checkpoint["progress"].get("finer_levels", 0)
        pixels = checkpoint["state_dict"]["pixels"]
        if at < 0 or pixels.shape[2:] != self.levels[at].size:
            raise InputError("resume: the checkpoint's image is of a size that this run does not paint at")
        self._enter(at)
        for group in checkpoint["optimizer_states"][0]["param_groups"]:
            _capturable(group, self.pixels.is_cuda)  # it may be another device than before


def _capturable(group: dict[str, Any], on_a_gpu: bool) -> None:
    """Whether torch's Adam can be part of a CUDA graph; only there it may say so."""
    if "capturable" in group:
        group["capturable"] = on_a_gpu
