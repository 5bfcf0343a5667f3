"""L-BFGS that never synchronizes the device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nst.errors import InputError
from nst.optim.base import ImageOptimizer

FIRST_STEP = 0.1
"""Root mean square of the first step, in the parameter's units. With much shorter ones it takes steps to grow."""
SUFFICIENT_DECREASE = 1e-4
"""A step must decrease the loss by this fraction of what the slope predicts (Nocedal & Wright 2006, eq. 3.4)."""
MIN_SHORTENING, MAX_SHORTENING = 0.1, 0.5
"""Bounds of the factor that shortens a rejected step (Nocedal & Wright 2006, section 3.5)."""
MIN_COSINE = 1e-6
"""A pair is kept if the cosine of the angle between step and gradient change is above this; below, it is mostly
rounding error."""
MIN_LENGTH = 1e-3
"""Fraction of lr. When the step is shortened below it, the direction and all pairs are discarded."""


class LBFGS(ImageOptimizer):
    """L-BFGS for one parameter, with one evaluation per step and all decisions made on the parameter's device.

    torch's L-BFGS reads numbers from the device several times per step, so the CPU cannot run ahead of a GPU and no
    CUDA graph can be captured. Its line search takes any number of evaluations. Here a step tries one point. If the
    loss has decreased enough, the point is accepted and its pair (step, gradient change) is stored. Otherwise the
    parameter stays where it is, and the next step tries a nearer point in the same direction. A direction takes a few
    passes over one matrix of the last pairs (the compact form of Byrd, Nocedal & Schnabel 1994, theorem 2.2).

    lr: length of a full step, in units of the quasi-Newton step. history_size: number of pairs that are stored.
    Raises InputError for more than one parameter.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, history_size: int) -> None:
        super().__init__(parameters, {"lr": lr, "history_size": history_size})
        if len(self.param_groups[0]["params"]) != 1:
            raise InputError("optimizer=lbfgs: it optimizes a single image; take optimizer=adam for a network")

    def renewed(self) -> None:
        """Forget the loss, the gradient and the pairs: they belong to another function."""
        self.state.clear()

    def shapes(self, parameter: Tensor) -> dict[str, tuple[int, ...]]:
        size, length = self.param_groups[0]["history_size"], parameter.numel()
        return {
            "metrics": (-1,),
            "gradient": (length,),
            "pairs": (2 * size, length),
            "sy": (size, size),
            "yy": (size, size),
            "held": (size,),
            "next": (1,),
            "length": (),
            "direction": (length,),
            "slope": (),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for held in self.state.values():
            if not 0 <= float(held["next"]) < len(held["held"]):
                raise InputError("the optimizer's state has no row for the next pair")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Try one point. Returns the closure's metrics at the point where the parameter was before the step.

        closure: sets the parameter's gradient and returns metrics (N,), the first of which is minimized.
        """
        (parameter,) = self.param_groups[0]["params"]
        state = self.state[parameter]
        if not state:
            metrics, gradient = _evaluate(parameter, closure)
            with _full_precision(parameter):
                self._begin(state, metrics, gradient)
        before, here = state["metrics"].clone(), parameter.clone()
        moved = state["length"] * state["direction"]
        parameter.add_(moved.view_as(parameter))
        metrics, gradient = _evaluate(parameter, closure)
        with _full_precision(parameter):
            accepted = self._judge(state, moved, metrics, gradient)
        _choose(accepted, parameter, here)
        return before

    def _begin(self, state: dict[str, Any], metrics: Tensor, gradient: Tensor) -> None:
        size, zeros = self.param_groups[0]["history_size"], gradient.new_zeros
        # all in the parameter's floating type: load_state_dict converts them to it
        state |= {
            "metrics": metrics.clone(),
            "gradient": gradient.clone(),
            "pairs": zeros(2 * size, len(gradient)),  # steps s in the upper half, gradient changes y in the lower
            "sy": zeros(size, size),  # inner products s·y
            "yy": zeros(size, size),  # inner products y·y
            "held": zeros(size),  # 1 where a pair is stored
            "next": zeros(1),  # row of the next pair
            "length": zeros(()) + self.param_groups[0]["lr"],
        }
        state["direction"] = _direction(state)
        state["slope"] = state["gradient"] @ state["direction"]

    def _judge(self, state: dict[str, Any], moved: Tensor, metrics: Tensor, gradient: Tensor) -> Tensor:
        """Accept or reject the tried point; choose the next direction and length. Returns whether it was accepted."""
        lr = self.param_groups[0]["lr"]
        change, predicted = metrics[0] - state["metrics"][0], state["length"] * state["slope"]
        accepted = (change <= SUFFICIENT_DECREASE * predicted) & (predicted <= 0)  # never, if the loss is NaN
        _store(state, moved, gradient - state["gradient"], accepted)
        shortening = (predicted / (2 * (predicted - change))).nan_to_num(MIN_SHORTENING)
        length = state["length"] * shortening.clamp(MIN_SHORTENING, MAX_SHORTENING)
        restarted = ~accepted & (length < MIN_LENGTH * lr) & (state["held"].sum() > 0)
        state["held"].mul_(~restarted)

        turned = accepted | restarted
        _choose(~accepted, state["metrics"], metrics)
        _choose(~accepted, state["gradient"], gradient)
        _choose(~turned, state["direction"], _direction(state))
        state["length"].copy_(torch.where(turned, lr, length))
        state["slope"].copy_(state["gradient"] @ state["direction"])
        return accepted


