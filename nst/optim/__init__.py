"""Optimizers, by the names of the config group; `nst.config.OPTIMIZERS` has their keys."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from nst.optim.lbfgs import LBFGS

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Parameters → their optimizer."""


def _adam(parameters: Iterable[nn.Parameter], lr: float, beta1: float, beta2: float) -> Optimizer:
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2))


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"lbfgs": LBFGS, "adam": _adam}


def make_optimizer(name: str, options: Mapping[str, Any]) -> MakeOptimizer:
    """The optimizer of that name, still without its parameters. options: the other keys of its config group."""
    return partial(OPTIMIZERS[name], **options)


def images_kept(name: str, options: Mapping[str, Any]) -> int:
    """How many tensors of the parameters' size an optimizer keeps: L-BFGS its pairs, Adam two means."""
    return 2 * int(options["history_size"]) if name == "lbfgs" else 2
