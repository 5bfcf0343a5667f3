"""SIGINT and SIGTERM: the first asks a run to save and stop, the second ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether the user asked to stop, and with which signal.

    mark: a file that means the same, for a sweep's job in another process than the one that got the signal.
    """

    def __init__(self, mark: Path | None = None) -> None:
        self.received: list[int] = []
        self._mark = mark

    @property
    def requested(self) -> bool:
        return bool(self.received) or bool(self._mark and self._mark.exists())

    def raise_if_requested(self) -> None:
        """Raises Stopped."""
        if self.requested:
            raise self.error()

    def error(self) -> Stopped:
        """The exception that ends a stopped run."""
        return Stopped(*self.received[:1])

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Note the first signal and let the run go on to a point where it can save; the second raises Stopped there."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, frame: object) -> None:
            self.received.append(number)
            if len(self.received) > 1:
                raise Stopped(number)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def ignore_signals() -> None:
    """For all ranks but the first: rank 0 decides, and they stop together."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
