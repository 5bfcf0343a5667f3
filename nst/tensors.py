"""Tensors from files, which may be a stranger's."""

import re
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from pickletools import genops, markobject
from typing import IO, Any, NamedTuple
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
ORDERED = "collections OrderedDict"
CALLED = re.compile(
    rf"{ORDERED}|torch\.nn\.parameter Parameter|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch(\.cuda)? (Half|BFloat16|Float|Double|Long|Int|Byte|Bool)Storage"
)
"""What the pickle of plain tensors calls. torch allows more, such as an array of zeros that fills the memory."""
MOST_VALUES, MOST_OLD = 10_000_000, 10_000
"""Operations of a pickle, and values in all; and operations of a pickle in the old form."""
LARGEST_TUPLE = 1000
"""Values in a tuple and in the tuples in it."""
LARGEST_ID = 7
"""Of the tuple of five that names a storage: none of them is a pair."""
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
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.peek(len(ZIP)).startswith(ZIP):
            _refuse_damaged(path)
            # torch's own reader: in a file that is made for it, another one could find other things
            reader = torch._C.PyTorchFileReader(file)
            if sum(map(reader.get_record_size, reader.get_all_records())) > size:
                raise ValueError("more bytes than the file has")
            _refuse_endless(BytesIO(reader.get_record("data.pkl")), is_old=False)
        else:
            for _ in range(PICKLES):
                _refuse_endless(file, is_old=True)
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
        if values > MOST_VALUES or numbers > MOST_OFTEN * size:
            raise ValueError("holds the same values again and again")
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


class Value(NamedTuple):
    """What an operation of a pickle leaves."""

    kind: str
    """plain (a text or a number), list, tuple or other; or the name of what can be called."""
    size: int = 0
    """Of a tuple: the values in it, and in the tuples in it."""
    fetched: bool = False
    """Whether it is held elsewhere, too."""


def _refuse_endless(pickle: IO[bytes], is_old: bool) -> None:
    """Raise an error for a pickle of too many operations, or one that plain tensors do not need.

    Reading such a pickle can take for ever. Python before 3.14 hashes a tuple by all values in it: of a pair of pairs,
    sixty deep, that are all the same one, that takes years, in which no signal is handled. Names with the same hash, as
    tuples and long numbers can have, take time that grows with the square of their number. And a copy of a large
    dictionary takes six bytes.
    """
    stack, marks, memo = list[Value](), list[int](), dict[Any, Value]()
    for count, (operation, argument, _) in enumerate(genops(pickle)):
        if count > (MOST_OLD if is_old else MOST_VALUES):
            raise ValueError("too many values")
        name, taken = operation.name, operation.stack_before
        if name == "MARK":
            marks.append(len(stack))
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument]._replace(fetched=True))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        else:
            first = marks.pop() - taken.index(markobject) if markobject in taken else len(stack) - len(taken)
            left = _left_by(name, argument, stack[first:], is_old)
            stack[first:] = [left] * len(operation.stack_after)


def _left_by(name: str, argument: Any, held: Sequence[Value], is_old: bool) -> Value:
    """What an operation leaves of the values that it takes. Raises ValueError for what plain tensors do not need."""
    if name == "GLOBAL" and not CALLED.fullmatch(argument):
        raise ValueError(f"calls {argument}")
    if name == "LONG1" and abs(argument) >= 2**64 and argument != MAGIC_NUMBER:
        raise ValueError("a number of more than 64 bits")
    if name in ("SETITEM", "SETITEMS") and any(each.kind != "plain" for each in held[1::2]):
        raise ValueError("a name that is no text and no number")
    # Python 2 made an ordered dictionary of a list
    if name == "REDUCE" and held[0].kind == ORDERED and held[1][:2] != ("tuple", 1) and not is_old:
        raise ValueError("a dictionary that is made of others")
    if name == "BUILD" and (held[1].fetched or held[1].kind == "list") and not is_old:
        raise ValueError("attributes that are held elsewhere, too")
    if "TUPLE" in name:
        size = 1 + len(held) + sum(each.size for each in held)
        if size > LARGEST_TUPLE:
            raise ValueError("a large tuple")
        return Value("tuple", size)
    if name == "BINPERSID" and held[0].size > LARGEST_ID and not is_old:
        raise ValueError("a storage whose name is no text")
    if name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
        return held[0]
    kinds = {"GLOBAL": argument, "EMPTY_LIST": "list"}
    return Value(kinds.get(name, "plain" if argument is not None else "other"))


def holds_numbers(value: Any) -> bool:
    """Whether a value that was read from a file is a tensor of finite numbers, of a usual type."""
    return isinstance(value, Tensor) and value.dtype in PLAIN and bool(value.isfinite().all())
