"""Layer names: the canonical ones are walked off a network, the classroom's are aliases of them."""

import re
from collections.abc import Collection, Iterable

from torch import nn

from nst.errors import InputError, did_you_mean

CLASSROOM = {f"conv_{block}": f"conv{block}_1" for block in range(1, 6)}
"""The classroom's words: `conv_i` is the first convolution of block i, read before its ReLU."""


def vgg_names(features: Iterable[nn.Module]) -> list[str]:
    """One name a module of a VGG-like stack, in order: conv1_1, relu1_1, …, pool1, conv2_1, …"""
    names, block, index = [], 1, 0
    for module in features:
        if isinstance(module, nn.Conv2d):
            index += 1
            names.append(f"conv{block}_{index}")
        elif isinstance(module, nn.ReLU):
            names.append(f"relu{block}_{index}")
        else:
            names.append(f"pool{block}")
            block, index = block + 1, 0
    return names


def squeezenet_names(features: Iterable[nn.Module]) -> list[str]:
    """One name a module of a SqueezeNet, in order: conv1, relu1, pool1, fire2, … (Iandola 2016, table 1)."""
    names, index = [], 0
    for module in features:
        if isinstance(module, nn.ReLU):
            names.append(f"relu{index}")
        elif isinstance(module, nn.MaxPool2d):
            names.append(f"pool{index}")
        else:
            index += 1
            names.append(f"conv{index}" if isinstance(module, nn.Conv2d) else f"fire{index}")
    return names


def resolve(names: Iterable[str], available: Collection[str], backbone: str) -> list[str]:
    """Canonical names of `names`, aliases replaced, order kept, repeats dropped.

    Raises InputError for a name that is neither an alias nor in `available`, the layers of `backbone`.
    """
    return list(dict.fromkeys(_canonical(name, available, backbone) for name in names))


def _canonical(name: str, available: Collection[str], backbone: str) -> str:
    canonical = CLASSROOM.get(name, name)
    if canonical in available:
        return canonical
    listed = f"the layers of {backbone} are {', '.join(available)}"
    if backbone == "squeezenet":
        listed += "; layers=squeezenet is a choice among them"
    if backbone == "slim" and name.startswith(("relu", "pool", "conv")):
        listed += "; for all of VGG's take backbone=vgg19 or vgg16"
    ambiguous = re.fullmatch(r"(conv|relu)_(\d+)", name)
    if ambiguous and name not in CLASSROOM:
        kind, number = ambiguous.groups()
        raise InputError(
            f"layer '{name}' can be read two ways: the first {kind} of block {number} ({kind}{number}_1) or the "
            f"{kind} number {number} of the network; the aliases are conv_1 … conv_5, and {listed}"
        )
    raise InputError(f"no layer '{name}' in backbone {backbone}{did_you_mean(name, available)}; {listed}")
