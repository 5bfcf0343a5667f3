"""Questions about a device, so that nobody else has to know the names of accelerators."""

import platform
from pathlib import Path

import torch


def is_nvidia(device: torch.device) -> bool:
    """Whether CUDA runs it: it has TF32 and CUDA graphs, and copies to pinned memory while it computes."""
    return device.type == "cuda"


def has(accelerator: str) -> bool:
    """Whether this machine has a GPU, "gpu", or Apple's, "mps"."""
    return torch.backends.mps.is_available() if accelerator == "mps" else torch.cuda.is_available()


def free_bytes(device: torch.device) -> float | None:
    """Bytes that can still be allocated on a GPU with memory of its own; None on other devices."""
    if not is_nvidia(device):
        return None
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + cached


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak so far of a GPU that counts its own memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory in MB: on a CUDA GPU as allocated by torch since the last reset, elsewhere of this process so far.

    None where it is not known.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the memory of the process that started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def facts(device: torch.device) -> dict[str, str | int]:
    """What a record says of the device: its type, its name, and the number of CPU threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"type": device.type, "name": name, "threads": torch.get_num_threads()}


def copy_to_cpu(image: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU. From a CUDA GPU it is complete only after the next synchronization, and steps go on."""
    if not is_nvidia(image.device):
        return image.detach().to("cpu", copy=True)
    return torch.empty_like(image, device="cpu", pin_memory=True).copy_(image, non_blocking=True)
