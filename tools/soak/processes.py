"""Commands in processes of their own, without the seconds that each would take to import torch and Lightning.

They are forked from one that has imported them.
"""

import atexit
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

FORKS = get_context("forkserver") if hasattr(os, "fork") else get_context()
if hasattr(os, "fork"):
    FORKS.set_forkserver_preload(
        ["nst.modes.pixels.build", "nst.modes.train.build", "nst.report", "nst.runner", "tools.soak.frozen", __name__]
    )


def exit_status(command: Callable[[], object]) -> int:
    """The exit status that a command line's `main` ends with."""
    try:
        command()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _nothing() -> None:
    pass


class Command:
    """`nst ARGUMENTS` at work in a folder, by default the current one, with the current environment.

    module: another one, whose `main` is the command. before: a function that can be imported, which the process calls
    first. terminal: a path that stderr goes to.
    """

    def __init__(
        self,
        *arguments: str,
        module: str = "nst.run",
        before: Callable[[], None] = _nothing,
        terminal: str | None = None,
        folder: Path | None = None,
    ) -> None:
        folder = folder or Path.cwd()
        beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-said-", dir=folder.parent))
        self._out, self._err = beside / "out", beside / "err"
        places = [str(self._out), terminal or str(self._err)]
        self._process = FORKS.Process(
            target=_main, args=([module, *arguments], str(folder), {**os.environ}, places, before)
        )
        self._process.start()
        self._ended: int | None = None

    @property
    def status(self) -> int | None:
        """The exit status; below 0, the number of the signal that killed it; None: it is still at work."""
        return self._process.exitcode if self._ended is None else self._ended

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait until it ends, at most so long. Returns the exit status; None: it is still at work."""
        if self._ended is None:
            self._process.join(seconds)
            self._ended = self._process.exitcode
            if self._ended is not None:
                self._process.close()
        return self._ended

    def end(self, seconds: float = 120) -> "Command":
        """Wait until it ends."""
        assert self.wait(seconds) is not None, f"it is still at work, and said: {self.said}"
        return self

    @property
    def out(self) -> str:
        """What it printed to stdout."""
        return self._out.read_text() if self._out.exists() else ""

    @property
    def err(self) -> str:
        """What it printed to stderr."""
        return self._err.read_text() if self._err.exists() else ""

    @property
    def said(self) -> str:
        """What it printed."""
        return self.out + self.err


def _main(
    command: list[str], folder: str, environment: Mapping[str, str], places: list[str], before: Callable[[], None]
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, place in enumerate(places, 1):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["nst", *command[1:]]
    before()
    status = exit_status(import_module(command[0]).main)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # such as that of W&B's service; multiprocessing would not call them
    sys.stdout.flush()
    os._exit(status)
