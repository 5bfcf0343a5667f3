"""The checkpoint that a run is to continue from: found, checked, and taken up, before the run writes anything."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from nst.engine.task import Task
from nst.errors import InputError, one_line
from nst.files import as_path, refuse_no_file
from nst.record.files import CHECKPOINT, FileFacts, files_by_name, refuse_another, refuse_changed
from nst.record.schema import check_checkpoint
from nst.tensors import read_tensors, refuse_too_large


def read_checkpoint(
    given: str, config: dict[str, Any], files: Mapping[str, Sequence[FileFacts]], last: int, may_differ: Sequence[str]
) -> dict[str, Any]:
    """The checkpoint of a run's folder, or in the file itself.

    Raises InputError if it is not of a run with this config, apart from keys that may differ, and these files; or if
    that run took more than `last` steps already.
    """
    path = as_path("resume", given)
    path = path / CHECKPOINT if path.is_dir() else path
    where = f"resume={path}"
    if not path.exists():
        raise InputError(f"{where}: no such file")
    refuse_no_file(path, "resume=")
    refuse_too_large(path, "resume=")
    try:
        saved = read_tensors(path)
    except Exception:  # a broken pickle can raise anything
        raise InputError(f"{where}: no checkpoint of this version of nst: not a whole file of torch.save") from None
    check_checkpoint(saved, where)
    known = set(files_by_name(saved["made_from"])) & set(files)
    refuse_another(where, saved["config"], config, may_differ, known)
    refuse_changed(where, saved["made_from"], files)
    if (step := saved["progress"]["step"]) > last:
        raise InputError(f"{where}: that run had got to step {step}; ask for more than steps={step}")
    return dict(saved)


def take_up(task: Task, saved: Mapping[str, Any]) -> None:
    """Put a task into the state of a checkpoint. Raises InputError for a state that is not one of this task."""
    task.step, task.seconds = saved["progress"]["step"], saved["progress"]["seconds"]
    try:
        with warnings.catch_warnings():  # such as those of a tensor where a number should be
            warnings.simplefilter("ignore")
            task.load_state(saved["task"])
            task.optimizer = task.configure_optimizers()
            if saved["optimizer"] is not None:
                task.load_optimizer(saved["optimizer"])
    except Exception as error:  # whoever wrote the file may have put anything into it
        reason = one_line(error)
        raise InputError(f"resume: the checkpoint's state is not one of this run: {reason[:300]}") from None
