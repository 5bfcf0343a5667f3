"""Where the time before the first step goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_spent: dict[str, float] = {}


@contextmanager
def spending(on: str) -> Iterator[None]:
    """Add the seconds that the block takes to what is spent on something."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _spent[on] = _spent.get(on, 0.0) + time.perf_counter() - began


def spent() -> dict[str, float]:
    """What → seconds since this was last asked."""
    seconds = dict(_spent)
    _spent.clear()
    return seconds
