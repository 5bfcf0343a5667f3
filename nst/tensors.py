"""Tensors from files, which may be a stranger's."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, is_zipfile

import psutil
import torch

from nst.errors import InputError
from nst.text import gigabytes

LONGEST_READING = 60.0
"""Seconds for what a file says beside its tensors' numbers: a pickle can be made so that its reader never ends."""


def refuse_too_large(path: Path, where: str = "") -> None:
    """Raise InputError, which begins with `where`, for a file that does not fit into the memory that is free."""
    size, free = path.stat().st_size, psutil.virtual_memory().available
    if size > free:
        raise InputError(f"{where}{path}: has {gigabytes(size)}, and {gigabytes(free)} of memory are free")


def read_tensors(path: Path) -> Any:
    """What torch.save wrote to a file: only tensors, on the CPU, and plain values; no code in it is run.

    Raises InputError for a file that takes too long or makes torch crash, and errors of any kind for anything else, and
    for a zip file whose contents have changed since.
    """
    is_zip = is_zipfile(path)  # torch before 1.6 wrote no zip file, and no checksums
    if is_zip:
        _refuse_damaged(path)
    read = partial(torch.load, path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():  # such as that of sparse tensors, which whoever reads refuses
        warnings.simplefilter("ignore")
        if not _ends(partial(read, mmap=is_zip)):
            raise InputError(f"{path}: torch cannot read it, or takes more than {LONGEST_READING:g} s for it")
        return read()


def _ends(read: Callable[[], Any]) -> bool:
    """Whether reading ends before LONGEST_READING, and without a crash: tried in a process of its own first.

    torch's reader can be at work in C for years, at one key of a dictionary, where no signal and no thread stops it.
    """
    if not hasattr(os, "fork"):  # Windows
        return True
    child = os.fork()
    if child == 0:
        with suppress(BaseException):  # the reading that counts meets it again
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, LONGEST_READING)
            read()
        os._exit(0)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:  # Ctrl-C
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        raise
    return not os.WIFSIGNALED(status)


def _refuse_damaged(path: Path) -> None:
    """Raise ValueError for a zip file with a wrong checksum, which torch does not look at, or that is compressed.

    torch.save compresses nothing, and a small file could become too large for the memory.
    """
    with ZipFile(path) as file:
        if any(entry.compress_type != ZIP_STORED for entry in file.infolist()) or file.testzip():
            raise ValueError("damaged")


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor that was read from a file has numbers of its own: not sparse, quantized or meta."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def holds_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor is plain, and all its numbers are finite."""
    return is_plain(tensor) and bool(tensor.isfinite().all())


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a tree of dictionaries, lists and tuples, which may hold one another."""
    left, seen = [value], set()
    while left:
        each = left.pop()
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            left.extend(each.values() if isinstance(each, dict) else each)
