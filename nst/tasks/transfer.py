"""Optimising the pixels of one image: reconstruction, texture synthesis and style transfer."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS, Optimizer

from nst.errors import InputError
from nst.losses import range_loss
from nst.objective import Objective
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
    the end undoes its work. On chelsea in swirl (160 px, 120 steps) the clamped picture's total is 58, 5.06, 5.08 and
    5.51 with factors of 0, 1, 10 and 100, and with a style weight of 1e3 it is 1.79, 1.31, 0.99 and 0.98.
    """

    _evaluated_at: Tensor

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
        self.register_buffer("_evaluated_at", torch.empty(0), persistent=False)
        self._enter(0)

    def configure_optimizers(self) -> Optimizer:
        return self._make_optimizer([self.pixels])

    def run_chunk(self, steps: int) -> dict[str, Tensor]:
        if self.step >= self.levels[self._at].until:
            self._enter(next(at for at, level in enumerate(self.levels) if self.step < level.until))
            # the pixels are others, and what an optimiser remembers of steps is of the old ones
            self.trainer.optimizers = [self.configure_optimizers()]
        return self.advance(self.optimizers(), steps)

    @property
    def objective(self) -> Objective:
        """What is minimised at the size that the image has now."""
        return self.levels[self._at].objective

    @torch.no_grad()
    def _enter(self, at: int) -> None:
        """Go on at a level, from the image as it is."""
        self._at, size = at, self.levels[at].size
        if self.pixels.shape[2:] != size:
            self.pixels = nn.Parameter(F.interpolate(self.pixels, size, mode="bicubic", align_corners=False))
        grey = self.objective(torch.full_like(self.pixels, 0.5))["total"]
        self.range_factor = self._range_weight * grey
        # the line search cubes losses, which overflows; scaled by a power of two its steps are the same to the bit
        self._scale = min(1.0, LARGEST_LOSS / 2.0 ** math.frexp(float(grey))[1])
        self._evaluated: dict[str, Tensor] = {}
        self._evaluated_at = torch.empty_like(self.pixels)

    def advance(self, optimizer: Any, steps: int) -> dict[str, Tensor]:
        """Take `steps` steps of an optimiser of `pixels`. Returns named figures, as they were before the first."""
        first: dict[str, Tensor] = {}

        def closure() -> Tensor:
            # L-BFGS begins each chunk by evaluating the point at which its line search has just ended the last
            if first or not self._evaluated or not torch.equal(self.pixels, self._evaluated_at):
                optimizer.zero_grad()
                self._evaluate()
            if not first:
                first.update(self._evaluated)
                self.finite(first)
            return self._minimised

        lbfgs = getattr(optimizer, "optimizer", optimizer)  # Lightning wraps it
        if isinstance(lbfgs, LBFGS):
            _run_lbfgs(lbfgs, optimizer, closure, steps)
        else:
            for _ in range(steps):
                optimizer.step(closure)
        return self.objective.named(first)

    def _evaluate(self) -> None:
        terms = self.objective(self.pixels)
        minimised = self._scale * (terms["total"] + self.range_factor * range_loss(self.pixels))
        minimised.backward()
        self._minimised = minimised.detach()
        self._evaluated = {name: term.detach() for name, term in terms.items()}
        self._evaluated_at.copy_(self.pixels.detach())

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


def _run_lbfgs(lbfgs: LBFGS, optimizer: Any, closure: Callable[[], Tensor], steps: int) -> None:
    """`steps` iterations of torch's L-BFGS in one call, which carries its history over from the last."""
    (parameter,) = lbfgs.param_groups[0]["params"]
    while steps > 0:
        # a line search takes what evaluations it needs
        lbfgs.param_groups[0].update(max_iter=steps, max_eval=100 * steps)
        before = lbfgs.state[parameter].get("n_iter", 0)
        optimizer.step(closure)
        taken = lbfgs.state[parameter]["n_iter"] - before
        if taken == 0:  # the gradient is zero
            return
        if taken < steps:
            # it saw no descent along a direction made of rounding errors, and would return it for ever: start afresh
            lbfgs.state.clear()
        steps -= taken
