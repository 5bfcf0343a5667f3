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

from nst.errors import Diverged, InputError
from nst.losses import range_loss
from nst.objective import Objective
from nst.replay import Replay
from nst.tasks.chunks import ChunkedTask
from nst.tasks.task import SLOWER
from nst.text import say

FURTHEST = 1e4
"""From 0; pixels beyond it are lost, although losses may be finite still."""
ONE_LEVEL = 1 / 255
"""Of a picture of 8 bits."""
STILL = 10
"""Steps of a level's first without any movement after which an optimiser is taken to be stuck."""
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
    _slowed = False
    """Whether it has gone wrong before."""
    _unmoved = 0.0
    """Steps since a level began in which nothing has moved; infinite once something has."""

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
            group["lr"] *= SLOWER if self._slowed else 1.0
        return optimizer

    def run_chunk(self, steps: int) -> dict[str, float]:
        if self.step >= self.levels[self._at].until:
            self._enter(next(at for at, level in enumerate(self.levels) if self.step < level.until))
            # the pixels are others, and what an optimiser remembers of steps is of the old ones
            self.trainer.optimizers = [self.configure_optimizers()]
        good = self.pixels.detach().clone()
        figures, wrong = self._tried(good, steps)
        if wrong and not self._slowed:
            say(f"step {self.step}: {wrong}; from there again, with steps {SLOWER:g} times as long")
            self._slowed, self._step, self._unmoved = True, None, 0.0
            self.pixels.data.copy_(good)
            self.trainer.optimizers = [self.configure_optimizers()]
            figures, wrong = self._tried(good, steps)
        if wrong:
            raise Diverged(
                f"{wrong} after step {self.step}, and with steps {SLOWER:g} times as long, too: lower the weights or "
                "optimizer.lr"
            )
        if self.step + steps >= self.levels[-1].until:
            self._step = None  # a CUDA graph has memory of its own
        return figures

    def _tried(self, good: Tensor, steps: int) -> tuple[dict[str, float], str]:
        """Take steps from an image. Returns the figures before the first, and what went wrong, if anything did."""
        begun = self.advance(self.optimizers(use_pl_optimizer=False), steps)
        with torch.no_grad():
            shown, gradient = self.picture(), self.pixels.grad
            assert gradient is not None
            ends = (self.pixels - good).abs().max(), self.pixels.abs().max(), gradient.abs().max(), _spread(shown)
            # the device is waited for here, once all steps are on their way
            *terms, moved, furthest, slope, spread = torch.cat([begun[1:], torch.stack(ends)]).tolist()
            self._unmoved = math.inf if moved else self._unmoved + steps
            wrong = ""
            if not furthest <= FURTHEST:  # or no number
                wrong = "the pixels have left all bounds"
            elif moved == 0 and slope != 0 and STILL <= self._unmoved < math.inf:
                wrong = "no step lowers the loss"
            elif spread < ONE_LEVEL <= float(_spread(good.clamp(0, 1))) and self._is_no_better_than_grey(shown):
                wrong = "the image has gone to one colour"
        return self.objective.named(dict(zip(self.objective.terms, terms, strict=True))), wrong

    def _is_no_better_than_grey(self, picture: Tensor) -> bool:
        return float(self.objective(picture)["total"]) >= self._grey / 2

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
        self._unmoved = 0.0
        self._grey = float(grey)
        self._range_factor = self._range_weight * grey
        # products of gradients overflow; scaled by a power of two the steps are the same to the bit
        self._scale = min(1.0, LARGEST_LOSS / 2.0 ** math.frexp(self._grey)[1])

    def advance(self, optimizer: Any, steps: int) -> Tensor:
        """Take `steps` steps of an optimiser of `pixels`, the same one at a level's every call.

        Returns what was minimised and the objective's terms, as they were before the first, not waited for.
        """
        if self._step is None:
            self._step = Replay(partial(optimizer.step, self._evaluate), self.pixels.device)
        begun = self._step().clone()
        for _ in range(steps - 1):
            self._step()
        return begun

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
        checkpoint["progress"] |= {"finer_levels": len(self.levels) - 1 - self._at, "slowed": self._slowed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        at = len(self.levels) - 1 - checkpoint["progress"].get("finer_levels", 0)
        pixels = checkpoint["state_dict"]["pixels"]
        if at < 0 or pixels.shape[2:] != self.levels[at].size:
            raise InputError("resume: the checkpoint's image is of a size that this run does not paint at")
        self._enter(at)
        self._unmoved = math.inf
        self._slowed = checkpoint["progress"].get("slowed", False)
        for group in checkpoint["optimizer_states"][0]["param_groups"]:
            _capturable(group, self.pixels.is_cuda)  # it may be another device than before


def _spread(image: Tensor) -> Tensor:
    """The largest difference of an image's values within a channel."""
    return (image.amax((0, 2, 3)) - image.amin((0, 2, 3))).max()


def _capturable(group: dict[str, Any], on_a_gpu: bool) -> None:
    """Whether torch's Adam can be part of a CUDA graph; only there it may say so."""
    if "capturable" in group:
        group["capturable"] = on_a_gpu
