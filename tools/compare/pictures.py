"""The pictures that are judged: files, or the results of runs, which know what they were made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nst.errors import InputError
from nst.images.files import load
from nst.judges import Look, Place, Reference
from nst.judges.figures import SMALLEST
from nst.report.records import Run
from nst.report.sweep import Sweep, read
from nst.text import say


@dataclass(frozen=True)
class Subject:
    """A picture and what it was made of."""

    name: str
    path: Path
    content: Path | None
    styles: tuple[Path, ...]
    run: Run | None = None

    @property
    def backbone(self) -> str:
        """The network that the picture was optimized in; empty if that is not known."""
        return str(self.run.settings.get("backbone.name", "")) if self.run else ""

    @property
    def seconds(self) -> float | None:
        """The run's seconds in all, if they are known."""
        return self.run.metrics.get("total_seconds") if self.run else None


def gather(paths: Iterable[Path], content: Path | None, style: Path | None) -> tuple[list[Subject], Sweep]:
    """The pictures in files and in folders of runs or sweeps, and all the runs as one sweep.

    content, style: for files, and for runs whose record names none. A run without a picture is left out. Raises
    InputError for a path that is neither.
    """
    subjects: list[Subject] = []
    for path in paths:
        if not path.is_dir():
            subjects.append(Subject(path.name, path, content, (style,) if style else ()))
            continue
        runs = read(path).runs
        for run in runs:
            name = path.name if len(runs) == 1 else f"{path.name}/{run.folder.name}"
            picture, made_of = run.picture, run.record["inputs"]
            contents, styles = ([Path(file["path"]) for file in made_of.get(role, [])] for role in ("content", "style"))
            if not styles and style:
                styles = [style]
            if picture:
                subjects.append(Subject(name, picture, contents[0] if contents else content, tuple(styles), run))
            else:
                say(f"left out {run.folder}: {run.status}, no result.png")
    for subject in subjects:
        if not subject.content and not subject.styles:
            raise InputError(f"{subject.path}: nothing to compare it with; give --content FILE and --style FILE")
    return subjects, Sweep(Path(), [subject.run for subject in subjects if subject.run])


def fitted(path: Path, size: int) -> Tensor:
    """An image file with a longest side of `size` pixels, (1, 3, H, W); a smaller one is not enlarged."""
    image = load(path)
    return load(path, size) if max(image.shape[2:]) > size else image


def reference(subject: Subject, height: int, width: int) -> Reference:
    """What a picture of height × width pixels was made of, at its size; a smaller style is not enlarged.

    Raises InputError if the content has another shape, and for a picture that is too small to be judged.
    """
    if min(height, width) < SMALLEST:
        raise InputError(f"{subject.path}: {width}×{height} pixels; at least {SMALLEST} a side can be judged")
    side = max(height, width)
    content = load(subject.content, side) if subject.content else None
    if content is not None and content.shape[2:] != (height, width):
        rows, columns = content.shape[2:]
        raise InputError(
            f"{subject.path}: {width}×{height} pixels; a picture of {subject.content} has {columns}×{rows} at this size"
        )
    looks = [Look(fitted(style, side)) for style in subject.styles]
    return Reference(content, [Place(looks)] if looks else [])
