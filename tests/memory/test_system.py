"""Free memory, and the errors that mean there is none."""

import pytest
import torch

from nst.memory.system import free_bytes, is_out_of_memory, keep_freed_memory


@pytest.mark.parametrize("device", ["cpu", "mps"])  # MPS shares the machine's memory
def test_free_memory_is_that_of_the_machine(device: str) -> None:
    keep_freed_memory()
    assert 1e6 < free_bytes(torch.device(device)) < 1e15


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: 8 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, max allowed: 18.1 GB)"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_errors_of_every_device_are_recognized(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
