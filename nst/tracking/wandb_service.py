"""The only module that imports W&B. It starts W&B's service process, and replaces one that is dead or stopped."""

import os
import sys
from contextlib import suppress
from typing import Any

import psutil


def set_up() -> Any:
    """Import W&B, and start its service process if there is none that works. Returns the package."""
    # reports of W&B's own errors would wait for its server at the end of the process
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        processes = service_processes()
        working = not processes or any(works(each) for each in processes)
    except Exception:  # such as the service process of another process, which has ended
        working = False
    if not working:
        kill()
        wandb.setup(wandb.Settings(silent=True))
    return wandb


def kill() -> None:
    """Kill the service process, and let W&B forget it with its run: at the end of this process it would wait for it."""
    for process in service_processes():
        with suppress(psutil.Error):
            process.kill()
            process.wait(1)
    wandb: Any = sys.modules.get("wandb")
    if wandb:
        with suppress(Exception, SystemExit):  # it finds its connection closed
            wandb.teardown()
        wandb.run = None  # with a run, it refuses to log in
    os.environ.pop("WANDB_SERVICE", None)  # it would be looked for again


def service_processes() -> list[psutil.Process]:
    """The service processes that this process has started, whatever has become of them."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if child.name().startswith("wandb-core"):
                found.append(child)
    return found


def works(process: psutil.Process) -> bool:
    """Whether a process may answer: it is neither dead nor stopped."""
    with suppress(psutil.Error):
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_STOPPED)
    return False
