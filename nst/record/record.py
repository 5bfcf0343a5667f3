"""The record: what a run leaves in its own folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nst.errors import InputError
from nst.files import encode_csv, encode_json, make_durable, write_json, write_whole
from nst.images.files import WRITTEN, encode_as, encode_jpeg, encode_png
from nst.record.files import CHECKPOINT, VERSION
from nst.record.provenance import git_state, versions


class Record:
    """The folder of one run: record.json, losses.csv, progress/step_NNNNNN.jpg and the results.

    facts: what is known before the run; it goes into record.json as it is (config, decided, inputs, weights, …).
    Every file appears whole or not at all. Raises InputError if the folder cannot be written.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT
        self.rows: list[dict[str, float]] = []
        self._columns: list[str] = []
        self._lines = b""
        """losses.csv so far: after 10,000 rows, to encode all of them anew would take longer than a step."""
        self.shown_inputs: dict[str, Path] = {}
        """Role → the input as the run uses it, shown beside its pictures."""
        self.results: list[Path] = []
        """The files that were made."""
        if not os.access(folder, os.W_OK):
            raise InputError(f"cannot write to {folder}")
        self.facts: dict[str, Any] = {"version": VERSION, "status": "running"} | facts
        self.facts |= {"versions": versions(), "git": git_state()}

    def open(self, inputs: Mapping[str, Tensor]) -> None:
        """Write the first record.json, and the inputs (1, 3, H, W) as the run uses them, as inputs/ROLE.jpg."""
        self._write_facts()
        for role, image in inputs.items():
            self.shown_inputs[role] = self.folder / "inputs" / f"{role}.jpg"
            write_whole(self.shown_inputs[role], encode_jpeg(image))

    def add_row(self, row: dict[str, float]) -> None:
        """Append a line to losses.csv; its columns are step, seconds and the row's `loss/…`."""
        self.rows.append(row)
        columns = ["step", "seconds", *(name for name in row if name.startswith("loss/"))]
        if columns != self._columns:  # of the first row of this process
            self._columns, self._lines = columns, encode_csv(columns, self.rows)
        else:
            self._lines += encode_csv(columns, [row], head=False)
        write_whole(self.folder / "losses.csv", self._lines)

    def add_picture(self, step: int, picture: Tensor) -> Path:
        """Write the picture after `step` steps, (1, 3, H, W) in [0, 1], as a JPEG and return its path."""
        path = self.folder / "progress" / f"step_{step:06d}.jpg"
        write_whole(path, encode_jpeg(picture))
        return path

    def add_file(self, name: str, data: bytes) -> None:
        """Write a file by its path in the folder."""
        write_whole(self.folder / name, data)

    def add_results(self, picture: Tensor | None, files: Mapping[str, bytes], copy: Path | None = None) -> None:
        """Write result.png, with what it was made from in its text chunk `nst`, and other results by name.

        copy: a further file for the picture, in the format of its suffix.
        """
        results = {self.folder / name: data for name, data in files.items()}
        if picture is not None:
            text = {"nst": encode_json(self.made_from)}
            results[self.folder / "result.png"] = encode_png(picture, text)
            if copy:
                results[copy] = encode_as(copy.suffix, picture, text)
        for path, data in results.items():
            write_whole(path, data)
            self.results.append(path)
        self.facts["results"] = [path.name for path in results if path.parent == self.folder]

    @property
    def made_from(self) -> dict[str, Any]:
        """The facts from which the picture can be made again."""
        return {name: fact for name, fact in self.facts.items() if name not in ("status", "tracker")}

    @property
    def losses(self) -> dict[str, float]:
        """The raw losses of the last row."""
        last = (self.rows or [{}])[-1]
        return {name: value for name, value in last.items() if name.startswith("loss/")}

    def where(self) -> list[str]:
        """Lines for the user: where the results and the record are."""
        named = [("picture" if path.suffix in WRITTEN else "result", path) for path in self.results]
        named.append(("record", self.folder / "record.json"))
        return [f"{name:8} {os.path.relpath(path)}" for name, path in named]

    def close(self, status: str, **facts: Any) -> None:
        """Write the final record.json: status is finished, interrupted, diverged or failed."""
        self.facts |= {"status": status} | facts
        self._write_facts()
        make_durable(*self.results, self.folder / "record.json", self.folder)

    def _write_facts(self) -> None:
        write_json(self.folder / "record.json", self.facts)
