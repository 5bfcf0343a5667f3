"""Steps without Python overhead: on a CUDA device they are captured once and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

from nst import devices

WARM_UP = 3
"""Calls before the capture, in which libraries choose their algorithms and optimizers create their state."""


class CudaGraph:
    """A function without arguments that is called many times; on a CUDA device it is replayed as one CUDA graph.

    On a large GPU, launching the thousand kernels of a step one by one takes the CPU longer than the GPU needs to
    compute them. On other devices the function is simply called.
    The function must read and write the same tensors in every call. If it synchronizes the device, it is not
    capturable, and is called. The tensor it returns is overwritten by the next call.
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device, capturable: bool = True) -> None:
        self._function, self._device = function, device
        self._captures = capturable and devices.is_nvidia(device)
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Tensor:
        if not self._captures:
            return self._function()
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._on_side_stream()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._returned = self._function()
        self._graph.replay()
        return self._returned

    def _on_side_stream(self) -> Tensor:
        """Call the function on a separate stream, which a capture requires of the calls before it."""
        stream, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            returned = self._function()
        current.wait_stream(stream)
        return returned
