"""L-BFGS: one evaluation a step, down to the minimum, whatever the scale, and the same after it is loaded again."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from nst.errors import InputError
from nst.lbfgs import LBFGS

SCALES = torch.logspace(0, 2, 60)
"""Curvatures of a bowl: 100 times steeper one way than another."""


def bowl(parameter: nn.Parameter, scale: float = 1.0) -> Callable[[], Tensor]:
    """A closure over a bowl with its bottom at 1; counts its calls in `calls`."""

    def closure() -> Tensor:
        loss = scale * (SCALES * (parameter - 1).square()).sum()
        (parameter.grad,) = torch.autograd.grad(loss, [parameter])
        closure.calls += 1  # type: ignore[attr-defined]
        return torch.stack([loss, parameter.mean()]).detach()

    closure.calls = 0  # type: ignore[attr-defined]
    return closure


def test_it_reaches_the_bottom_with_one_evaluation_a_step() -> None:
    parameter = nn.Parameter(torch.zeros(60))
    closure, optimizer = bowl(parameter), LBFGS([parameter], lr=1, history=10)
    told = [optimizer.step(closure) for _ in range(60)]
    assert closure.calls == 61  # type: ignore[attr-defined]  # one more, at the start
    losses = [float(each[0]) for each in told]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-8 * losses[0]
    assert float(told[0][1]) == 0  # what is told is of where the parameter was
    torch.testing.assert_close(parameter.detach(), torch.ones(60), rtol=0, atol=1e-3)


@pytest.mark.parametrize("power", [-40, 40])
def test_the_scale_of_the_loss_makes_no_difference(power: int) -> None:
    ends = []
    for scale in (1.0, 2.0**power):
        parameter = nn.Parameter(torch.zeros(60))
        closure, optimizer = bowl(parameter, scale), LBFGS([parameter], lr=1, history=10)
        for _ in range(10):
            optimizer.step(closure)
        ends.append(parameter.detach().clone())
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-4)


def test_a_point_that_is_higher_or_no_number_is_not_taken() -> None:
    parameter = nn.Parameter(torch.full((8,), 0.5))

    def closure() -> Tensor:
        loss = parameter.sum() if (parameter > 0.49).all() else parameter.sum() * float("nan")
        (parameter.grad,) = torch.autograd.grad(loss, [parameter])
        return loss.detach()[None]

    optimizer = LBFGS([parameter], lr=1, history=10)
    losses = [float(optimizer.step(closure)) for _ in range(40)]
    assert all(loss <= 4.0 for loss in losses)
    assert losses[-1] < losses[0]
    assert (parameter > 0.49).all()


def test_at_the_bottom_it_stays() -> None:
    parameter = nn.Parameter(torch.ones(60))
    closure, optimizer = bowl(parameter), LBFGS([parameter], lr=1, history=10)
    for _ in range(5):
        optimizer.step(closure)
    assert torch.equal(parameter.detach(), torch.ones(60))


def test_loaded_again_it_goes_on_to_the_bit() -> None:
    def go_on(parameter: nn.Parameter, optimizer: LBFGS) -> Tensor:
        closure = bowl(parameter)
        for _ in range(10):
            optimizer.step(closure)
        return parameter.detach().clone()

    parameter = nn.Parameter(torch.zeros(60))
    optimizer = LBFGS([parameter], lr=1, history=4)
    go_on(parameter, optimizer)
    copy = nn.Parameter(parameter.detach().clone())
    loaded = LBFGS([copy], lr=1, history=4)
    loaded.load_state_dict(deepcopy(optimizer.state_dict()))
    assert torch.equal(go_on(parameter, optimizer), go_on(copy, loaded))


def test_it_is_for_one_parameter() -> None:
    with pytest.raises(InputError, match="take optimizer=adam"):
        LBFGS([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))], lr=1, history=10)
