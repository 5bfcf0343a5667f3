"""How pixels are optimized, from coarse to fine: sizes, steps at each, and what a step does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from nst.losses.objective import Objective
from nst.optim import MakeOptimizer


@dataclass(frozen=True)
class Scale:
    """A size of the image: (H, W) in pixels, what is minimized at that size, and the step that ends it.

    finish: from the image in [0, 1] to the picture that is shown; None: it is the picture.
    """

    size: tuple[int, int]
    objective: Objective
    until: int
    finish: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Descent:
    """How the pixels are optimized.

    range_weight: factor of the range loss, in units of the loss of a gray image, so that it suits all weights and
    backbones. A departure from Gatys et al.: without it L-BFGS takes pixels far outside [0, 1], and clamping them at
    the end undoes its work. On chelsea in swirl (160 px, 120 steps; with torch's L-BFGS and earlier weights) the
    clamped picture's total was 58, 5.06, 5.08 and 5.51 with factors of 0, 1, 10 and 100, and with a style weight of 1e3
    it was 1.79, 1.31, 0.99 and 0.98.
    average: decay of the average of the pixels over the steps at a scale, in [0, 1). 0: there is none. Else the picture
    is the average, and the next scale starts from it (crowsonkb/style-transfer-pytorch has 0.99).
    """

    make_optimizer: MakeOptimizer
    range_weight: float = 10.0
    average: float = 0.0


def most_scales(longest: int, smallest: int, factor: float) -> int:
    """How many sizes there are from `smallest` to `longest` pixels, if each is `factor` times the one before; ≥ 1."""
    # 1.41421356 is a little less than √2, and a little more would lose a scale
    return max(0, math.floor(math.log(longest / smallest) / math.log(factor) + 1e-6)) + 1


def last_steps(steps: int, scales: int, shares: Sequence[float] | None) -> list[int]:
    """The step that ends each scale, from coarse to fine; each has at least one of the `steps`, ≥ scales.

    shares: of the steps, from coarse to fine, at most one for each scale, ≥ 0, not all 0; further scales have the last
    one. None: equal.
    """
    given = list(shares or [1.0])
    given += given[-1:] * (scales - len(given))
    ends = [0]
    for number in range(1, scales + 1):
        fair = math.floor(steps * sum(given[:number]) / sum(given) + 1e-9)  # 1e-9: for sums of fractions
        ends.append(min(max(fair, ends[-1] + 1), steps - (scales - number)))
    return ends[1:]


@dataclass(frozen=True)
class Renewal:
    """A call of `Objective.renew`: the step before it, the image (1, 3, H, W), and the number of calls before it."""

    step: int
    image: Tensor
    number: int
