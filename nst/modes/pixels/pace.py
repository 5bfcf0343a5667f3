"""How long a run will take."""

import time
from collections.abc import Iterable

import torch

from nst.modes.pixels.descent import Scale


def seconds_of(scales: Iterable[Scale]) -> float:
    """About how many seconds the steps take: of each scale the second evaluation is timed.

    Line searches make steps a little longer.
    """
    seconds, before = 0.0, 0
    for scale in scales:
        device = next((each.device for each in scale.objective.buffers()), torch.device("cpu"))
        image = torch.full((1, 3, *scale.size), 0.5, device=device, requires_grad=True)
        for _ in range(2):
            began = time.perf_counter()
            scale.objective(image)["total"].backward()
            float(image.grad.sum())  # type: ignore[union-attr]  # waits for the device
            taken = time.perf_counter() - began
        seconds, before = seconds + taken * (scale.until - before), scale.until
    return seconds
