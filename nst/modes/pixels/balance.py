"""A hint about weights under which the content cannot show."""

import math
from collections.abc import Mapping

from nst.losses.objective import Objective
from nst.text import number, say

UNBALANCED = 1e5
"""First weighted loss, in units of the content weight, above which the content hardly shows: that of style_weight=1e9
is 3e5 to 1.4e6, by style loss (chelsea in swirl, 128 px), and of 1e6, which balances, a thousandth of it."""
BALANCED = UNBALANCED / 100
"""First weighted loss, in the same units, that the hint aims at."""


def say_unbalanced(objective: Objective, metrics: Mapping[str, float]) -> None:
    """Say which weight to change if the content will hardly show, whose loss is of the order of its weight.

    metrics: as `Objective.named` returns them, of the first image.
    """
    content = objective.terms.get("content")
    if content is None or not content.targets or content.weight <= 0:
        return
    first = {name: metrics[f"weighted/{name}"] for name in objective.terms if name != "content"}
    name = max(first, key=lambda each: first[each], default="")
    if name and first[name] > UNBALANCED * content.weight:
        weight = objective.terms[name].weight
        advised = 10.0 ** math.floor(math.log10(weight * BALANCED * content.weight / first[name]))
        say(
            f"hint     the first total is {metrics['loss/total']:.2g}, nearly all of it {name}: the content will "
            f"hardly show; try {name}_weight={number(str(advised))}"
        )
