"""One run, as its folder and its record.json describe it."""

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

from nst.files import read_own
from nst.images.written import is_written_image, written_images
from nst.record.files import dotted, read_record
from nst.text import encodable

NOT_SWEPT = (
    *("experiment", "resume", "rerun"),  # choose where the settings come from
    *("output", "question", "title", "finding", "labels", "captions"),  # do not change a picture
    *("repeats", "zip"),  # make jobs
)
"""Keys that are no settings of a run."""
LARGEST_LOSSES, MOST_ROWS = 256 * 2**20, 1_000_001
"""Bytes and lines of losses.csv: a run has at most a million steps."""
MEASURED = ("losses", "figures", "timings")
"""The parts of a record that hold numbers."""


@dataclass(frozen=True)
class Original:
    """An input image as a run used it: its role, its file in the run's folder, and a label such as `style swirl`."""

    role: str
    path: Path
    label: str


@dataclass(frozen=True, eq=False)
class Run:
    """One run's folder and its record.json, in the form that `read_run` gives it."""

    folder: Path
    record: dict[str, Any]

    @property
    def status(self) -> str:
        """finished, interrupted, diverged, failed, refused, skipped or unreadable; running, if it was killed or is not
        over yet."""
        return str(self.record.get("status", "failed"))

    @property
    def error(self) -> str:
        """The error message of a run that did not finish; empty for none."""
        return str(self.record.get("error", ""))

    @cached_property
    def overrides(self) -> dict[str, str]:
        """The settings given on the command line or by the sweep: key → text as it was written."""
        pairs = (text.lstrip("+~").partition("=") for text in self.record.get("overrides", []))
        return {name: value for name, _, value in pairs if name not in NOT_SWEPT}

    @property
    def zipped(self) -> list[str]:
        """The keys whose values go together in the run's sweep."""
        together = (self.record.get("config") or {}).get("zip")
        return [str(key) for key in together] if isinstance(together, dict) else []

    @property
    def is_repeated(self) -> bool:
        """Whether other runs of its sweep differ from it in their seed alone, by `repeats`."""
        repeats = (self.record.get("config") or {}).get("repeats")
        return isinstance(repeats, int) and repeats > 1

    def said(self, key: str) -> str:
        """The text that the config has for the report, such as its `title`; empty for none."""
        return str((self.record.get("config") or {}).get(key) or "")

    def texts(self, key: str) -> dict[str, str]:
        """The texts that the config has for the report by name: its `labels`, or `captions`."""
        value = (self.record.get("config") or {}).get(key)
        return (
            {str(name): " ".join(str(text).split()) for name, text in value.items()} if isinstance(value, dict) else {}
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config with dotted keys and the values that the run decided on; empty for a run that was refused."""
        return dotted(self.record.get("config", {})) | self.record["decided"]

    def value(self, key: str) -> str:
        """The value of a key in full; lists, such as layers, as they were written; empty for none."""
        value = self.settings.get(key)
        if value is None or isinstance(value, list):
            value = self.overrides.get(key, value)
        words = value if isinstance(value, list) else str("" if value is None else value).strip("[]").split(",")
        return ", ".join(str(word).strip(" '\"") for word in words)

    @cached_property
    def picture(self) -> Path | None:
        """result.png, if there is one that can be shown."""
        path = self.folder / "result.png"
        return path if is_written_image(path) else None

    @cached_property
    def originals(self) -> list[Original]:
        """The files in inputs/, by role: ROLE.jpg is a role's first image, ROLE_2.jpg its second."""
        found = []
        for path in written_images(self.folder / "inputs", "*.jpg"):
            name = encodable(path.stem)
            role, _, number = re.fullmatch(r"(.+?)(_(\d+))?", name, re.DOTALL).groups("1")  # type: ignore[union-attr]
            found.append((role, int(number), path))
        return [Original(role, path, self._label(role, number)) for role, number, path in sorted(found)]

    def _label(self, role: str, number: int) -> str:
        """`style swirl`; or the role alone, if its picture was not made of one file."""
        files = self.record["inputs"].get(role, [])
        path = files[number - 1].get("path") if number <= len(files) else None
        return f"{role} {Path(path).stem}" if path else role

    @property
    def metrics(self) -> dict[str, float]:
        """Final unweighted losses, a judge's figures, times in seconds, memory in MB; unknown values are left out."""
        metrics = {name: value for part in MEASURED for name, value in self.record.get(part, {}).items()}
        return {name: value for name, value in metrics.items() if isinstance(value, int | float)}

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of a column of losses.csv; none if that is no table of numbers."""
        steps, values = list[float](), list[float]()
        try:
            data = read_own(self.folder / "losses.csv", LARGEST_LOSSES)
            for row in islice(csv.DictReader(TextIOWrapper(BytesIO(data), "utf-8")), MOST_ROWS):
                if row.get(name):
                    steps.append(float(row["step"]))
                    values.append(float(row[name]))
            return steps, values
        except (OSError, ValueError, LookupError, TypeError, csv.Error):
            return [], []


def read_run(folder: Path) -> Run:
    """The run in a folder, with the keys that its record lacks.

    A run that was refused has no inputs. An older record has no `roles`: each of its roles is a key of the same name.
    """
    record: dict[str, Any] = {"inputs": {}, "decided": {}} | encodable(read_record(folder))
    return Run(folder, {"roles": {role: [role] for role in record["inputs"]}} | record)
