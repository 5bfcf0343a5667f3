"""Tensors from files, which may be a stranger's."""

import re
import warnings
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from pickletools import genops, markobject
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import psutil
import torch
from torch import Tensor
from torch.serialization import MAGIC_NUMBER

from nst.errors import InputError
from nst.text import gigabytes

ZIP = b"PK\x03\x04"
"""The first bytes of what torch takes for a zip file. Before 1.6, torch wrote none, and no checksums."""
PICKLES = 5
"""At the beginning of a file that is no zip file: a number, a version, the system, the value, and names of storages."""
CALLED = re.compile(
    r"collections OrderedDict|torch\.nn\.parameter Parameter|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch(\.cuda)? (Half|BFloat16|Float|Double|Long|Int|Byte|Bool)Storage"
)
"""What the pickle of plain tensors calls. torch allows more, such as an array of zeros that fills the memory."""
LARGEST_TUPLE, MOST_VALUES = 1000, 10_000_000
"""Values in one tuple and in a whole file, those in other values among them."""
MOST_OFTEN = 4
"""The tensors in a file may have together so many times its bytes: a few may share their numbers."""
PLAIN = (torch.half, torch.bfloat16, torch.float, torch.double, torch.long, torch.int, torch.uint8, torch.bool)
"""The types of tensors that are read."""


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
    with warnings.catch_warnings():  # such as that of an old form
        warnings.simplefilter("ignore")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    left, values, numbers = [saved], 1, 0
    while left:  # each value as often as it is held
        value = left.pop()
        if isinstance(value, OrderedDict):  # its attributes would replace methods, such as `items`
            vars(value).clear()
        if isinstance(value, Tensor):
            numbers += value.nbytes
        elif isinstance(value, dict | list | tuple):
            values += len(value)
            left.extend(value.values() if isinstance(value, dict) else value)
        if values > MOST_VALUES or numbers > MOST_OFTEN * path.stat().st_size:
            raise ValueError("values that hold the same ones again and again")
    return saved


def _refuse_damaged(path: Path) -> None:
    """Raise ValueError for a zip file with a wrong checksum, which torch does not look at, or that is compressed.

    torch.save compresses nothing, and a small file could become too large for the memory.
    """
    with ZipFile(path) as file:
        entries = file.infolist()
        shared = sum(entry.file_size for entry in entries) > path.stat().st_size
        if shared or any(entry.compress_type != ZIP_STORED for entry in entries) or file.testzip():
            raise ValueError("damaged")


def _refuse_endless(pickle: IO[bytes]) -> None:
    """Raise an error for a pickle that calls more than it needs, or whose names in dictionaries can take for ever.

    Python before 3.14 hashes a tuple by all values in it: a pair of pairs, sixty deep, that are all the same one takes
    180 bytes and years, in which no signal is handled. Names with the same hash, which long numbers and tuples can be
    chosen to have, take the square of their number.
    """
    sizes, marks, memo = list[int](), list[int](), dict[Any, int]()  # a text and a number have size 0
    for count, (operation, argument, _) in enumerate(genops(pickle)):
        name, taken = operation.name, operation.stack_before
        if (
            count > MOST_VALUES
            or (name == "LONG1" and abs(argument or 0) >= 2**64 and argument != MAGIC_NUMBER)
            or (name == "GLOBAL" and not CALLED.fullmatch(str(argument)))
        ):
            raise ValueError("no pickle of plain tensors")
        if name == "MARK":
            marks.append(len(sizes))
        elif name in ("BINGET", "LONG_BINGET"):
            sizes.append(memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = sizes[-1]
        else:
            first = marks.pop() - taken.index(markobject) if markobject in taken else len(sizes) - len(taken)
            held = sizes[first:]
            names = held[1::2] if name in ("SETITEM", "SETITEMS") else []
            size = 1 + len(held) + sum(held) if "TUPLE" in name else int(argument is None)
            if any(names) or size > LARGEST_TUPLE:
                raise ValueError("a tuple that is large, or a name in a dictionary")
            sizes[first:] = [size] * len(operation.stack_after)


def holds_numbers(value: Any) -> bool:
    """Whether a value that was read from a file is a tensor of finite numbers, of a usual type."""
    return isinstance(value, Tensor) and value.dtype in PLAIN and bool(value.isfinite().all())
