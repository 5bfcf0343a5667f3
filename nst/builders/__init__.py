"""Config → objects. Below this package nobody sees a config."""

import torch

from nst.builders.distillation import build_distillation, build_fidelity
from nst.builders.generators import build_export, build_stylizing, build_training
from nst.builders.parts import Experiment
from nst.builders.pixels import build_transfer
from nst.config import Config, Mode

__all__ = ["Experiment", "build"]


def build(config: Config, device: torch.device, processes: int = 1) -> Experiment:
    """Read the images and the weights and put the task together on a device. Raises InputError for what cannot work.

    processes: how many train together.
    """
    match config.mode:
        case Mode.train:
            return build_training(config, device, processes)
        case Mode.stylize:
            return build_stylizing(config, device)
        case Mode.export:
            return build_export(config)
        case Mode.distill:
            return build_distillation(config)
        case Mode.fidelity:
            return build_fidelity(config, device)
        case _:
            return build_transfer(config, device)
