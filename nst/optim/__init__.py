"""Optimizers, by the names of the config group; `nst.config.OPTIMIZERS` has their keys."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from nst.optim.adam import Adam
from nst.optim.base import ImageOptimizer
from nst.optim.lbfgs import LBFGS

MakeOptimizer = Callable[[Iterable[nn.Parameter]], ImageOptimizer]
"""Parameters → their optimizer."""
OPTIMIZERS: dict[str, Callable[..., ImageOptimizer]] = {"lbfgs": LBFGS, "adam": Adam}


def make_optimizer(name: str, options: Mapping[str, Any]) -> MakeOptimizer:
    """The optimizer of that name, still without its parameters. options: the other keys of its config group."""
    return partial(OPTIMIZERS[name], **options)


def images_kept(name: str, options: Mapping[str, Any]) -> int:
    """How many tensors of the parameters' size an optimizer keeps: L-BFGS its pairs, Adam two means."""
    return 2 * int(options["history_size"]) if name == "lbfgs" else 2
