"""L-BFGS reaches the minimum with one evaluation per step, at any scale of the loss, and resumes bit-exactly."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from nst.errors import InputError
from nst.optim.lbfgs import LBFGS

SCALES = torch.logspace(0, 2, 60)
"""Curvatures of a quadratic bowl: 100 times as steep in one direction as in another."""


def bowl(parameter: nn.Parameter, scale: float = 1.0) -> Callable[[], Tensor]:
    """A closure that evaluates a quadratic bowl with its minimum at 1, and counts its calls in `calls`."""

    def closure() -> Tensor:
        loss = scale * (SCALES * (parameter - 1).square()).sum()
        (parameter.grad,) = torch.autograd.grad(loss, [parameter])
        closure.calls += 1  # type: ignore[attr-defined]
        return torch.stack([loss, parameter.mean()]).detach()

    closure.calls = 0  # type: ignore[attr-defined]
    return closure


def test_it_reaches_the_minimum_with_one_evaluation_per_step() -> None:
    parameter = nn.Parameter(torch.zeros(60))
    closure, optimizer = bowl(parameter), LBFGS([parameter], lr=1, history_size=10)
    metrics = [optimizer.step(closure) for _ in range(60)]
    assert closure.calls == 61  # type: ignore[attr-defined]  # one more at the start
    losses = [float(each[0]) for each in metrics]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-8 * losses[0]
    assert float(metrics[0][1]) == 0  # metrics belong to the point before the step
    torch.testing.assert_close(parameter.detach(), torch.ones(60), rtol=0, atol=1e-3)


@pytest.mark.parametrize("power", [-40, 40])
def test_the_scale_of_the_loss_makes_no_difference(power: int) -> None:
    ends = []
    for scale in (1.0, 2.0**power):
        parameter = nn.Parameter(torch.zeros(60))
        closure, optimizer = bowl(parameter, scale), LBFGS([parameter], lr=1, history_size=10)
        for _ in range(10):
            optimizer.step(closure)
        ends.append(parameter.detach().clone())
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-4)


def test_a_point_with_a_higher_loss_or_nan_is_rejected() -> None:
    parameter = nn.Parameter(torch.full((8,), 0.5))

    def closure() -> Tensor:
        loss = parameter.sum() if (parameter > 0.49).all() else parameter.sum() * float("nan")
        (parameter.grad,) = torch.autograd.grad(loss, [parameter])
        return loss.detach()[None]

    optimizer = LBFGS([parameter], lr=1, history_size=10)
    losses = [float(optimizer.step(closure)) for _ in range(40)]
    assert all(loss <= 4.0 for loss in losses)
    assert losses[-1] < losses[0]
    assert (parameter > 0.49).all()


def test_it_stays_at_the_minimum() -> None:
    parameter = nn.Parameter(torch.ones(60))
    closure, optimizer = bowl(parameter), LBFGS([parameter], lr=1, history_size=10)
    for _ in range(5):
        optimizer.step(closure)
    assert torch.equal(parameter.detach(), torch.ones(60))


def test_it_resumes_bit_exactly() -> None:
    def advance(parameter: nn.Parameter, optimizer: LBFGS) -> Tensor:
        closure = bowl(parameter)
        for _ in range(10):
            optimizer.step(closure)
        return parameter.detach().clone()

    parameter = nn.Parameter(torch.zeros(60))
    optimizer = LBFGS([parameter], lr=1, history_size=4)
    advance(parameter, optimizer)
    copy = nn.Parameter(parameter.detach().clone())
    loaded = LBFGS([copy], lr=1, history_size=4)
    loaded.load_state_dict(deepcopy(optimizer.state_dict()))
    assert torch.equal(advance(parameter, optimizer), advance(copy, loaded))


def test_more_than_one_parameter_is_refused() -> None:
    with pytest.raises(InputError, match="take optimizer=adam"):
        LBFGS([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))], lr=1, history_size=10)
