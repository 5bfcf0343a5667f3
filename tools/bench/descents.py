"""The loss that an optimizer reaches in a given time, on the pixels of one image.

`python -m tools.bench.descents` runs one in a process of its own and prints its curve, as JSON.
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
from nst.devices import synchronize
from nst.images.files import load
from nst.losses.content.features import FeatureDistance
from nst.losses.objective import Losses, Objective
from nst.losses.priors import range_loss
from nst.losses.style.gram import Gram
from nst.losses.transfer import Layers, transfer_objective
from nst.memory.system import keep_freed_memory
from nst.optim.lbfgs import LBFGS
from tools.bench.loops import CONTENT, STYLE

TURN = 5
"""Steps between two readings of the loss. The clock stops while it is read."""


def _torch_lbfgs(image: nn.Parameter) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(
        [image],
        max_iter=TURN,
        max_eval=100 * TURN,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,  # the defaults of both tolerances end a run that starts at the content at once
        tolerance_change=0,
    )


OPTIMIZERS: dict[str, Callable[[nn.Parameter], torch.optim.Optimizer]] = {
    "lbfgs": lambda image: LBFGS([image], lr=1, history_size=10),
    "torch's lbfgs": _torch_lbfgs,
    "adam, 0.02": lambda image: torch.optim.Adam([image], lr=0.02, betas=(0.9, 0.99)),
    "adam, 0.08": lambda image: torch.optim.Adam([image], lr=0.08, betas=(0.75, 0.99)),  # experiments/adam_search
}
"""Name → optimizer of the pixels."""


def descend(content: Tensor, objective: Objective, name: str, seconds: float) -> list[tuple[float, float]]:
    """Optimize for so many seconds, starting at the content, (1, 3, H, W) in [0, 1].

    Returns (seconds, total loss of the image clamped to [0, 1]) after each turn.
    """
    image = nn.Parameter(content.clone())
    optimizer = OPTIMIZERS[name](image)
    with torch.no_grad():
        factor = 10 * objective(torch.full_like(image, 0.5))["total"]

    def evaluate() -> Tensor:
        loss = objective(image)["total"] + factor * range_loss(image)
        (image.grad,) = torch.autograd.grad(loss, [image])
        return loss.detach()[None]

    curve, clock = [], 0.0
    while clock < seconds:
        synchronize(image.device)
        started = time.perf_counter()
        for _ in range(1 if isinstance(optimizer, torch.optim.LBFGS) else TURN):
            optimizer.step(evaluate)  # type: ignore[arg-type]
        synchronize(image.device)
        clock += time.perf_counter() - started
        with torch.no_grad():
            curve.append((clock, float(objective(image.clamp(0, 1))["total"])))
    return curve


def slim_objective(content: Tensor, style: Tensor) -> Objective:
    """The objective of a transfer with slim, for images (1, 3, H, W) in [0, 1]."""
    backbone = Backbone("slim", [*CONTENT, *STYLE], padding="reflect").to(content.device)
    losses = Losses(FeatureDistance(), Gram(), {"content": 1.0, "style": 1e6, "tv": 5.0})
    return transfer_objective(backbone, content, style, Layers(CONTENT, STYLE), losses)


def main() -> None:
    """Run one optimizer and print its curve."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.descents", description=main.__doc__)
    parser.add_argument("optimizer", choices=OPTIMIZERS)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True, help="longest side in pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, required=True, help="how long to optimize")
    given = parser.parse_args()
    keep_freed_memory()  # as nst does
    content, style = (load(path, given.size).to(given.device) for path in (given.content, given.style))
    curve = descend(content, slim_objective(content, style), given.optimizer, given.seconds)
    json.dump({"curve": curve}, sys.stdout)


if __name__ == "__main__":
    main()
