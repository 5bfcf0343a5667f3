"""Lightning Fabric for a run: device, number of processes and precision."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException

from nst import devices
from nst.errors import InputError, one_line

LIGHTNING = ("lightning_fabric", "pytorch_lightning")
"""Packages that announce device and precision, which the record holds; importing them sets their level to INFO."""


@dataclass(frozen=True)
class Hardware:
    """What a run asks for. devices: processes on each machine; None: one for each GPU."""

    accelerator: str = "auto"
    devices: int | None = 1
    num_nodes: int = 1
    precision: str = "float32"

    @property
    def several(self) -> bool:
        """Whether several processes share the work."""
        return self.devices != 1 or self.num_nodes != 1


def make_fabric(hardware: Hardware) -> Fabric:
    """Raises InputError for what this machine does not have. The processes start with `Fabric.launch`."""
    for package in LIGHTNING:
        logging.getLogger(package).setLevel(logging.WARNING)
    if hardware.several:  # torch 2.14 has another name for it, which torch 2.11 does not know
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")
    try:
        fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices or "auto",
            num_nodes=hardware.num_nodes,
            # each rank has buffers of its own: which images it could not read
            strategy=DDPStrategy(broadcast_buffers=False) if hardware.several else "auto",
            precision="bf16-mixed" if hardware.precision == "bfloat16" else "32-true",
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        if hardware.accelerator in ("gpu", "mps") and not devices.has(hardware.accelerator):
            raise InputError(
                f"trainer={hardware.accelerator}: torch finds none on this machine; use trainer=auto or trainer=cpu"
            ) from None
        raise InputError(f"trainer: {one_line(error)}") from None
    if hardware.precision == "tf32" and not devices.is_nvidia(fabric.device):
        raise InputError(
            f"trainer.precision=tf32: only NVIDIA GPUs have it, and this run is on {fabric.device.type}; use float32"
        )
    torch.backends.cudnn.allow_tf32 = hardware.precision == "tf32"  # torch's own default allows it
    return fabric


@contextmanager
def mixed_precision(fabric: Fabric) -> Iterator[None]:
    """The networks compute in the run's precision. Casts of weights are not kept: they change from step to step."""
    with fabric.autocast():
        torch.set_autocast_cache_enabled(False)  # Fabric's default keeps them; leaving autocast restores the setting
        yield
