"""nst: neural style transfer as composed, tracked, reproducible experiments."""

import os
import sys
from importlib.util import find_spec

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"] and find_spec("hydra") is None:  # python -m nst…, with a wrong Python
    ours = os.path.join(os.path.dirname(__file__), os.pardir, ".venv", "bin", "python")
    found = f"take {os.path.relpath(ours)}" if os.path.exists(ours) else "run make, or pip install -e ."
    print(f"nst: its packages are not installed for {sys.executable}: {found}", file=sys.stderr)
    sys.exit(2)
