"""Files written whole, what they are known by, and the record.json that a run leaves."""

import csv
import hashlib
import io
import json
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

CHECKPOINT = "checkpoint.ckpt"
"""In a run's folder while it is not finished."""
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


def dotted(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config with dotted keys: {"optimizer.lr": 0.02}."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def read_record(folder: Path) -> dict[str, Any]:
    """What record.json says of a folder's run; empty if there is none.

    One without `config` is of a run that was refused, or broke before it began, or it cannot be read.
    """
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        return {"status": "failed", "error": f"record.json cannot be read: {error}"}
    return record if isinstance(record, dict) else {"status": "failed", "error": "record.json is not a record"}


def refuse_another(where: str, before: dict[str, Any], now: dict[str, Any], but: Collection[str] = ()) -> None:
    """Raise InputError if a key has another value now than in the config of an earlier run.

    but: dotted keys, and groups of keys, that may differ.
    """
    then, here = dotted(before), dotted(now)
    for key in then | here:
        if key not in but and key.partition(".")[0] not in but and then.get(key) != here.get(key):
            raise InputError(f"{where}: that run had {key}={then.get(key)}, this one has {key}={here.get(key)}")


def refuse_changed(where: str, before: dict[str, Any], files: Mapping[str, Mapping[str, str]]) -> None:
    """Raise InputError if one of `files`, role → {"path", "sha256"}, had another content in an earlier run's record."""
    held = before["inputs"] | before["weights"]
    for role, file in files.items():
        if held.get(role, {}).get("sha256") != file["sha256"]:
            raise InputError(f"{where}: that run was made from another {role}; {file['path']} has changed since")


def encode_csv(columns: Collection[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A CSV file with those columns of the rows."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def commit_name(git: Mapping[str, Any]) -> str:
    """What a record's `git` comes to: ten digits of the commit, and whether the checkout was changed since."""
    return str(git["commit"][:10]) + (" (changed)" if git["changed"] else "")


def refuse_links(folder: Path) -> None:
    """Raise InputError if what a run would write to in its folder, which may be somebody else's, leads elsewhere."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink():
            raise InputError(f"{path}: a link; a run goes on only in a folder that holds its files itself")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which ask the same. Raises InputError if one is there.

    The lock goes with the process, however that ends. Where a system or a file system has none, nobody is kept out.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(place)
        raise InputError(f"{folder}: another process is at work there; wait for it, or stop it") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(place)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds either all of it or what was there before.

    Raises InputError if there is no room or no right to.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # of a run that was killed; or a link, which would be followed
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(f"cannot write {path}: {error.strerror}") from None
