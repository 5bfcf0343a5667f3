"""The numbers by which runs are compared: what they are called, and which of two is better."""

import math
from collections.abc import Mapping
from typing import Any

from nst.errors import InputError, did_you_mean

FIGURES = {
    "ssim": "structural similarity to the content, of the luma; 1: equal",
    "self_similarity": "how differently alike its places are to each other than the content's, in [0, 2]; 0: equal",
    "color": "how far its colors must be moved to become the styles', in units of [0, 1]; 0: equal",
    "w2": "Wasserstein distance of its features to the styles', squared; 0: equal",
    "gram": "distance of its Gram matrices to the styles', in units of theirs; 0: equal",
    "sliced": "distance of the distributions of its features to the styles', squared; 0: equal",
    "noise": "how rough it is, in units of the styles' roughness; 1: as rough",
}
"""A judge's figure of a picture → its meaning. Without a content or a style, those that need it are left out."""
METRICS = (
    {name: f"loss/{name}" for name in ("total", "content", "style", "tv", "structure")}
    | {name: f"judge/{name}" for name in FIGURES}
    | {name: name for name in ("seconds_per_step", "total_seconds", "peak_memory_mb")}
)
"""Name for `optimized_metric` → the number's name in records."""
BEST_AT_ONE = "judge/ssim"
"""Of it a search minimizes the difference from 1; all others are better the smaller they are."""


def weights(given: Any) -> dict[str, float]:
    """Number of a record → its weight, for a value of `optimized_metric`: a name, or {name: weight, …}.

    Raises InputError for an unknown name, and for weights that are no finite numbers or all 0.
    """
    named = {given: 1.0} if isinstance(given, str) else given
    if not isinstance(named, Mapping) or not named:
        raise InputError(f"optimized_metric={given}: must be one of {', '.join(METRICS)}, or {{NAME: weight, …}}")
    found = {}
    for name, weight in named.items():
        full = METRICS.get(str(name), str(name))
        if full not in METRICS.values():
            hint = did_you_mean(str(name), METRICS)
            raise InputError(f"optimized_metric={name}: no such number{hint}; expected one of {', '.join(METRICS)}")
        if type(weight) not in (int, float) or not math.isfinite(weight):
            raise InputError(f"optimized_metric.{name}={weight}: the weight must be a finite number")
        found[full] = float(weight)
    if not any(found.values()):
        raise InputError(f"optimized_metric={given}: one of the weights must not be 0")
    return found


def cost(given: Any, measured: Mapping[str, Any]) -> float | None:
    """What a search minimizes: the weighted sum of a run's numbers, of `ssim` 1 - ssim; None if it lacks one of them.

    given: as for `weights`. measured: the numbers by their names in records.
    """
    wanted = weights(given)
    if not all(isinstance(measured.get(name), int | float) for name in wanted):
        return None
    return sum(
        weight * (1 - measured[name] if name == BEST_AT_ONE else measured[name]) for name, weight in wanted.items()
    )


def described(given: Any) -> str:
    """`judge/w2`, or `judge/w2 + 2 judge/ssim`."""
    return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights(given).items())
