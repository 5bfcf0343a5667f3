"""Optimizing the pixels of one image: reconstruction, texture synthesis and style transfer."""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst import devices
from nst.engine.task import SMALLER_STEPS, Task
from nst.errors import Diverged, InputError
from nst.losses.objective import Objective
from nst.losses.priors import range_loss
from nst.modes.pixels.average import Average
from nst.modes.pixels.balance import say_unbalanced
from nst.modes.pixels.descent import Descent, Renewal, Scale
from nst.modes.pixels.pace import seconds_of
from nst.optim.base import ImageOptimizer
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


class Pixels(Task):
    """Owns an image (1, 3, H, W) and minimizes an objective over its pixels, from coarse to fine.

    pixels: the image to start from, of the first scale's size. scales: ascending. A layer's receptive field has the
    same number of pixels at each size, so the coarse scales make the large strokes, and a step there is cheap (Gatys et
    al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", on high resolutions). report: the steps to
    report at, besides those that end a scale.
    """

    optimizer: ImageOptimizer
    extends_optimizer = False  # L-BFGS keeps twenty images, and has them again after as many steps
    _step: CudaGraph | None = None
    _slowed = False
    """Whether the run has gone wrong before."""
    _unmoved = 0.0
    """Steps since the scale began in which nothing has moved; infinite once something has."""
    _renewal: Renewal | None = None
    """None for an objective that is never renewed."""

    def __init__(self, pixels: Tensor, scales: Sequence[Scale], descent: Descent, report: Iterable[int] = ()) -> None:
        super().__init__(sorted({*report, *(scale.until for scale in scales)}))
        self._reported = {0, *self.report_steps}
        self.pixels = nn.Parameter(pixels.clone())
        self.scales, self._at = list(scales), 0
        self._descent, self._average = descent, Average(descent.average)
        self._begin()
        # keeps products of gradients from overflowing; a power of two leaves every step the same, bit for bit
        self._loss_scale = min(1.0, LARGEST_LOSS / 2.0 ** math.frexp(float(self._gray))[1])

    def configure_optimizers(self) -> ImageOptimizer:
        optimizer = self._descent.make_optimizer([self.pixels])
        for group in optimizer.param_groups:
            self._set_capturable(group)
            group["lr"] *= SMALLER_STEPS if self._slowed else 1.0
        return optimizer

    def load_optimizer(self, state: dict[str, Any]) -> None:
        super().load_optimizer(state)
        terms = 1 + len(self.objective.names)
        for held in self.optimizer.state.values():
            finite = all(each.isfinite().all() for each in held.values())
            if not finite or len(held.get("metrics", range(terms))) != terms:
                raise InputError("the optimizer's state is of another objective, or not finite")

    def estimate(self) -> float:
        return seconds_of(self.scales)

    def next_stop(self) -> int:
        stop = super().next_stop()
        if self._renewal is None:
            return stop
        begins = self.step >= self.scales[self._at].until  # the next scale, with a renewal
        every, since = self.objective.renew_every, 0 if begins else self.step - self._renewal.step
        return min(stop, self.step + every - since % every)

    def advance(self, steps: int) -> dict[str, float]:
        if self.step >= self.scales[self._at].until:
            self._enter(next(at for at, scale in enumerate(self.scales) if self.step < scale.until))
        elif self._renewal and self.step >= self._renewal.step + self.objective.renew_every:
            self._renew()
            self.optimizer.renewed()
        good, average = self.pixels.detach().clone(), self._average.state()
        metrics, wrong = self._try(good, steps)
        if wrong and not self._slowed:
            say(f"step {self.step}: {wrong}; once more from there, with the step size times {SMALLER_STEPS:g}")
            self._slowed, self._step, self._unmoved = True, None, 0.0
            self.pixels.data.copy_(good)
            self._average.load(average)
            self.optimizer = self.configure_optimizers()
            metrics, wrong = self._try(good, steps)
        if self.step == 0:
            say_unbalanced(self.objective, metrics)
        if wrong:
            raise Diverged(
                f"{wrong} after step {self.step}, also with the step size times {SMALLER_STEPS:g}: lower the weights "
                "or optimizer.lr"
            )
        if self.step + steps >= self.scales[-1].until:
            self._step = None  # frees the CUDA graph's memory
        return metrics if self.step in self._reported else {}

    def _try(self, good: Tensor, steps: int) -> tuple[dict[str, float], str]:
        """Take steps from the image `good`. Returns the metrics before the first, and what went wrong, if anything."""
        before = self.take_steps(self.optimizer, steps)
        with torch.no_grad():
            shown, gradient = self.pixels.clamp(0, 1), self.pixels.grad
            assert gradient is not None
            ends = (self.pixels - good).abs().max(), self.pixels.abs().max(), gradient.abs().max(), _spread(shown)
            # the only synchronization of a chunk that the task needs, after all its steps were launched
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
        return bool(self.objective(picture)["total"] >= self._gray / 2)

    @property
    def objective(self) -> Objective:
        """What is minimized at the present size."""
        return self.scales[self._at].objective

    @torch.no_grad()
    def _enter(self, at: int) -> None:
        """Go on at a scale, from the image as it is."""
        self._at, old, image = at, self.pixels, self._average.value(self.pixels)
        if image.shape[2:] != self.scales[at].size:
            image = F.interpolate(image, self.scales[at].size, mode="bicubic", align_corners=False)
        self.pixels = nn.Parameter(image.clone())
        self.optimizer.resized(old, self.pixels)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        """Begin the steps at a scale."""
        self._average.restart(self.pixels)
        self._renew()
        with self._full_precision():
            self._compare_with(self.objective(torch.full_like(self.pixels, 0.5))["total"])
        self._step, self._unmoved = None, 0.0

    def _renew(self) -> None:
        """Renew the objective for the image as it is, if its losses ask for that."""
        if self.objective.renew_every:
            number = self._renewal.number + 1 if self._renewal else 0
            self._renew_for(Renewal(self.step, self.pixels.detach().clone(), number))

    def _renew_for(self, renewal: Renewal) -> None:
        self._renewal, self._step = renewal, None  # a CUDA graph reads the tensors of the renewal before
        with self._full_precision():
            self.objective.renew(renewal.image, renewal.number)

    def _compare_with(self, gray: Tensor) -> None:
        """Take the total of a gray image at this scale as the unit of the range loss."""
        self._gray, self._range_factor = gray, self._descent.range_weight * gray

    def _full_precision(self) -> torch.autocast:
        """Turn autocast off."""
        return torch.autocast(self.pixels.device.type, enabled=False)

    def take_steps(self, optimizer: Any, steps: int) -> Tensor:
        """Take `steps` steps with an optimizer of `pixels`, the same one in every call at a scale.

        Returns the loss and the objective's terms as they were before the first step. Does not itself
        synchronize the device.
        """
        if self._step is None:
            self._step = CudaGraph(partial(self._take_step, optimizer), self.pixels.device, self.objective.capturable)
        before = self._step().clone()
        for _ in range(steps - 1):
            self._step()
        return before

    def _take_step(self, optimizer: Any) -> Tensor:
        before: Tensor = optimizer.step(self._evaluate)
        self._average.add(self.pixels.detach())
        return before

    def _evaluate(self) -> Tensor:
        """Compute the gradient of the loss. Returns the loss and the objective's terms, one tensor."""
        terms = self.objective(self.pixels)
        loss = self._loss_scale * (terms["total"] + self._range_factor * range_loss(self.pixels))
        with self._full_precision():  # the backward pass of a layer has the precision of its forward pass
            (self.pixels.grad,) = torch.autograd.grad(loss, [self.pixels])
        return torch.stack([loss, *(terms[name] for name in self.objective.names)]).detach()

    @torch.no_grad()
    def picture(self) -> Tensor:
        """The image so far, (1, 3, H, W) in [0, 1]."""
        shown, finish = self.objective.shown(self._clamped()), self.scales[self._at].finish
        return finish(shown) if finish else shown

    def _clamped(self) -> Tensor:
        """The pixels in [0, 1]. Clamped only here: inside a step it would mislead L-BFGS."""
        return self._average.value(self.pixels.detach()).clamp(0, 1)

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """The losses of `picture()`, before it gets the content's colors."""
        return {name: float(value) for name, value in self.objective.named(self.objective(self._clamped())).items()}

    def state(self) -> dict[str, Any]:
        return {
            "pixels": self.pixels.detach(),
            "average": self._average.state(),
            "renewal": self._renewal and vars(self._renewal),
            "gray": self._gray,
            "loss_scale": self._loss_scale,
            "finer_scales": len(self.scales) - 1 - self._at,
            "slowed": self._slowed,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._at = len(self.scales) - 1 - state["finer_scales"]
        if not 0 <= self._at < len(self.scales):
            raise InputError(f"it has {state['finer_scales']} scales to go")
        self.pixels = nn.Parameter(self._finite("image", state["pixels"], (1, 3, *self.scales[self._at].size)))
        self._average.restart(self.pixels.detach())
        self._average.load(state["average"])
        if renewal := state["renewal"]:
            image = self._finite("renewal's image", renewal["image"], self.pixels.shape)
            self._renew_for(Renewal(int(renewal["step"]), image, int(renewal["number"])))
        self._compare_with(self._finite("gray", state["gray"], ()))
        self._loss_scale, self._slowed, self._unmoved = float(state["loss_scale"]), bool(state["slowed"]), math.inf

    def _finite(self, name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor of a checkpoint on this task's device, if it is one of finite numbers of that shape."""
        if tensor.shape != shape or tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise InputError(f"its {name} is no tensor of {shape} finite numbers")
        return tensor.to(self.pixels.device)

    def _set_capturable(self, group: dict[str, Any]) -> None:
        """torch's Adam can be part of a CUDA graph, and must be told so; on other devices it refuses the option."""
        if "capturable" in group:
            group["capturable"] = devices.is_nvidia(self.pixels.device)


def _spread(image: Tensor) -> Tensor:
    """The largest difference of an image's values within a channel."""
    return (image.amax((0, 2, 3)) - image.amin((0, 2, 3))).max()
