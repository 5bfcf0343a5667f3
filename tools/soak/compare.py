"""What a run has made, so that two runs can be compared bit for bit, and whether every file of it is whole."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from nst.record.files import dotted
from tools.soak.case import Difference, Failure

SAME = ("status", "config", "decided", "roles", "weights", "losses", "figures", "data")
"""What the records of two runs have in common, apart from when and where they were made."""
PICTURES = (".png", ".jpg")
LEFT_OUT = (".ckpt", ".html", ".yaml", ".tex", ".md", ".log")
"""Suffixes of files that may say when a run was made, or how fast; and of sweep's tables, which do."""


def require_equal(made: Path, whole: Path) -> None:
    """Raise Difference if two folders do not hold the same results."""
    ours, theirs = results(made), results(whole)
    for name in sorted(ours.keys() | theirs):
        if name not in ours or name not in theirs:
            raise Difference(f"{name} is {'missing' if name in theirs else 'there, and is not'} in a run never killed")
        if ours[name] != theirs[name]:
            raise Difference(f"{name} differs from that of a run never killed{_where(ours[name], theirs[name])}")


def results(folder: Path) -> dict[str, Any]:
    """Path → pixels of a picture, rows of losses without seconds, the facts of a record, or a file's hash.

    Raises Failure for a file that is not whole.
    """
    found: dict[str, Any] = {}
    for path in _files(folder):
        try:
            found[path.relative_to(folder).as_posix()] = _content(path)
        except (OSError, ValueError, LookupError) as error:
            raise Failure(f"{path.relative_to(folder)} is not whole: {type(error).__name__}: {error}") from None
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (*LEFT_OUT, ".part") and path.name != "runs.csv":
            yield path


def _content(path: Path) -> Any:
    if path.suffix in PICTURES and path.name != "sheet.jpg":
        with Image.open(path) as image:
            return image.mode, image.size, hashlib.sha256(image.tobytes()).hexdigest()
    if path.name == "losses.csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        if any(None in row.values() for row in rows):
            raise ValueError("a row is cut short")
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    if path.name == "record.json":
        record = json.loads(path.read_text(encoding="utf-8"))
        inputs = {role: [file["sha256"] for file in files] for role, files in record["inputs"].items()}
        facts = {name: record.get(name) for name in SAME} | {"inputs": inputs}
        return json.loads(json.dumps(facts))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _where(ours: Any, theirs: Any) -> str:
    """The first entry that differs, of two records or tables."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        ours, theirs = dotted(ours), dotted(theirs)
        name = next((name for name in ours if ours[name] != theirs.get(name)), "its keys")
        return f": {name} is {str(ours.get(name))[:80]}, not {str(theirs.get(name))[:80]}"
    if isinstance(ours, list) and isinstance(theirs, list):
        place = next((k for k, both in enumerate(zip(ours, theirs, strict=False)) if both[0] != both[1]), "the end")
        return f", at row {place}"
    return ""
