"""Optimizing the pixels of one image: reconstruction, texture synthesis and style transfer."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from nst import devices
from nst.engine.task import SMALLER_STEPS, Task
from nst.errors import Diverged, InputError
from nst.losses.objective import Objective
from nst.losses.priors import range_loss
from nst.optim import MakeOptimizer
from nst.optim.cuda_graph import CudaGraph
from nst.text import say

LARGEST_PIXEL = 1e4
"""Pixels further from 0 are lost, even if the losses are still finite."""
ONE_LEVEL = 1 / 255
"""Of a picture with 8 bits a channel."""
STUCK_AFTER = 10
"""Steps from the start of a scale without any movement, after which the optimizer is taken to be stuck."""
LARGEST_LOSS = 2.0**30
"""The loss is scaled down to about this for a gray image, if it is larger."""


@dataclass(frozen=True)
class Scale:
    """A size of the image: (H, W) in pixels, what is minimized at that size, and the step that ends it."""

    size: tuple[int, int]
    objective: Objective
    until: int


class Pixels(Task):
    """Owns an image (1, 3, H, W) and minimizes an objective over its pixels, from coarse to fine.

    pixels: the image to start from, of the first scale's size. scales: ascending. A layer's receptive field has the
    same number of pixels at each size, so the coarse scales make the large strokes, and a step there is cheap (Gatys et
    al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", on high resolutions). report: the steps to
    report at, besides those that end a scale.

    range_weight is the factor of the range loss, in units of the loss of a gray image, so that it suits all weights and
    backbones. A departure from Gatys et al.: without it L-BFGS takes pixels far outside [0, 1], and clamping them at
    the end undoes its work. On chelsea in swirl (160 px, 120 steps; with torch's L-BFGS and earlier weights) the
    clamped picture's total was 58, 5.06, 5.08 and 5.51 with factors of 0, 1, 10 and 100, and with a style weight of 1e3
    it was 1.79, 1.31, 0.99 and 0.98.
    """

    _step: CudaGraph | None = None
    _slowed = False
    """Whether the run has gone wrong before."""
    _unmoved = 0.0
    """Steps since the scale began in which nothing has moved; infinite once something has."""

    def __init__(
        self,
        pixels: Tensor,
        scales: Sequence[Scale],
        make_optimizer: MakeOptimizer,
        range_weight: float = 10.0,
        report: Iterable[int] = (),
    ) -> None:
        super().__init__(sorted({*report, *(scale.until for scale in scales)}))
        self.pixels = nn.Parameter(pixels.clone())
        self.scales = list(scales)
        self._make_optimizer, self._range_weight = make_optimizer, range_weight
        self._enter(0)

    def configure_optimizers(self) -> Optimizer:
        optimizer = self._make_optimizer([self.pixels])
        for group in optimizer.param_groups:
            self._set_capturable(group)
            group["lr"] *= SMALLER_STEPS if self._slowed else 1.0
        return optimizer

    def load_optimizer(self, state: dict[str, Any]) -> None:
        for group in state["param_groups"]:
            self._set_capturable(group)  # the device may be another one than before
        super().load_optimizer(state)

    def advance(self, steps: int) -> dict[str, float]:
        if self.step >= self.scales[self._at].until:
            self._enter(next(at for at, scale in enumerate(self.scales) if self.step < scale.until))
            # the optimizer's memory belongs to the smaller image
            self.optimizer = self.configure_optimizers()
        good = self.pixels.detach().clone()
        metrics, wrong = self._try(good, steps)
        if wrong and not self._slowed:
            say(f"step {self.step}: {wrong}; once more from there, with the step size times {SMALLER_STEPS:g}")
            self._slowed, self._step, self._unmoved = True, None, 0.0
            self.pixels.data.copy_(good)
            self.optimizer = self.configure_optimizers()
            metrics, wrong = self._try(good, steps)
        if wrong:
            raise Diverged(
                f"{wrong} after step {self.step}, also with the step size times {SMALLER_STEPS:g}: lower the weights "
                "or optimizer.lr"
            )
        if self.step + steps >= self.scales[-1].until:
            self._step = None  # frees the CUDA graph's memory
        return metrics

    def _try(self, good: Tensor, steps: int) -> tuple[dict[str, float], str]:
        """Take steps from the image `good`. Returns the metrics before the first, and what went wrong, if anything."""
        before = self.take_steps(self.optimizer, steps)
        with torch.no_grad():
            shown, gradient = self.picture(), self.pixels.grad
            assert gradient is not None
            ends = (self.pixels - good).abs().max(), self.pixels.abs().max(), gradient.abs().max(), _spread(shown)
            # the only synchronization of a chunk, after all its steps were launched
            *terms, moved, largest, slope, spread = torch.cat([before[1:], torch.stack(ends)]).tolist()
            self._unmoved = math.inf if moved else self._unmoved + steps
            wrong = ""
            if not largest <= LARGEST_PIXEL:  # also if it is not a number
                wrong = "the pixels have left all bounds"
            elif moved == 0 and slope != 0 and STUCK_AFTER <= self._unmoved < math.inf:
                wrong = "no step lowers the loss"
            elif spread < ONE_LEVEL <= float(_spread(good.clamp(0, 1))) and self._is_no_better_than_gray(shown):
                wrong = "the image has become one color"
        return self.objective.named(dict(zip(self.objective.names, terms, strict=True))), wrong

    def _is_no_better_than_gray(self, picture: Tensor) -> bool:
        return float(self.objective(picture)["total"]) >= self._gray / 2

    @property
    def objective(self) -> Objective:
        """What is minimized at the present size."""
        return self.scales[self._at].objective

    @torch.no_grad()
    def _enter(self, at: int) -> None:
        """Go on at a scale, from the image as it is."""
        self._step = None
        self._at, size = at, self.scales[at].size
        if self.pixels.shape[2:] != size:
            self.pixels = nn.Parameter(F.interpolate(self.pixels, size, mode="bicubic", align_corners=False))
        with torch.autocast(self.pixels.device.type, enabled=False):  # the same value as after loading a checkpoint
            gray = self.objective(torch.full_like(self.pixels, 0.5))["total"]
        self._unmoved = 0.0
        self._gray = float(gray)
        self._range_factor = self._range_weight * gray
        # keeps products of gradients from overflowing; a power of two leaves every step the same, bit for bit
        self._loss_scale = min(1.0, LARGEST_LOSS / 2.0 ** math.frexp(self._gray)[1])

    def take_steps(self, optimizer: Any, steps: int) -> Tensor:
        """Take `steps` steps with an optimizer of `pixels`, the same one in every call at a scale.

        Returns the loss and the objective's terms as they were before the first step; does not synchronize the device.
        """
        if self._step is None:
            self._step = CudaGraph(partial(optimizer.step, self._evaluate), self.pixels.device)
        before = self._step().clone()
        for _ in range(steps - 1):
            self._step()
        return before

    def _evaluate(self) -> Tensor:
        """Compute the gradient of the loss. Returns the loss and the objective's terms, one tensor."""
        terms = self.objective(self.pixels)
        loss = self._loss_scale * (terms["total"] + self._range_factor * range_loss(self.pixels))
        (self.pixels.grad,) = torch.autograd.grad(loss, [self.pixels])
        return torch.stack([loss, *(terms[name] for name in self.objective.names)]).detach()

    @torch.no_grad()
    def picture(self) -> Tensor:
        """The image so far, (1, 3, H, W) in [0, 1]. Clamped only here: inside a step it would mislead L-BFGS."""
        return self.pixels.detach().clamp(0, 1)

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """The losses of `picture()`."""
        return {name: float(value) for name, value in self.objective.named(self.objective(self.picture())).items()}

    def state(self) -> dict[str, Any]:
        return {
            "pixels": self.pixels.detach(),
            "finer_scales": len(self.scales) - 1 - self._at,
            "slowed": self._slowed,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        at = len(self.scales) - 1 - state["finer_scales"]
        if at < 0 or state["pixels"].shape[2:] != self.scales[at].size:
            raise InputError("resume: the checkpoint's image has a size that this run does not use")
        self._enter(at)
        self.pixels.data.copy_(state["pixels"])
        self._unmoved = math.inf
        self._slowed = state["slowed"]

    def _set_capturable(self, group: dict[str, Any]) -> None:
        """torch's Adam can be part of a CUDA graph, and must be told so; on other devices it refuses the option."""
        if "capturable" in group:
            group["capturable"] = devices.is_nvidia(self.pixels.device)


def _spread(image: Tensor) -> Tensor:
    """The largest difference of an image's values within a channel."""
    return (image.amax((0, 2, 3)) - image.amin((0, 2, 3))).max()
