"""How far an optimiser gets in so many seconds, on the pixels of one image.

`python -m nst.bench.descents` runs one in a process of its own and prints its curve, as JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nst.backbones import Backbone
from nst.bench.loops import CONTENT, STYLE, wait
from nst.imagefile import load
from nst.lbfgs import LBFGS
from nst.losses import range_loss
from nst.memory import keep
from nst.objective import Objective, content_targets, style_targets

TURN = 5
"""Steps between two looks at the loss, with the clock stopped."""


def _torch_lbfgs(image: nn.Parameter) -> torch.optim.Optimizer:
    # its tolerances end a run from the content at once
    return torch.optim.LBFGS(
        [image],
        max_iter=TURN,
        max_eval=100 * TURN,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )


OPTIMIZERS: dict[str, Callable[[nn.Parameter], torch.optim.Optimizer]] = {
    "lbfgs": lambda image: LBFGS([image], lr=1, history=10),
    "torch's lbfgs": _torch_lbfgs,
    "adam, 0.02": lambda image: torch.optim.Adam([image], lr=0.02, betas=(0.9, 0.99)),
    "adam, 0.08": lambda image: torch.optim.Adam([image], lr=0.08, betas=(0.75, 0.99)),  # experiments/adam_search
}


def descend(content: Tensor, objective: Objective, name: str, seconds: float) -> list[tuple[float, float]]:
    """From a content on: seconds, and the total loss of the picture that could be shown."""
    image = nn.Parameter(content.clone())
    optimizer = OPTIMIZERS[name](image)
    with torch.no_grad():
        factor = 10 * objective(torch.full_like(image, 0.5))["total"]

    def evaluate() -> Tensor:
        minimised = objective(image)["total"] + factor * range_loss(image)
        (image.grad,) = torch.autograd.grad(minimised, [image])
        return minimised.detach()[None]

    curve, clock = [], 0.0
    while clock < seconds:
        wait(image.device)
        began = time.perf_counter()
        for _ in range(1 if isinstance(optimizer, torch.optim.LBFGS) else TURN):
            optimizer.step(evaluate)  # type: ignore[arg-type]
        wait(image.device)
        clock += time.perf_counter() - began
        with torch.no_grad():
            curve.append((clock, float(objective(image.clamp(0, 1))["total"])))
    return curve


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m nst.bench.descents", description=__doc__)
    parser.add_argument("optimizer", choices=OPTIMIZERS)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    keep()
    content, style = (load(path, given.size).to(given.device) for path in (given.content, given.style))
    backbone = Backbone("slim", [*CONTENT, *STYLE], padding="reflect").to(given.device)
    kept, matched = content_targets(backbone, content, CONTENT), style_targets(backbone, style, STYLE)
    curve = descend(content, Objective(backbone, kept, matched, tv_weight=5.0), given.optimizer, given.seconds)
    json.dump({"curve": curve}, sys.stdout)


if __name__ == "__main__":
    main()
