"""One process's state across the jobs of a sweep: what they share, and what this process has already found out."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nst.patience import Patience

T = TypeVar("T")


class Session:
    """Passed down from the entry point. A launcher's worker process has one of its own, shared by the jobs it runs."""

    def __init__(self) -> None:
        self.locks = ExitStack()
        """The lock of the sweep that this process started."""
        self.sweeps: list[Path] = []
        """Folders of the sweeps that this process started and has not reported on yet."""
        self.launches = False
        """Whether the jobs of the sweep run in other processes."""
        self.foreseen: list[float | None] = []
        """Estimated seconds of the jobs of a dry run."""
        self.refused = False
        """Whether a job was refused that no record tells of: its folder holds another run, or the disk is full."""
        self.stopped = 0
        """The signal that this process was told to stop with; 0: none."""
        self.left_out = 0
        """Images of folders that the runs could not use."""
        self.unreachable: dict[str, str] = {}
        """Tracker → why its server was given up: the jobs that follow do not wait for it again."""
        self.untracked: set[str] = set()
        """Trackers that cannot even start: the jobs that follow go without them."""
        self.patience = Patience()
        """For trackers."""
        self._caches: dict[str, OrderedDict[Hashable, Any]] = {}
        self._seconds: dict[str, float] = {}

    def cached(self, kind: str, key: Hashable, make: Callable[[], T], at_most: int = 1) -> T:
        """What `make` returned for this key before, or returns now. At most `at_most` of a kind are kept."""
        held = self._caches.setdefault(kind, OrderedDict())
        if key not in held:
            held[key] = make()
            while len(held) > at_most:
                held.popitem(last=False)
        held.move_to_end(key)
        value: T = held[key]
        return value

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the seconds that the block takes to a phase of the setup."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] = self._seconds.get(phase, 0.0) + time.perf_counter() - began

    def take_timings(self) -> dict[str, float]:
        """Phase → seconds, since this was last called."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def __reduce__(self) -> tuple[Callable[[], "Session"], tuple[()]]:
        """In another process a session becomes that process's own."""
        return current, ()


_process = Session()


def current() -> Session:
    """This process's session."""
    return _process


def start() -> Session:
    """Begin a new session in this process, and return it."""
    global _process
    _process = Session()
    return _process
