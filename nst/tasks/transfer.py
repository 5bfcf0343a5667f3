"""Optimising the pixels of one image: reconstruction, texture synthesis and style transfer."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from nst.losses import range_loss
from nst.objective import Objective
from nst.tasks.chunks import ChunkedTask

RANGE_WEIGHT = 10
"""Factor of the range loss, in units of the loss of a grey image, so that it suits any weights and backbone.

A departure from Gatys et al.: left to itself L-BFGS takes pixels far outside [0, 1], and clamping them at the end
undoes its work. On chelsea in swirl at 160 px, 120 steps, the total went from 5.0 to 58 by the clamp; with factors of
0, 1, 10 and 100 the clamped picture's total is 58, 5.06, 5.08 and 5.51, and with a style weight of 1e3 1.79, 1.31,
0.99 and 0.98.
"""


class Transfer(ChunkedTask):
    """Owns an image (1, 3, H, W) and minimises an objective over its pixels, while keeping them near [0, 1].

    pixels: the image to start from. make_optimizer: parameters → optimiser. stops: the steps at which to report.
    """

    _evaluated_at: Tensor

    def __init__(
        self,
        pixels: Tensor,
        objective: Objective,
        make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        stops: list[int],
    ) -> None:
        super().__init__(stops)
        self.pixels = nn.Parameter(pixels.clone())
        self.objective = objective
        self._make_optimizer = make_optimizer
        with torch.no_grad():
            self._range_weight = RANGE_WEIGHT * objective(torch.full_like(pixels, 0.5))["total"]
        self._evaluated: dict[str, Tensor] = {}
        self.register_buffer("_evaluated_at", torch.empty_like(pixels), persistent=False)

    def configure_optimizers(self) -> Optimizer:
        return self._make_optimizer([self.pixels])

    def run_chunk(self, steps: int) -> dict[str, Tensor]:
        optimizer: Any = self.optimizers()
        first: dict[str, Tensor] = {}

        def closure() -> Tensor:
            # L-BFGS begins each chunk by evaluating the point at which its line search has just ended the last
            if first or not self._evaluated or not torch.equal(self.pixels, self._evaluated_at):
                optimizer.zero_grad()
                terms = self.objective(self.pixels)
                (terms["total"] + self._range_weight * range_loss(self.pixels)).backward()
                self._evaluated = {name: term.detach() for name, term in terms.items()}
                self._evaluated_at.copy_(self.pixels.detach())
            if not first:
                first.update(self._evaluated)
                self.finite(first)
            return self._evaluated["total"]

        if isinstance(optimizer.optimizer, LBFGS):
            _run_lbfgs(optimizer, closure, steps)
        else:
            for _ in range(steps):
                optimizer.step(closure)
        return self.named(first)

    def named(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Raw terms as `loss/…` and what they contribute to the total as `weighted/…`."""
        weighted = {f"weighted/{name}": weight * terms[name] for name, weight in self.objective.weights.items()}
        return {f"loss/{name}": terms[name] for name in ("total", *self.objective.weights)} | weighted

    @torch.no_grad()
    def picture(self) -> Tensor:
        """The image so far, (1, 3, H, W) in [0, 1]. Clamped only here: inside a step it would mislead L-BFGS."""
        return self.pixels.detach().clamp(0, 1)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """The losses of `picture()`."""
        return {name: float(value) for name, value in self.named(self.objective(self.picture())).items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"] = {"pixels": self.pixels.detach()}


def _run_lbfgs(optimizer: Any, closure: Callable[[], Tensor], steps: int) -> None:
    """`steps` iterations of torch's L-BFGS in one call, which carries its history over from the last."""
    lbfgs = optimizer.optimizer
    group = lbfgs.param_groups[0]
    group["max_iter"], group["max_eval"] = steps, 100 * steps  # a line search takes what evaluations it needs
    state = lbfgs.state[group["params"][0]]
    before = state.get("n_iter", 0)
    optimizer.step(closure)
    if state["n_iter"] - before < steps:
        # it saw no descent along a direction made of rounding errors, and would return it for ever: start afresh
        lbfgs.state.clear()
