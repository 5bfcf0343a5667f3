"""Steps without Python: on a GPU they are recorded once and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before the recording, in which the libraries choose their algorithms and optimisers make their state."""


class Replay:
    """A function of no arguments that is called over and over, and on a GPU launched as one CUDA graph.

    Launching a step's thousand kernels one by one takes the processor longer than a large GPU takes to compute them.
    What the function reads and writes must stay in its place, and it must not wait for the device. What it returns is
    overwritten by the next call.
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device) -> None:
        self._function, self._device = function, device
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Tensor:
        if self._device.type != "cuda":
            return self._function()
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._aside()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._returned = self._function()
        self._graph.replay()
        return self._returned

    def _aside(self) -> Tensor:
        """Call on a stream of its own, as recording asks of what comes before it."""
        stream, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            returned = self._function()
        current.wait_stream(stream)
        return returned
