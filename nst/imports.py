"""The first import of torch, Lightning and what they need: most of the time until a run begins."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(for_good: bool = False) -> Iterator[None]:
    """Let the garbage collector rest in a block that imports them for the first time.

    It would go through a million objects that all stay, again and again: a fifth of the time that the imports take.
    for_good: it leaves alone what is there after the block. For a process of nst's own, which then also ends sooner.
    """
    if "nst.runner" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        if for_good:
            gc.freeze()
    finally:
        gc.enable()
