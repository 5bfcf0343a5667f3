"""Checking the checkpoint that a run is to continue from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nst.errors import InputError
from nst.record.files import CHECKPOINT, FileFacts, refuse_another, refuse_changed


def find_checkpoint(
    given: Path, config: dict[str, Any], files: Mapping[str, Sequence[FileFacts]], last: int, may_differ: Sequence[str]
) -> Path:
    """The checkpoint of a run's folder, or the file itself.

    Raises InputError if it is not of a run with this config, apart from keys that may differ, and these files; or if
    that run took more than `last` steps already.
    """
    path = given.expanduser()
    path = path / CHECKPOINT if path.is_dir() else path
    where = f"resume={path}"
    if not path.is_file():
        raise InputError(f"{where}: no such file")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # only looked into
        before, step, made_from = saved["config"], saved["progress"]["step"], saved["made_from"]
        saved["task"], saved["optimizer"], saved["rows"]
    except Exception:
        raise InputError(f"{where}: not a checkpoint of this version of nst") from None
    refuse_another(where, before, config, may_differ)
    refuse_changed(where, made_from, files)
    if step > last:
        raise InputError(f"{where}: that run had got to step {step}; ask for more than steps={step}")
    return path
