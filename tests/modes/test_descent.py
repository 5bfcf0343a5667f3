"""Coarse to fine: sizes, steps at each, the average of the pixels, and losses that are renewed."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nst.losses.objective import Objective
from nst.losses.targets import Targets
from nst.losses.terms import Term
from nst.memory.strips import Strip
from nst.modes.pixels.average import Average
from nst.modes.pixels.descent import Descent, Scale, last_steps, most_scales
from nst.modes.pixels.task import Pixels
from nst.optim import make_optimizer
from nst.optim.base import ImageOptimizer
from tests.cli.test_sweeps import stop_at
from tests.conftest import SMALL, Door

LAYERS = ",".join(f"conv_{block}" for block in range(1, 6))


class Walk(ImageOptimizer):
    """Adds 0.1 to each pixel in each step, and keeps what it was told."""

    told: list[str]

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})
        self.told = []

    @torch.no_grad()
    def step(self, closure: Any) -> Tensor:  # type: ignore[override]
        with torch.enable_grad():
            before: Tensor = closure()
        self.param_groups[0]["params"][0].add_(0.1)
        return before

    def resized(self, old: Any, new: Any) -> None:
        super().resized(old, new)
        self.told.append(f"{old.shape[2]} to {new.shape[2]}")

    def renewed(self) -> None:
        self.told.append("renewed")


class Towards(Term):
    """Squared distance of the image's mean color from a target that depends on the last renewal."""

    renew_every = 2

    def __init__(self) -> None:
        super().__init__(1.0, {})
        self.calls: list[tuple[int, float]] = []
        self.wanted = 0.0

    def part(self, features: Mapping[str, Tensor], strip: Strip, targets: Targets) -> dict[str, Any]:
        return {"mean": features["image"].mean((2, 3))}

    def renew(self, parts: Sequence[Mapping[str, Any]] | None, number: int) -> None:
        assert parts is not None
        self.calls.append((number, round(float(parts[0]["mean"].mean()), 4)))
        self.wanted = 0.9 * float(parts[0]["mean"].mean()) + 0.01 * number

    def value(self, image: Tensor, parts: Sequence[Mapping[str, Any]], targets: Targets) -> Tensor:
        return (parts[0]["mean"] - self.wanted).square().sum()


def walk(task: Pixels, start: int, end: int) -> list[int]:
    """Take the steps from `start` to `end` as the loop does. Returns where it stopped."""
    stops = []
    while task.step < end:
        until = task.next_stop()
        rows = task.advance(until - task.step)
        assert bool(rows) == (task.step in (0, *task.report_steps))
        task.step = until
        stops.append(until)
    return stops


def task_of(descent: Descent, terms: Sequence[Term], report: Sequence[int] = ()) -> Pixels:
    """From 4×4 pixels of 0.2, with a scale for each term: 5 steps at 4×4 pixels, and 3 at 6×8."""
    sizes, ends = [(4, 4), (6, 8)], [5, 8]
    scales = [
        Scale(size, Objective(lambda image: {"image": image}, {"towards": term}), end)
        for size, end, term in zip(sizes, ends, terms, strict=False)
    ]
    task = Pixels(torch.full((1, 3, 4, 4), 0.2), scales, descent, report)
    task.optimizer = task.configure_optimizers()
    return task


@pytest.mark.parametrize(
    ("longest", "smallest", "factor", "scales"),
    [
        *[(384, 192, 2, 2), (383, 192, 2, 1), (256, 192, 2, 1), (768, 192, 2, 3), (100, 192, 2, 1)],
        *[(512, 128, 1.41421356, 5), (512, 128, math.sqrt(2), 5), (511, 128, math.sqrt(2), 4)],
    ],
)
def test_there_are_as_many_scales_as_fit(longest: int, smallest: int, factor: float, scales: int) -> None:
    assert most_scales(longest, smallest, factor) == scales


