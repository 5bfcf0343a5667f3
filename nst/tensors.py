"""Tensors from files, which may be a stranger's."""

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from pickletools import genops, markobject
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import psutil
import torch
from torch import Tensor

from nst.errors import InputError
from nst.text import gigabytes

ZIP = b"PK\x03\x04"
"""The first bytes of what torch takes for a zip file. Before 1.6, torch wrote none, and no checksums."""
PICKLES = 5
"""At the beginning of a file that is no zip file: a number, a version, the system, the value, and names of storages."""
LARGEST_TUPLE, MOST_VALUES = 1000, 10_000_000
"""Values in one tuple and in a whole file, those in other values among them."""
MOST_OFTEN = 4
"""The tensors in a file may have together so many times its bytes: a few may share their numbers."""


def refuse_too_large(path: Path, where: str = "") -> None:
    """Raise InputError, which begins with `where`, for a file that does not fit into the memory that is free."""
    size, free = path.stat().st_size, psutil.virtual_memory().available
    if size > free:
        raise InputError(f"{where}{path}: has {gigabytes(size)}, and {gigabytes(free)} of memory are free")


def read_tensors(path: Path) -> Any:
    """What torch.save wrote to a file: only tensors, on the CPU, and plain values; no code in it is run.

    Raises errors of any kind for anything else: for damage, and for a value that is small in the file and would take
    for ever, or all memory, to look at.
    """
    with path.open("rb") as file:
        if file.peek(len(ZIP)).startswith(ZIP):
            _refuse_damaged(path)
            # torch's own reader: another one could find another pickle in a file that is made for it
            _refuse_endless(BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")))
        else:
            for _ in range(PICKLES):
                _refuse_endless(file)
    with warnings.catch_warnings():  # such as that of sparse tensors, which whoever reads refuses
        warnings.simplefilter("ignore")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    numbers = 0
    for value in _values_in(saved):
        if isinstance(value, dict | Tensor):  # what a pickle sets here would replace methods, such as `items`
            getattr(value, "__dict__", {}).clear()
        if isinstance(value, Tensor) and is_plain(value):
            numbers += value.nbytes
    if numbers > MOST_OFTEN * path.stat().st_size:
        raise ValueError("tensors that show the same numbers again and again")
    return saved


def _refuse_damaged(path: Path) -> None:
    """Raise ValueError for a zip file with a wrong checksum, which torch does not look at, or that is compressed.

    torch.save compresses nothing, and a small file could become too large for the memory.
    """
    with ZipFile(path) as file:
        if any(entry.compress_type != ZIP_STORED for entry in file.infolist()) or file.testzip():
            raise ValueError("damaged")


def _refuse_endless(pickle: IO[bytes]) -> None:
    """Raise an error for a pickle with a large tuple, where each value counts as often as it is held.

    Tuples can be names in a dictionary, and Python before 3.14 hashes all values in them. A pair of pairs, sixty deep,
    that are all the same one takes 180 bytes and years, in which no signal is handled.
    """
    sizes, marks, memo = list[int](), list[int](), dict[Any, int]()
    for count, (operation, argument, _) in enumerate(genops(pickle)):
        if count > MOST_VALUES:
            raise ValueError("too many values")
        name, taken = operation.name, operation.stack_before
        if name == "MARK":
            marks.append(len(sizes))
        elif name in ("BINGET", "LONG_BINGET"):
            sizes.append(memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = sizes[-1]
        else:
            first = marks.pop() - taken.index(markobject) if markobject in taken else len(sizes) - len(taken)
            size = 1 + sum(sizes[first:]) if "TUPLE" in name else 1
            if size > LARGEST_TUPLE:
                raise ValueError("a large tuple")
            sizes[first:] = [size] * len(operation.stack_after)


def _values_in(value: Any) -> Iterator[Any]:
    """A value and all in it, each as often as it is held. Raises ValueError for too many."""
    left, count = [value], 1
    while left:
        yield (each := left.pop())
        if isinstance(each, dict | list | tuple):
            count += len(each)
            if count > MOST_VALUES:
                raise ValueError("too many values")
            left.extend(each.values() if isinstance(each, dict) else each)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in a tree of dictionaries, lists and tuples that was read from a file."""
    return (each for each in _values_in(value) if isinstance(each, Tensor))


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor that was read from a file has numbers of its own: not sparse, quantized or meta."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def holds_numbers(tensor: Tensor) -> bool:
    """Whether a tensor is plain, and all its numbers are finite."""
    return is_plain(tensor) and bool(tensor.isfinite().all())
