"""Pickles from strangers: what would take hours to read is found before it is read."""

import time
from collections.abc import Iterable
from pickletools import OpcodeInfo, genops, markobject, stackslice
from typing import IO, Any

MOST_VALUES = 10_000_000
"""That references may stand for in all. Each is looked at when it is in the key of a dictionary: seconds."""
SLOWEST = 60.0
"""Seconds that looking through a pickle may take; reading it takes about as long."""


def refuse_endless(file: IO[bytes]) -> None:
    """Raise ValueError for the pickle that begins here and would take very long to read. Leaves the file at its end.

    A tuple that holds another one twice, which holds another one twice, and so on, takes a few bytes a level. As the
    key of a dictionary it takes for ever.
    """
    _follow(genops(file))


def _follow(operations: Iterable[tuple[OpcodeInfo, Any, int | None]]) -> None:
    began = time.monotonic()
    stack: list[Any] = []  # how many values there are in each value; None for a mark
    memo: dict[int, int] = {}
    referred = 0
    for operation, argument, _ in operations:
        name = operation.name
        if name == "MEMOIZE" or name.endswith("PUT"):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP" or name.endswith("GET"):
            stack.append(stack[-1] if argument is None else memo[argument])
            referred += stack[-1]
        else:
            inside = 1
            for taken in reversed(operation.stack_before):
                if taken is stackslice:
                    while (values := stack.pop()) is not None:  # down to the mark
                        inside += values
                elif taken is not markobject:
                    inside += stack.pop()
            stack += [inside] * len(operation.stack_after)
        if referred > MOST_VALUES or time.monotonic() - began > SLOWEST:
            raise ValueError("a pickle that would take very long to read")
