"""What a record and a checkpoint hold. Both may be a stranger's: here, and only here, they are read and checked."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from nst.errors import InputError
from nst.files import read_own
from nst.record.files import VERSION
from nst.text import encodable

LARGEST_RECORD = 4 * 2**20
"""Bytes. A record of a thousand styles has a tenth of that."""
DEEPEST, LONGEST, MOST, LARGEST = 32, 2**20, 1_000_000, 10**38
"""Of nested values, of a text in characters, of values in all, and of integers: a few bytes can hold more by far."""
BULK = ("task", "optimizer", "rows")
"""The parts of a checkpoint that hold its numbers."""


def _with_short_parts(path: str) -> str:
    if any(len(os.fsencode(part)) > 255 for part in path.split("/")):
        raise ValueError("a part of the path is too long for a name")
    return path


def _not_converted(value: Any) -> Any:
    """A tensor can be made a float, with a warning."""
    if not isinstance(value, int | float):
        raise ValueError("should be a number")
    return value


Given = Annotated[float, BeforeValidator(_not_converted)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PathText = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]+$"), AfterValidator(_with_short_parts)]


class _Form(BaseModel):
    """Fields that are not named here are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow")


class FileFacts(_Form):
    """A file that a run was made from."""

    path: PathText
    sha256: Annotated[str, StringConstraints(max_length=64)]


class Git(_Form):
    commit: str
    changed: bool


class Judge(_Form):
    network: str = ""


class Record(_Form):
    """record.json. That of a run that was refused, or failed before it began, has no `config`."""

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    status: Literal["running", "finished", "interrupted", "diverged", "failed", "refused", "skipped"] = "failed"
    error: str = ""
    command: str = ""
    overrides: list[str] = []
    started: str = ""
    name: str | None = None
    config: dict[str, Any] = {}
    decided: dict[str, Any] = {}
    resumed: list[dict[str, Any]] = []
    roles: dict[str, list[str]] = {}
    inputs: dict[str, list[FileFacts]] = {}
    weights: dict[str, FileFacts] = {}
    working_folder: PathText | None = None
    """From the run's folder: what the config's relative paths begin at. It may be another one now."""
    device: dict[str, Any] = {}
    data: dict[str, Any] = {}
    versions: dict[str, str | None] = {}
    git: Git | None = None
    tracker: dict[str, Any] | None = None
    results: list[PathText] = []
    left_out: int = 0
    judge: Judge = Judge()
    losses: dict[str, Number | None] = {}
    figures: dict[str, Number | None] = {}
    timings: dict[str, Number | dict[str, Number] | None] = {}


class Progress(_Form):
    step: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class MadeFrom(_Form):
    inputs: dict[str, list[FileFacts]]
    weights: dict[str, FileFacts]


class Row(_Form):
    """A line of losses.csv."""

    __pydantic_extra__: dict[str, Given]
    step: Given
    seconds: Given


class Checkpoint(_Form):
    """checkpoint.ckpt. What is in `task` and `optimizer`, the task checks as it takes it up."""

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    task: dict[str, Any]
    optimizer: dict[str, Any] | None
    progress: Progress
    rows: list[Row]
    config: dict[str, Any]
    made_from: MadeFrom


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file, in the present form.

    Raises InputError, with the file and the field, for anything else, such as a link; FileNotFoundError for no file.
    """
    return parse_record(read_own(path, LARGEST_RECORD), str(path))


def parse_record(data: bytes | str, where: str) -> dict[str, Any]:
    """The record in a JSON text, in the present form. Raises InputError, which begins with `where`."""
    if len(data) > LARGEST_RECORD:
        raise InputError(f"{where}: no record of a run: it has more than {LARGEST_RECORD} bytes")
    try:
        record = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no record of a run: no JSON ({error})") from None
    if isinstance(record, dict) and isinstance(inputs := record.get("inputs"), dict):
        # before nst 0.2, a role had one image, not a list
        record["inputs"] = {role: [files] if isinstance(files, dict) else files for role, files in inputs.items()}
    _check(Record, record, where, "record of a run")
    return {"status": "failed"} | record


def check_checkpoint(saved: Any, where: str) -> None:
    """Raise InputError, which begins with `where`, for what is no checkpoint."""
    bulk: dict[str, Any] = {}
    if isinstance(saved, dict):
        bulk = {name: saved[name] for name in BULK if name in saved}
        saved = {name: each for name, each in saved.items() if name not in BULK}
    _check(Checkpoint, saved, where, "checkpoint of this version of nst", bulk)


def _check(form: type[BaseModel], given: Any, where: str, kind: str, bulk: Mapping[str, Any] | None = None) -> None:
    """bulk: further fields, of which only the form is checked."""
    _refuse_monsters(given, "", where)
    try:
        given = encodable(given)
        form.model_validate(given | bulk if bulk else given)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deep"}
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: no {kind}: {field + ': ' if field else ''}{first['msg']}") from None


def _refuse_monsters(value: Any, field: str, where: str) -> None:
    """Raise InputError for what JSON cannot hold, and what would take for ever: too much, too deep, or a long text."""
    left = [(value, field, 0)]
    seen = 0
    while left:
        value, field, depth = left.pop()
        seen += 1
        wrong = ""
        if depth > DEEPEST or seen > MOST:
            wrong = f"nested more than {DEEPEST} deep" if depth > DEEPEST else f"more than {MOST} values"
        elif isinstance(value, dict):
            if not all(isinstance(name, str) and len(name) <= LONGEST for name in value):
                wrong = "a name that is no short text"
            else:
                left += [(each, f"{field}.{name}".lstrip("."), depth + 1) for name, each in value.items()]
        elif isinstance(value, list):
            left += [(each, f"{field}.{number}", depth + 1) for number, each in enumerate(value)]
        elif not isinstance(value, str | int | float | None):
            wrong = f"a {type(value).__name__}"
        elif isinstance(value, str) and len(value) > LONGEST:
            wrong = f"a text of more than {LONGEST} characters"
        elif isinstance(value, int) and abs(value) > LARGEST:
            wrong = "a number of more than 38 digits"
        if wrong:
            raise InputError(": ".join(filter(None, (where, field[:100], wrong))))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
