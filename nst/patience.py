"""Waiting for what may never answer: on a thread of its own, and for no longer than a process has patience for."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a process waits in all for calls that take longer than ALLOWANCE."""
REGAINED = 10.0
"""Seconds of it that a process regains with each run that is tracked without trouble."""
ALLOWANCE = 5.0
"""Seconds that a call may take each time. So much is kept back for what remains to be done when PATIENCE is used up."""


class Late(Exception):
    """A call has not returned in time."""


class Patience:
    """What one process has left of PATIENCE, in seconds."""

    def __init__(self) -> None:
        self.left = PATIENCE

    @property
    def allowed(self) -> float:
        """Seconds that the next call may take."""
        return self.allowed_after(0)

    def allowed_after(self, seconds: float) -> float:
        """Seconds that a call may take after another that took so many."""
        return max(self.left - seconds - ALLOWANCE, ALLOWANCE)

    @property
    def rest(self) -> float:
        """Seconds for a last call after one that was late."""
        return min(self.left, ALLOWANCE)

    def regain(self) -> None:
        """Be as patient as a working server deserves, which takes some seconds for each run of a sweep."""
        self.left = min(self.left + REGAINED, PATIENCE)

    def spend(self, seconds: float) -> None:
        """Take off what a call took."""
        if seconds >= ALLOWANCE:
            self.left = max(self.left - seconds, 0.0)


class Worker:
    """A daemon thread that makes calls one after the other, as what is called may want one thread for all of them."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        Thread(target=self._work, daemon=True).start()

    def call(self, function: Callable[[], T], seconds: float | None = None) -> T:
        """What the function returns or raises. seconds: how long to wait; None: what the process has patience for.

        Raises Late. The call is then still going on, and this worker is of no more use.
        """
        seconds = self._patience.allowed if seconds is None else seconds
        began, result = time.monotonic(), Future[T]()
        self._calls.put((function, result))
        try:
            wait([result], seconds)
        finally:
            self._patience.spend(time.monotonic() - began)
        if not result.done():
            raise Late(f"no answer for {seconds:.0f} s")
        return result.result()

    def end(self) -> None:
        """Let the thread end after the calls that it has."""
        self._calls.put(None)

    def _work(self) -> None:
        while given := self._calls.get():
            function, result = given
            try:
                result.set_result(function())
            except Exception as error:
                result.set_exception(error)
            except BaseException as error:  # such as SystemExit: not a reason to end the process
                result.set_exception(RuntimeError(repr(error)))
