"""L-BFGS that never waits for the device."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nst.errors import InputError

FIRST = 0.1
"""Root mean square of the first step, in the parameter's units. Much shorter ones cost some steps to grow."""
SUFFICIENT = 1e-4
"""Of the decrease that the slope promises, what a step must bring (Nocedal & Wright 2006, eq. 3.4)."""
SHORTEST, LONGEST = 0.1, 0.5
"""Bounds of the factor that shortens a step which did not bring it (Nocedal & Wright 2006, section 3.5)."""
CURVED = 1e-6
"""Cosine of the angle between a step and the change of the gradient, below which it is made of rounding errors."""
GIVEN_UP = 1e-3
"""Share of a whole step below which a direction is given up, and all that it was made from."""


class LBFGS(Optimizer):
    """Quasi-Newton steps on one parameter, of one evaluation each, decided on the parameter's own device.

    torch's L-BFGS reads numbers from the device several times a step, so it can neither run ahead of a GPU nor be
    captured in a CUDA graph, and its line search takes as many evaluations as it likes. Here a step tries one point.
    Where the loss has fallen enough, the point is taken and remembered; otherwise the parameter stays, and the next
    step tries a nearer point along the same direction. Directions are made of a few passes over one matrix of the last
    pairs of steps and gradient changes (the compact form of Byrd, Nocedal & Schnabel 1994, theorem 2.2).

    lr: length of a whole step, in units of the quasi-Newton step. history: how many pairs are kept.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, history: int) -> None:
        super().__init__(parameters, {"lr": lr, "history": history})
        if len(self.param_groups[0]["params"]) != 1:
            raise InputError("optimizer=lbfgs: it is for one image; take optimizer=adam for a network")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Try one point. Returns what the closure told of the point that the parameter was at.

        closure: computes the parameter's gradient and returns figures (N,), of which the first is minimised.
        """
        (parameter,) = self.param_groups[0]["params"]
        state = self.state[parameter]
        if not state:
            figures, gradient = _evaluate(parameter, closure)
            with _exactly(parameter):
                self._begin(state, figures, gradient)
        begun, here = state["figures"].clone(), parameter.clone()
        moved = state["length"] * state["direction"]
        parameter.add_(moved.view_as(parameter))
        figures, gradient = _evaluate(parameter, closure)
        with _exactly(parameter):
            taken = self._judge(state, moved, figures, gradient)
        _choose(taken, parameter, here)
        return begun

    def _begin(self, state: dict[str, Any], figures: Tensor, gradient: Tensor) -> None:
        history, zeros = self.param_groups[0]["history"], gradient.new_zeros
        # all of one floating type, as load_state_dict would make them
        state |= {
            "figures": figures.clone(),
            "gradient": gradient.clone(),
            "pairs": zeros(2 * history, len(gradient)),  # steps above, gradient changes below
            "sy": zeros(history, history),  # products of steps and changes
            "yy": zeros(history, history),  # of changes and changes
            "held": zeros(history),  # 1 where there is a pair
            "next": zeros(1),  # row of the next pair
            "length": zeros(()) + self.param_groups[0]["lr"],
        }
        state["direction"] = _direction(state)
        state["slope"] = state["gradient"] @ state["direction"]

    def _judge(self, state: dict[str, Any], moved: Tensor, figures: Tensor, gradient: Tensor) -> Tensor:
        """Take the point that was tried, or leave it, and choose the next. Returns whether it was taken."""
        lr = self.param_groups[0]["lr"]
        risen, promised = figures[0] - state["figures"][0], state["length"] * state["slope"]
        taken = (risen <= SUFFICIENT * promised) & (promised <= 0)  # never, where the loss is no number
        _remember(state, moved, gradient - state["gradient"], taken)
        shorter = (promised / (2 * (promised - risen))).nan_to_num(SHORTEST).clamp(SHORTEST, LONGEST)
        length = state["length"] * shorter
        given_up = ~taken & (length < GIVEN_UP * lr) & (state["held"].sum() > 0)
        state["held"].mul_(~given_up)

        turned = taken | given_up
        _choose(~taken, state["figures"], figures)
        _choose(~taken, state["gradient"], gradient)
        _choose(~turned, state["direction"], _direction(state))
        state["length"].copy_(torch.where(turned, lr, length))
        state["slope"].copy_(state["gradient"] @ state["direction"])
        return taken


def _remember(state: dict[str, Any], step: Tensor, change: Tensor, taken: Tensor) -> None:
    """Put a pair in the place of the oldest, if it was taken and the loss curves upwards along it."""
    history, row = len(state["held"]), state["next"].long()
    kept = taken & (step @ change > CURVED * step.norm() * change.norm())
    for place, new in ((row, step), (row + history, change)):
        old = state["pairs"].index_select(0, place)
        state["pairs"].index_copy_(0, place, torch.where(kept, new, old))
    products = (state["pairs"] @ change).view(2, history, 1)
    for name, column in zip(("sy", "yy"), products, strict=True):
        state[name].index_copy_(1, row, torch.where(kept, column, state[name].index_select(1, row)))
    state["yy"].index_copy_(0, row, state["yy"].index_select(1, row).T)
    state["held"].index_copy_(0, row, torch.maximum(state["held"][row], kept.float()))
    state["next"].copy_((state["next"] + kept) % history)


def _evaluate(parameter: nn.Parameter, closure: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        figures = closure()
    assert parameter.grad is not None
    return figures.detach(), parameter.grad.flatten()


def _exactly(parameter: Tensor) -> torch.autocast:
    """Where the networks compute in half precision, what is decided here does not."""
    return torch.autocast(parameter.device.type, enabled=False)


def _choose(keep: Tensor, old: Tensor, new: Tensor) -> None:
    """Overwrite `old` in its place, unless it is to be kept: a CUDA graph knows tensors by their places."""
    torch.where(keep, old, new, out=old)


def _direction(state: dict[str, Any]) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient."""
    gradient, pairs, history = state["gradient"], state["pairs"], len(state["held"])
    oldest_first = (torch.arange(history, device=gradient.device) + state["next"].long()) % history
    held = state["held"][oldest_first]
    sy, yy = (state[name][oldest_first][:, oldest_first] * held * held[:, None] for name in ("sy", "yy"))
    sg, yg = (pairs @ gradient).view(2, history)[:, oldest_first] * held
    curvature = sy.diagonal()
    first = FIRST / gradient.square().mean().sqrt().clamp_min(torch.finfo(gradient.dtype).tiny)
    scale = torch.where(held[-1] > 0, curvature[-1] / yy[-1, -1], first)
    upper = sy.triu() + torch.diag(1 - held)
    of_changes = torch.linalg.solve_triangular(upper, sg[:, None], upper=True)
    right = curvature[:, None] * of_changes + scale * (yy @ of_changes - yg[:, None])
    of_steps = torch.linalg.solve_triangular(upper.T, right, upper=False)
    factors = torch.empty_like(pairs[:, 0]).view(2, history)
    factors[:, oldest_first] = torch.cat([-of_steps, scale * of_changes], dim=1).T
    return factors.flatten() @ pairs - scale * gradient