def _store(state: dict[str, Any], step: Tensor, change: Tensor, accepted: Tensor) -> None:
    """Replace the oldest pair with a new one, if its step was accepted and the loss curves upward along it."""
    size, row = len(state["held"]), state["next"].long()
    kept = accepted & (step @ change > MIN_COSINE * step.norm() * change.norm())
    for place, new in ((row, step), (row + size, change)):
        old = state["pairs"].index_select(0, place)
        state["pairs"].index_copy_(0, place, torch.where(kept, new, old))
    products = (state["pairs"] @ change).view(2, size, 1)
    for name, column in zip(("sy", "yy"), products, strict=True):
        state[name].index_copy_(1, row, torch.where(kept, column, state[name].index_select(1, row)))
    state["yy"].index_copy_(0, row, state["yy"].index_select(1, row).T)
    state["held"].index_copy_(0, row, torch.maximum(state["held"][row], kept.float()))
    state["next"].copy_((state["next"] + kept) % size)


def _evaluate(parameter: nn.Parameter, closure: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        metrics = closure()
    assert parameter.grad is not None
    return metrics.detach(), parameter.grad.flatten()


def _full_precision(parameter: Tensor) -> torch.autocast:
    """Turn autocast off: only the networks may compute in half precision."""
    return torch.autocast(parameter.device.type, enabled=False)


def _choose(keep: Tensor, old: Tensor, new: Tensor) -> None:
    """Overwrite `old` unless `keep` is true. In place: a CUDA graph refers to tensors by their addresses."""
    torch.where(keep, old, new, out=old)


def _direction(state: dict[str, Any]) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient (Byrd, Nocedal & Schnabel 1994, theorem 2.2)."""
    gradient, pairs, size = state["gradient"], state["pairs"], len(state["held"])
    oldest_first = (torch.arange(size, device=gradient.device) + state["next"].long()) % size
    held = state["held"][oldest_first]
    sy, yy = (state[name][oldest_first][:, oldest_first] * held * held[:, None] for name in ("sy", "yy"))
    sg, yg = (pairs @ gradient).view(2, size)[:, oldest_first] * held
    curvature = sy.diagonal()
    first = FIRST_STEP / gradient.square().mean().sqrt().clamp_min(torch.finfo(gradient.dtype).tiny)
    scale = torch.where(held[-1] > 0, curvature[-1] / yy[-1, -1], first)
    upper = sy.triu() + torch.diag(1 - held)
    of_changes = torch.linalg.solve_triangular(upper, sg[:, None], upper=True)
    right = curvature[:, None] * of_changes + scale * (yy @ of_changes - yg[:, None])
    of_steps = torch.linalg.solve_triangular(upper.T, right, upper=False)
    factors = torch.empty_like(pairs[:, 0]).view(2, size)
    factors[:, oldest_first] = torch.cat([-of_steps, scale * of_changes], dim=1).T
    return factors.flatten() @ pairs - scale * gradient
