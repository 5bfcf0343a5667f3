"""nst: neural style transfer as composed, tracked, reproducible experiments."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nst.imports import uncollected

if TYPE_CHECKING:
    from nst.api import Progress, Result, Training, reconstruct, stylize, texture, train, transfer
    from nst.errors import Diverged, InputError

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"] and find_spec("hydra") is None:  # python -m nst…, with a wrong Python
    ours = os.path.join(os.path.dirname(__file__), os.pardir, ".venv", "bin", "python")
    found = f"take {os.path.relpath(ours)}" if os.path.exists(ours) else "run make, or pip install -e ."
    print(f"nst: its packages are not installed for {sys.executable}: {found}", file=sys.stderr)
    sys.exit(2)

__all__ = [
    "Diverged",
    "InputError",
    "Progress",
    "Result",
    "Training",
    "reconstruct",
    "stylize",
    "texture",
    "train",
    "transfer",
]


def __getattr__(name: str) -> Any:
    """A public name, imported only now: the command line answers before torch is there."""
    if name not in __all__:
        raise AttributeError(f"module 'nst' has no attribute '{name}'")
    if name in ("Diverged", "InputError"):
        return getattr(import_module("nst.errors"), name)
    with uncollected():
        return getattr(import_module("nst.api"), name)
