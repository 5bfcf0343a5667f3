"""Tensors from files, which may be a stranger's."""

import warnings
from pathlib import Path
from typing import Any

import torch


def read_tensors(path: Path) -> Any:
    """What torch.save wrote to a file: only tensors, on the CPU, and plain values; no code in it is run.

    Raises errors of any kind for anything else.
    """
    with warnings.catch_warnings():  # such as that of sparse tensors, which whoever reads refuses
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def holds_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor that was read from a file has finite numbers of its own: not sparse, quantized or meta."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return plain and bool(tensor.isfinite().all())
