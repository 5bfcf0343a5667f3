"""SIGINT and SIGTERM: the first asks a run to save and stop, the second ends it at once."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nst.errors import STOPPED, Stopped

JOBLIB_WORKER = "popen_loky"
"""In the command line of such a process."""
SAVING = 60.0
"""Most seconds to wait for workers that save."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether the user asked to stop, and with which signal."""

    def __init__(self) -> None:
        self.received: list[int] = []

    @property
    def requested(self) -> bool:
        return bool(self.received)

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


def stop_workers(number: int) -> None:
    """Pass a signal on to the workers of joblib's launcher, and wait until they have saved what they have.

    joblib itself would kill them at once.
    """
    import psutil  # only now: hardly a command needs it

    with suppress(psutil.Error):
        children = psutil.Process().children(recursive=True)
        workers = [child for child in children if any(JOBLIB_WORKER in word for word in child.cmdline())]
        for worker in workers:
            worker.send_signal(number)
        psutil.wait_procs(workers, timeout=SAVING)


def end_worker(stop: KeyboardInterrupt) -> None:
    """End the process if it is a worker of joblib's launcher, which would go on with the sweep's next job."""
    if multiprocessing.current_process().name.startswith("LokyProcess"):
        os._exit(STOPPED + (stop.number if isinstance(stop, Stopped) else signal.SIGINT))


def ignore_signals() -> None:
    """For all ranks but the first: rank 0 decides, and they stop together."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
