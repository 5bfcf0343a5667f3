"""The record: what a run leaves behind in its own folder."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from nst.errors import InputError, one_line
from nst.files import CHECKPOINT, encode_csv, write_whole
from nst.imagefile import encode_jpeg, encode_png
from nst.tasks.task import Row, Task
from nst.tracking import Tracker

PACKAGES = ("nst", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "pillow", "numpy")


class Record:
    """The folder of one run: record.json, losses.csv, progress/step_NNNNNN.jpg and the results.

    facts: what is known before the run and goes into record.json as it is (config, inputs, weights, …).
    Every file appears whole or not at all. Raises InputError if the folder cannot be written.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.checkpoint = folder / CHECKPOINT
        self.rows: list[Row] = []
        self._results: list[Path] = []
        self.facts = {"status": "running"} | facts | {"versions": versions(), "git": git_state()}
        if not os.access(folder, os.W_OK):
            raise InputError(f"cannot write to {folder}")

    def open(self) -> None:
        """Write the first record.json: from here on the folder holds this run."""
        self._write_facts()

    def add_row(self, row: Row) -> None:
        """Append a line to losses.csv; its columns are step, seconds and the row's `loss/…`."""
        self.rows.append(row)
        columns = ["step", "seconds", *(name for name in row if name.startswith("loss/"))]
        write_whole(self.folder / "losses.csv", encode_csv(columns, self.rows))

    def add_picture(self, step: int, picture: Tensor) -> Path:
        """Write the picture after `step` steps, (1, 3, H, W) in [0, 1], as a JPEG and return its path."""
        path = self.folder / "progress" / f"step_{step:06d}.jpg"
        write_whole(path, encode_jpeg(picture))
        return path

    def add_input(self, role: str, image: Tensor) -> Path:
        """Write an input (1, 3, H, W) as the run sees it to inputs/ROLE.jpg and return its path."""
        path = self.folder / "inputs" / f"{role}.jpg"
        write_whole(path, encode_jpeg(image))
        return path

    def add_file(self, name: str, data: bytes) -> None:
        """Write a file that was made on the way, by its path in the folder."""
        write_whole(self.folder / name, data)

    def add_results(self, task: Task) -> None:
        """Write what the task made: result.png, with what it was made from in its text chunk `nst`, and its files."""
        picture, files = task.picture(), dict(task.files())
        if picture is not None:
            made_from = {name: fact for name, fact in self.facts.items() if name not in ("status", "wandb")}
            files["result.png"] = encode_png(picture, {"nst": json.dumps(made_from)})
        for name, data in files.items():
            self.add_file(name, data)
            self._results.append(self.folder / name)

    def where(self) -> list[str]:
        """Lines for the user: where the results and the record are."""
        named = [("picture" if path.suffix == ".png" else "result", path) for path in self._results]
        named.append(("record", self.folder / "record.json"))
        return [f"{name:8} {os.path.relpath(path)}" for name, path in named]

    def close(self, status: str, **facts: Any) -> None:
        """Write the final record.json: status is finished, interrupted or failed."""
        self.facts |= {"status": status} | facts
        self._write_facts()

    def _write_facts(self) -> None:
        write_whole(self.folder / "record.json", json.dumps(self.facts, indent=2).encode() + b"\n")


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide what a run computes; None for one not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout this code runs from and whether it was changed since; None outside a checkout."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # installed in somebody else's repository is not a checkout
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def device_facts(device: torch.device) -> dict[str, Any]:
    """What the run computed on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"type": device.type, "name": name, "threads": torch.get_num_threads()}


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory in MB: the GPU's, as allocated by torch since it was reset, or the process's so far.

    None where it is not told.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the process that started this one had, too
        told = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(told["VmHWM"].split()[0]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Recorder(Callback):
    """Keeps a record and a tracker up to date while a task runs, and a checkpoint to go on from if it is killed.

    image_every: steps between two progress pictures. beside: image files, by caption, tracked beside each of them.
    checkpoint_every: seconds. (Lightning's own ModelCheckpoint ignores its time interval under manual optimisation.)
    """

    def __init__(
        self, record: Record, tracker: Tracker, image_every: int, beside: Mapping[str, Path], checkpoint_every: float
    ) -> None:
        self.record = record
        self.tracker = tracker
        self.image_every = image_every
        self.beside = dict(beside)
        self.checkpoint_every = checkpoint_every
        self._saved_at = time.monotonic()
        self._shown: tuple[int, Tensor] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, task: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(task, Task)
        if outputs:
            self._write_shown()
            self._tell(outputs)
        for name, data in task.made().items():
            self.record.add_file(name, data)
        if task.step % self.image_every == 0 and task.step < task.stops[-1]:
            self._write_shown()
            self._show(task)
        if task.stop_requested or time.monotonic() - self._saved_at > self.checkpoint_every:
            partial = self.record.checkpoint.with_suffix(".part")
            try:
                partial.unlink(missing_ok=True)
                # Trainer.save_checkpoint would wait for the other processes, which do not know that it is time
                state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
                trainer.strategy.save_checkpoint(state, partial)
            except (OSError, RuntimeError) as error:
                partial.unlink(missing_ok=True)
                raise InputError(f"cannot write {self.record.checkpoint}: {one_line(error)}") from None
            self._write_shown()  # a run that goes on from here does not show it again
            os.replace(partial, self.record.checkpoint)
            self._saved_at = time.monotonic()
        if task.stop_requested and task.step < task.stops[-1]:
            self._conclude(task)
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, task: LightningModule) -> None:
        assert isinstance(task, Task)
        self._conclude(task)
        self.record.checkpoint.unlink(missing_ok=True)

    def _conclude(self, task: Task) -> None:
        row = {"step": task.step, "seconds": task.seconds} | task.finite(task.figures())
        self._write_shown()
        self._tell(row)
        picture = task.picture()
        if picture is not None:
            self._write(task.step, picture)

    def on_save_checkpoint(self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]) -> None:
        facts = self.record.facts
        checkpoint |= {"rows": self.record.rows, "config": facts["config"]}
        checkpoint["made_from"] = {"inputs": facts["inputs"], "weights": facts["weights"]}

    def on_load_checkpoint(self, trainer: Trainer, task: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.record.rows = list(checkpoint["rows"])

    def _tell(self, row: Row) -> None:
        self.record.add_row(row)
        self.tracker.log(int(row["step"]), {name: value for name, value in row.items() if name != "step"})

    def _show(self, task: Task) -> None:
        """Have the picture copied while steps go on: it is there for whoever has waited for a later row."""
        picture = task.picture()
        if picture is not None:
            if picture.is_cuda:
                picture = torch.empty_like(picture, device="cpu", pin_memory=True).copy_(picture, non_blocking=True)
            self._shown = task.step, picture

    def _write_shown(self) -> None:
        if self._shown:
            self._write(*self._shown)
            self._shown = None

    def _write(self, step: int, picture: Tensor) -> None:
        path = self.record.add_picture(step, picture)
        self.tracker.log(step, {}, {"result": path, **self.beside})
