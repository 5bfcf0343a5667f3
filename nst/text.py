"""Printing lines, and writing numbers for people."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

_silent = ContextVar("silent", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """Let `say` print nothing inside the block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def open_streams() -> None:
    """Let the standard streams take every text: one that is closed, and characters that it does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """Print a line. If the reader of a pipe has gone (`… | head -1`), the run goes on."""
    if _silent.get():
        return
    with suppress(BrokenPipeError):
        try:
            print(line, flush=True)
        except UnicodeEncodeError:  # a file name with undecodable bytes
            print(line.encode("ascii", "backslashreplace").decode(), flush=True)


def number(text: str) -> str:
    """A number in its shortest form, 1e6 for 1000000.0; any other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    if text.isdigit():
        return text
    plain = f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    scientific = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if exponent else plain
    return min(plain, scientific, key=len)


def gigabytes(count: float) -> str:
    """A number of bytes in GB, to two digits."""
    return f"{count / 1e9:.2g} GB"


def duration(seconds: float | None) -> str:
    """`about 95 s`, or `about 12 min`; for None `time unknown`."""
    if seconds is None:
        return "time unknown"
    return f"about {seconds:.2g} s" if seconds < 100 else f"about {seconds / 60:.0f} min"


def encodable(value: Any) -> Any:
    """A value whose texts can be written as UTF-8, which not every name of a file can."""
    if isinstance(value, dict):
        return {encodable(name): encodable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [encodable(each) for each in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
