"""Where a result comes from: versions of packages, and the commit."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("nst", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "pillow", "numpy")


@cache
def versions() -> Mapping[str, str | None]:
    """Versions of Python and of the packages that decide what a run computes; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code runs from, and whether it was changed since; None outside a checkout."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # installed inside another project's repository: no checkout
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
