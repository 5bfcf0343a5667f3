"""Files: written whole or not at all, their fingerprints, and a lock for a folder."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import stat
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
    """The fingerprint of a file, without reading it. Raises InputError for what is no file, as `refuse_no_file`."""
    refuse_no_file(path)
    state = path.stat()
    return path.resolve(), state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; a file that has not changed is read once. Raises InputError for what is none."""
    return _sha256(version(path))


@lru_cache
def _sha256(file: Version) -> str:
    path, _, size = file
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as data:
        while part := data.read(2**20):
            digest.update(part)
            read += len(part)
            if read > size:  # a file of the system, in /proc, can have no end
                raise InputError(f"{path}: has no end, or has grown while it was read")
    return digest.hexdigest()


def refuse_no_folder() -> None:
    """Raise InputError if the working folder was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the working folder is gone; change to another one") from None


def refuse_no_file(path: Path, where: str = "") -> None:
    """Raise InputError for a path that is a folder, a pipe, a device or a socket, of which some hang a reader for ever.

    where: the beginning of the message. A link to a file is one. For no path of that name nothing is raised.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise InputError(f"{where}{path}: {_kind(mode)}, not a file")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_own(path: Path, most: int) -> bytes:
    """The bytes of a file in a run's folder, which may be a stranger's.

    Raises InputError for a link, for what is no file, such as a pipe, and for more than `most` bytes; FileNotFoundError
    for no file.
    """
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path}: {_kind(state.st_mode)}, not a file")
        if state.st_size > most:
            raise InputError(f"{path}: has {state.st_size} bytes, more than {most}")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def as_path(key: str, given: str) -> Path:
    """The path that a text means, with `~` expanded. Raises InputError, which begins with the key, for what is none."""
    try:
        path = Path(os.path.expanduser(given))
        path.stat()
    except ValueError as error:  # such as a zero character
        raise InputError(f"{key}={given!r}: no path: {error}") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise InputError(f"{key}={given[:100]}…: no path: {str(error.strerror).lower()}") from None
    return path


def encode_csv(columns: Collection[str], rows: Iterable[Mapping[str, Any]], head: bool = True) -> bytes:
    """A CSV file with those columns of the rows; without its head, more lines of one."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), extrasaction="ignore", lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def encode_json(value: Any, indent: int | None = None) -> str:
    """A value as strict JSON: a number that is not finite becomes null."""
    return json.dumps(_strict(value), indent=indent, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _strict(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    if not folder.is_dir():
        yield
        return
    if fcntl is None:
        with _locked_by_file(folder):
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


@contextmanager
def _locked_by_file(folder: Path) -> Iterator[None]:
    """On Windows, which cannot lock a folder, lock a file in it."""
    from filelock import FileLock, Timeout  # slow to import

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{folder}: another process is working there; wait for it, or stop it") from None
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # another process has it now
            (folder / ".lock").unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a value as a file of strict JSON; otherwise as `write_whole`."""
    write_whole(path, encode_json(value, indent=2).encode() + b"\n")


def make_durable(*paths: Path) -> None:
    """Let files, and folders' entries, reach the disk before this returns: then a power cut cannot undo them."""
    for path in paths:
        with suppress(OSError):  # a system that cannot do that for a folder
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either all of it or what was there before.

    Raises InputError if the disk is full or the folder cannot be written to.
    """
    # not the name itself, which may be as long as a name can be
    temporary = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")
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
