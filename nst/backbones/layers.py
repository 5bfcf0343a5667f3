"""Layer names: each network has its canonical names; the course's names are aliases of VGG's."""

import re
from collections.abc import Collection, Iterable

from nst.backbones.networks import architecture
from nst.errors import InputError, did_you_mean

ALIASES = {f"conv_{block}": f"conv{block}_1" for block in range(1, 6)}
"""The course's names: `conv_i` is the first convolution of block i, before its ReLU."""


def resolve(names: Iterable[str], available: Collection[str], backbone: str) -> list[str]:
    """The canonical forms of `names`: aliases replaced, order kept, repeats dropped.

    backbone: the name of the network whose layers are `available`.
    Raises InputError for a name that is neither an alias nor in `available`.
    """
    return list(dict.fromkeys(_canonical(name, available, backbone) for name in names))


def _canonical(name: str, available: Collection[str], backbone: str) -> str:
    canonical = ALIASES.get(name, name)
    if canonical in available:
        return canonical
    listed = f"the layers of {backbone} are {', '.join(available)}"
    if hint := architecture(backbone).hint:
        listed += f"; {hint}"
    ambiguous = re.fullmatch(r"(conv|relu)_(\d+)", name)
    if ambiguous and name not in ALIASES:
        kind, number = ambiguous.groups()
        raise InputError(
            f"layer '{name}' is ambiguous: the first {kind} of block {number} ({kind}{number}_1), or {kind} number "
            f"{number} of the network; the aliases are conv_1 … conv_5, and {listed}"
        )
    raise InputError(f"no layer '{name}' in backbone {backbone}{did_you_mean(name, available)}; {listed}")
