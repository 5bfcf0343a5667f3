"""Files: written whole or not at all, their fingerprints, and a lock for a folder."""

import csv
import hashlib
import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from nst.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Version = tuple[Path, int, int]
"""Fingerprint of a file: path, time of the last change in nanoseconds, size in bytes."""


def version(path: Path) -> Version:
    """The fingerprint of a file, without reading it."""
    state = path.stat()
    return path.resolve(), state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; a file that has not changed is read once."""
    return _sha256(version(path))


@lru_cache
def _sha256(file: Version) -> str:
    return hashlib.sha256(file[0].read_bytes()).hexdigest()


def encode_csv(columns: Collection[str], rows: Iterable[Mapping[str, Any]], head: bool = True) -> bytes:
    """A CSV file with those columns of the rows; without its head, more lines of one."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), extrasaction="ignore", lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def refuse_links(folder: Path) -> None:
    """Raise InputError if the folder holds a link: the folder may be a stranger's, and the link lead out of it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink():
            raise InputError(f"{path}: a link; a run continues only in a folder that holds the files themselves")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder. Raises InputError if one is there.

    The lock ends with the process, however that ends. Where the file system has no locks, nobody is kept out.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"{folder}: another process is working there; wait for it, or stop it") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either all of it or what was there before.

    Raises InputError if the disk is full or the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # left by a run that was killed; or a link, which must not be followed
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(f"cannot write {path}: {error.strerror}") from None
