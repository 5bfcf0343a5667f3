"""Files written whole, and what they are known by."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

Version = tuple[Path, int, int]
"""A file as it is now: path, time of last change in nanoseconds, size in bytes."""


def version(path: Path) -> Version:
    """What tells a file from what it was before it was changed, without reading it."""
    state = path.stat()
    return path.resolve(), state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, computed once for as long as it is not changed."""
    return _sha256(version(path))


@lru_cache
def _sha256(file: Version) -> str:
    return hashlib.sha256(file[0].read_bytes()).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
