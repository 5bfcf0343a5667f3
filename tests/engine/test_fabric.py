"""The device, and what it can do."""

import pytest
import torch

from nst import devices
from nst.engine.fabric import Hardware, make_fabric, mixed_precision
from nst.errors import InputError


def test_casts_of_weights_are_not_kept_between_steps() -> None:
    fabric, before = make_fabric(Hardware("cpu", precision="bfloat16")), torch.is_autocast_cache_enabled()
    weight, x = torch.ones(2, 2), torch.ones(2, 2)
    weight.requires_grad_()
    with mixed_precision(fabric):
        first = x @ weight
        with torch.no_grad():
            weight.mul_(2)
        second = x @ weight
    assert first.dtype is torch.bfloat16
    assert float(second.detach().sum()) == 2 * float(first.detach().sum())
    assert torch.is_autocast_cache_enabled() == before


def test_what_a_machine_does_not_have_is_said_in_one_line() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="trainer=gpu: torch finds none"):
            make_fabric(Hardware("gpu"))
        with pytest.raises(InputError, match="only NVIDIA GPUs have it"):
            make_fabric(Hardware("cpu", precision="tf32"))
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="trainer=mps: torch finds none"):
            make_fabric(Hardware("mps"))


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_only_nvidia_has_graphs_and_pinned_copies(kind: str) -> None:
    device = torch.device(kind)
    assert not devices.is_nvidia(device)
    assert devices.facts(device)["type"] == kind
    memory = devices.peak_memory_mb(device)
    assert memory is None or memory > 100


def test_a_copy_is_not_changed_by_later_steps() -> None:
    image = torch.zeros(1, 3, 2, 2)
    copy = devices.copy_to_cpu(image)
    image.add_(1)
    assert copy.sum() == 0