@pytest.mark.parametrize(
    ("steps", "scales", "shares", "ends"),
    [
        (100, 2, None, [50, 100]),
        (7, 3, None, [2, 4, 7]),
        (100, 4, [2, 1], [40, 60, 80, 100]),
        (10, 3, [0.3, 0.3, 0.4], [3, 6, 10]),
        (10, 3, [1, 0], [8, 9, 10]),  # a step each
        (10, 2, [0, 1], [1, 10]),
        (3, 3, [8, 1], [1, 2, 3]),
        (9, 1, [2], [9]),
    ],
)
def test_each_scale_has_its_share_of_the_steps(
    steps: int, scales: int, shares: list[float] | None, ends: list[int]
) -> None:
    assert last_steps(steps, scales, shares) == ends


def test_the_average_is_weighted_by_hand() -> None:
    average = Average(0.5)
    average.restart(torch.zeros(1))
    assert float(average.value(torch.tensor([7.0]))) == 7  # nothing to average yet
    for value in (1.0, 2.0, 4.0):
        average.add(torch.tensor([value]))
    # weights 1/8, 1/4, 1/2, which sum up to 7/8
    assert float(average.value(torch.tensor([4.0]))) == pytest.approx((1 / 8 + 2 / 4 + 4 / 2) * 8 / 7)
    again = Average(0.5)
    again.restart(torch.zeros(1))
    again.load(average.state())
    assert torch.equal(again.value(torch.zeros(1)), average.value(torch.zeros(1)))
    off = Average(0.0)
    off.add(torch.tensor([3.0]))
    assert float(off.value(torch.tensor([5.0]))) == 5
    assert off.state() == {}


def test_the_picture_is_the_average_and_the_next_scale_starts_from_it() -> None:
    still = [Towards(), Towards()]
    for term in still:
        term.renew_every = 0
    task = task_of(Descent(Walk, average=0.5), still)
    assert float(task.picture().mean()) == pytest.approx(0.2)
    walk(task, 0, 5)
    steps, weights = [0.3, 0.4, 0.5, 0.6, 0.7], [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]
    average = sum(step * weight for step, weight in zip(steps, weights, strict=True)) / sum(weights)
    torch.testing.assert_close(task.picture(), torch.full((1, 3, 4, 4), average))
    task.step = 5
    task.advance(1)
    torch.testing.assert_close(task.picture(), torch.full((1, 3, 6, 8), average + 0.1))  # the only one at this scale
    assert not any(term.calls for term in still)


def test_losses_are_renewed_at_each_scale_and_after_so_many_steps() -> None:
    terms = [Towards(), Towards()]
    task = task_of(Descent(Walk), terms, report=[3, 8])
    assert walk(task, 0, 8) == [2, 3, 4, 5, 7, 8]
    assert terms[0].calls == [(0, 0.2), (1, 0.4), (2, 0.6)]  # at steps 0, 2 and 4
    assert terms[1].calls == [(3, 0.7), (4, 0.9)]  # at steps 5 and 7
    assert isinstance(task.optimizer, Walk)
    assert task.optimizer.told == ["renewed", "renewed", "4 to 6", "renewed"]


@pytest.mark.parametrize("stop", [3, 4, 5, 7])
@pytest.mark.parametrize("optimizer", [("lbfgs", {"lr": 1.0, "history_size": 3}), ("adam", {})])
def test_a_run_goes_on_between_renewals_as_if_it_had_not_stopped(stop: int, optimizer: Any) -> None:
    name, options = optimizer
    options = options or {"lr": 0.02, "beta1": 0.9, "beta2": 0.99}
    descent = Descent(make_optimizer(name, options), average=0.9)

    def made() -> Pixels:
        return task_of(descent, [Towards(), Towards()], report=[3, 7])

    whole, first, second = made(), made(), made()
    walk(whole, 0, 8)
    walk(first, 0, stop)
    second.step = stop
    second.load_state(deepcopy(first.state()))
    second.optimizer = second.configure_optimizers()
    second.load_optimizer(deepcopy(first.optimizer.state_dict()))
    walk(second, stop, 8)
    assert torch.equal(second.pixels, whole.pixels)
    assert torch.equal(second.picture(), whole.picture())
    assert second.metrics() == whole.metrics()
    assert not torch.equal(whole.pixels, torch.full((1, 3, 6, 8), 0.2))


