"""TensorBoard: scalars, pictures and the config as text, in a folder of the run. The extra `tensorboard`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from nst.config import Tracking
from nst.errors import InputError
from nst.images.written import read_written
from nst.session import Session
from nst.tracking import TrackedRun, Tracker, register


@dataclass
class TensorBoard(Tracking):
    name: str = "tensorboard"


@register("tensorboard", TensorBoard)
class TensorBoardTracker(Tracker):
    """Event files in the run's folder `tensorboard`."""

    def __init__(self, options: TensorBoard, run: TrackedRun, session: Session) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = run.folder / "tensorboard"
        self._browse = run.sweep or self._folder
        self._writer: Any = SummaryWriter(str(self._folder))
        config = yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True)
        self._writer.add_text("config", "".join(f"    {line}\n" for line in config.splitlines()))
        self._writer.add_text("run", f"{run.name} ({', '.join([run.kind, *run.tags])})")

    @staticmethod
    def check(options: TensorBoard) -> bool:
        if find_spec("tensorboard") is None:
            raise InputError(
                "tracking=tensorboard: tensorboard is not installed; pip install -e '.[tensorboard]', or tracking=none"
            )
        return True

    def log(self, step: int, metrics: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        for caption, path in (images or {}).items():
            self._add_image(f"images/{caption}", path, step)
        self._writer.flush()

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._add_image("sheet", sheet, 0)
        lines = [columns, ["---"] * len(columns), *([_cell(each) for each in row] for row in rows)]
        self._writer.add_text("runs", "".join(f"| {' | '.join(line)} |\n" for line in lines))

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        plain = {name: value for name, value in summary.items() if isinstance(value, int | float)}
        self._writer.add_text("summary", "".join(f"    {name}: {value:.6g}\n" for name, value in plain.items()))
        self._writer.close()

    def facts(self) -> dict[str, Any] | None:
        return {"folder": str(self._folder)}

    def how_to_browse(self) -> list[str]:
        return [f"log      tensorboard --logdir {os.path.relpath(self._browse)}"]

    def _add_image(self, name: str, path: Path, step: int) -> None:
        import numpy as np

        self._writer.add_image(name, np.asarray(read_written(path)), step, dataformats="HWC")


def _cell(value: Any) -> str:
    return value.parent.name if isinstance(value, Path) else "" if value is None else str(value)
