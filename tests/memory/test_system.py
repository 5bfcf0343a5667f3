"""Free memory, and the errors that mean there is none."""

from pathlib import Path

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


@pytest.mark.parametrize(
    ("said", "place", "limit", "used", "cached"),
    [
        ("0::/job/step", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "5:cpu,memory:/job/step\n1:name=systemd:/job",
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_s_limit_is_known(
    said: str, place: str, limit: str, used: str, cached: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(said + "\n")
    for name, most in (("job/step", "max" if limit == "memory.max" else str(2**63 - 4096)), ("job", "3000000")):
        group = tmp_path / place / name
        group.mkdir(parents=True, exist_ok=True)
        (group / limit).write_text(most)
        (group / used).write_text("1000000")
        (group / "memory.stat").write_text(f"anon 5\n{cached} 250000\n")
    monkeypatch.setattr("nst.memory.system.ROOT", tmp_path)
    assert free_bytes(torch.device("cpu")) == 3_000_000 - 1_000_000 + 250_000
