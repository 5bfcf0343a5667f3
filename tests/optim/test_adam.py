"""Adam takes its means along when the image changes its size."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.optim import OPTIMIZERS
from nst.optim.adam import Adam
from nst.optim.base import ImageOptimizer
from nst.optim.lbfgs import LBFGS


def stepped(optimizer: ImageOptimizer, parameter: nn.Parameter, gradient: Tensor) -> None:
    def closure() -> Tensor:
        parameter.grad = gradient
        return torch.zeros(1)

    optimizer.step(closure)  # type: ignore[arg-type]


def test_means_are_resized_and_steps_go_on() -> None:
    old, new = nn.Parameter(torch.zeros(1, 3, 4, 4)), nn.Parameter(torch.zeros(1, 3, 6, 8))
    optimizer = Adam([old], lr=0.5, beta1=0.9, beta2=0.5)
    for _ in range(2):
        stepped(optimizer, old, torch.full_like(old, 2.0))
    optimizer.resized(old, new)
    state = optimizer.state[new]
    # a constant gradient g: (1 - beta^2) g and (1 - beta^2) g^2 after two steps
    torch.testing.assert_close(state["exp_avg"], torch.full((1, 3, 6, 8), 0.19 * 2))
    torch.testing.assert_close(state["exp_avg_sq"], torch.full((1, 3, 6, 8), 0.75 * 4))
    assert float(state["step"]) == 2
    assert list(optimizer.state) == optimizer.param_groups[0]["params"] == [new]
    stepped(optimizer, new, torch.full_like(new, 2.0))
    torch.testing.assert_close(new.detach(), torch.full((1, 3, 6, 8), -0.5))  # lr · g / |g|
    assert float(state["step"]) == 3


def test_means_of_squares_stay_positive() -> None:
    old, new = nn.Parameter(torch.zeros(1, 3, 8, 8)), nn.Parameter(torch.zeros(1, 3, 16, 16))
    gradient = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    optimizer = Adam([old], lr=0.1, beta1=0.9, beta2=0.99)
    stepped(optimizer, old, gradient)
    optimizer.resized(old, new)
    resized = F.interpolate(0.1 * gradient, (16, 16), mode="bicubic", align_corners=False)
    torch.testing.assert_close(optimizer.state[new]["exp_avg"], resized)
    assert optimizer.state[new]["exp_avg_sq"].min() >= 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_before_the_first_step_there_is_nothing_to_resize(name: str) -> None:
    old, new = nn.Parameter(torch.ones(1, 3, 4, 4)), nn.Parameter(torch.ones(1, 3, 8, 8))
    options = {"lr": 1.0, "history_size": 3} if name == "lbfgs" else {"lr": 1.0, "beta1": 0.9, "beta2": 0.99}
    optimizer = OPTIMIZERS[name]([old], **options)
    optimizer.resized(old, new)
    assert not optimizer.state
    assert optimizer.param_groups[0]["params"][0] is new


def test_only_lbfgs_forgets_when_the_loss_is_another_one() -> None:
    old, new = nn.Parameter(torch.ones(1, 3, 4, 4)), nn.Parameter(torch.ones(1, 3, 8, 8))
    lbfgs, adam = LBFGS([old], lr=1.0, history_size=3), Adam([old], lr=1.0, beta1=0.9, beta2=0.99)
    for optimizer in (lbfgs, adam):
        stepped(optimizer, old, torch.ones_like(old))
        optimizer.renewed()
    assert not lbfgs.state
    assert adam.state[old]
    stepped(lbfgs, old, torch.ones_like(old))
    lbfgs.resized(old, new)
    assert not lbfgs.state