def test_a_picture_gone_wrong_is_taken_back_with_its_average(monkeypatch: pytest.MonkeyPatch) -> None:
    take_steps, spoilt = Pixels.take_steps, list[Tensor]()

    def once(task: Pixels, optimizer: object, steps: int) -> Tensor:
        before = take_steps(task, optimizer, steps)
        if task.step == 2 and not spoilt:
            spoilt.append(task.picture())
            task.pixels.data.fill_(float("nan"))
        return before

    monkeypatch.setattr(Pixels, "take_steps", once)
    task = task_of(Descent(Walk, average=0.5), [Towards()])
    walk(task, 0, 4)
    assert spoilt
    torch.testing.assert_close(task.picture(), spoilt[0])  # Walk's steps do not depend on lr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scales=5", "content_layers=[conv_5]"], "scales=5: the smallest image would be 4×4 pixels, and conv5_1"),
        (["scales=7"], "scales=7: there are only 6 steps"),
        (["scales=2", "scale_steps=[1,1,1]"], "scale_steps=[1,1,1]: has 3 shares, and there are 2 scales"),
        (["scale_steps=[0]"], "scale_steps=[0]: must be numbers from 0"),
        (["scale_steps=[]"], "scale_steps=[]: must be numbers from 0"),
        (["style_size=64", "style_scale=2"], "style_size=64 style_scale=2: both say how large the style is"),
        (["style_scale=0.01", "style_layers=[conv_5]"], "raise style_scale"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: list[str], said: str, nst: Door) -> None:
    result = nst(*SMALL, "content=astronaut", *arguments)
    assert result.status == 2
    assert said in result.err
    assert result.err.count("\n") == 1


def test_sizes_grow_by_the_factor_and_the_style_with_them(nst: Door) -> None:
    from nst.modes.pixels import build

    seen: list[tuple[int, int]] = []
    scene = build._scene

    def seeing(*arguments: Any, **options: Any) -> Any:
        made = scene(*arguments, **options)
        seen.append((max(made.canvas.shape[2:]), max(made.images["style"][0].shape[2:])))
        return made

    small = (*SMALL, "content=astronaut", "scale_factor=1.41421356", "smallest_scale=32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_scene", seeing)
        result = nst(*small, "scale_steps=[2,1]", "style_scale=0.75")
        assert result.status == 0, result.err
        assert result.record["decided"]["scales"] == 3
        assert result.record["decided"]["scale_steps"] == [2, 1]
        assert seen == [(64, 48), (45, 34), (32, 24)]
        seen.clear()
        nst(*small, "style_size=80", "steps=3")
        assert seen == [(64, 80), (45, 57), (32, 40)]
    again = nst(f"rerun={result.folder}", "tracking=none")
    assert "bit for bit" in again.out


def test_of_shares_for_more_scales_than_fit_the_first_are_used(nst: Door) -> None:
    assert "the shares of the 1 scales are 0" in nst(*SMALL, "scale_steps=[0,1]", "smallest_scale=64").err
    result = nst(*SMALL, "scale_steps=[2,1]")
    assert (result.record["decided"]["scales"], result.record["decided"]["scale_steps"]) == (1, [2])
    assert "bit for bit" in nst(f"rerun={result.folder}", "tracking=none").out


@pytest.mark.parametrize(
    "asked",
    [
        ["style_loss=sliced", "style_loss.renew_every=3", "scales=2", f"style_layers=[{LAYERS}]"],
        [
            *("optimizer=adam", "average=0.9", "scale_factor=1.41421356", "scales=3", "scale_steps=[2,1]"),
            *("style_loss=neighbors", "style_loss.renew_every=3"),
        ],
    ],
    ids=["sliced", "neighbors"],
)
def test_a_resumed_run_ends_where_the_whole_one_does(
    asked: list[str], nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*SMALL, "steps=8", "tracking.loss_every=2", "content=astronaut", *asked)
    whole = nst(*arguments)
    assert whole.status == 0, whole.err
    stop_at(6, monkeypatch)
    assert nst(*arguments, "trainer.checkpoint_seconds=1e-6").status == 130
    resumed = nst(*arguments, "resume=run2")
    assert resumed.status == 0, resumed.err
    assert [row["step"] for row in resumed.rows()] == [row["step"] for row in whole.rows()]
    assert resumed.record["losses"] == whole.record["losses"]
    assert np.array_equal(resumed.pixels(), whole.pixels())
