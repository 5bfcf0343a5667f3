"""nst from Python: each mode as a function, on the same schema, builders and runner as the command line.

    from nst import transfer
    transfer("photo.jpg", "painting.jpg", style_weight=1e6).save("picture.png")

Images are paths, names of samples, PIL images, or arrays and tensors of pixels (see `Image`). Every key of the command
line is a keyword argument, checked by the same schema; `nst.InputError` says in one line what cannot be used. A run
goes into `folder`, as the command line's do, or leaves no files. `progress`: True shows a bar in a terminal and in a
notebook; a function is called with a `Progress` at each report, `tracking={"loss_every": 10}` steps apart.
"""

import csv
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import PIL.Image
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from nst import session
from nst.cli.arguments import Labels, remove_empty
from nst.compose import configured
from nst.engine.progress import Progress as Bar
from nst.engine.task import Row
from nst.errors import InputError
from nst.files import write_whole
from nst.images.files import WRITTEN, encode_as
from nst.images.given import named_files, to_pixels
from nst.record.files import read_record
from nst.runner import Request, execute
from nst.text import silent

Image: TypeAlias = str | Path | PIL.Image.Image | np.ndarray[Any, Any] | Tensor
"""A path or the name of a sample; a PIL image; an array (H, W), (H, W, 3 or 4) or a tensor (3 or 4, H, W), also with a
first axis of 1: uint8, or floating point in [0, 1]."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    seconds: float
    """Since the first step began."""
    losses: Mapping[str, float]
    """Raw losses by name, `total` the weighted sum, before the last steps up to `step`."""


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    losses: column → values, a row for each report: `step`, `seconds` since the first step began, and the raw losses,
    `total` the weighted sum; the last row is the picture as saved. record: what record.json holds. folder: the run's
    folder, if one was asked for.
    """

    losses: dict[str, list[float]]
    record: dict[str, Any]
    folder: Path | None

    def __repr__(self) -> str:
        last = {name: values[-1] for name, values in self.losses.items()}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        return f"<{type(self).__name__}: {self.record['name']}; {shown}>"


@dataclass(frozen=True, repr=False)
class Result(Run):
    """A run that made a picture. A notebook shows it."""

    png: bytes
    """The picture as a PNG file; its text chunk `nst` holds the config and the hashes of what it was made from."""

    @property
    def image(self) -> PIL.Image.Image:
        """The picture."""
        return PIL.Image.open(io.BytesIO(self.png))

    def save(self, path: str | Path) -> None:
        """Write the picture to a .png, .jpg or .webp file. Only PNG keeps what it was made from.

        Raises InputError for another suffix, and for a file that cannot be written.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() not in WRITTEN:
            raise InputError(f"{path}: must end in {', '.join(WRITTEN)}")
        is_png = path.suffix.lower() == ".png"
        write_whole(path, self.png if is_png else encode_as(path.suffix, to_pixels(np.asarray(self.image))))

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True, repr=False)
class Training(Run):
    """A run that trained a generator."""

    generator: bytes
    """The generator as a .safetensors file."""

    def save(self, path: str | Path) -> None:
        """Write the generator to a .safetensors file. Raises InputError if it cannot be written."""
        path = Path(path).expanduser()
        if path.suffix != ".safetensors":
            raise InputError(f"{path}: must end in .safetensors")
        write_whole(path, self.generator)

    def stylize(self, content: Image, **keys: Any) -> Result:
        """Paint an image in one pass; as the function `stylize`."""
        return stylize(content, self, **keys)


Listener: TypeAlias = bool | Callable[[Progress], object]


def transfer(
    content: Image,
    style: Image | list[Image] | None = None,
    *,
    folder: str | Path | None = None,
    progress: Listener = True,
    **keys: Any,
) -> Result:
    """Paint the content in the style, or in several (Gatys et al. 2016). Without a style, `regions` has them."""
    styles = {} if style is None else {"style": style}
    return _picture("transfer", {"content": content, **styles, **keys}, folder, progress)


def reconstruct(content: Image, *, folder: str | Path | None = None, progress: Listener = True, **keys: Any) -> Result:
    """Show what `content_layers` keep of the content, from noise (Mahendran & Vedaldi 2015)."""
    return _picture("reconstruct", {"content": content, **keys}, folder, progress)


def texture(
    style: Image | list[Image], *, folder: str | Path | None = None, progress: Listener = True, **keys: Any
) -> Result:
    """Make an image with the statistics of the style, from noise (Gatys et al. 2015)."""
    return _picture("texture", {"style": style, **keys}, folder, progress)


def stylize(
    content: Image,
    generator: "Training | str | Path",
    *,
    folder: str | Path | None = None,
    progress: Listener = True,
    **keys: Any,
) -> Result:
    """Paint an image in one pass of a trained generator: its file, the folder of its run, or what `train` returned."""
    if isinstance(content, str | Path) and Path(content).expanduser().is_dir():
        raise InputError(f"content={content}: give one image at a time; the command line takes folders")
    with tempfile.TemporaryDirectory() as place:
        if isinstance(generator, Training):
            generator.save(checkpoint := Path(place, "generator.safetensors"))
        else:
            checkpoint = Path(generator)
        return _picture("stylize", {"content": content, "checkpoint": checkpoint, **keys}, folder, progress)


def train(
    style: Image | list[Image],
    data: str | Path | None = None,
    *,
    folder: str | Path | None = None,
    progress: Listener = True,
    **keys: Any,
) -> Training:
    """Train a generator in one style on the images in a folder, or on the bundled photographs (Johnson et al. 2016)."""
    keys = {"style": style, **keys} | ({"data.dir": data} if data is not None else {})
    with _made("train", keys, folder, progress) as (place, facts):
        return Training(**facts, generator=(place / "generator.safetensors").read_bytes())


def _picture(mode: str, keys: dict[str, Any], folder: str | Path | None, progress: Listener) -> Result:
    with _made(mode, keys, folder, progress) as (place, facts):
        return Result(**facts, png=(place / "result.png").read_bytes())


@contextmanager
def _made(
    mode: str, keys: dict[str, Any], folder: str | Path | None, progress: Listener
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run a mode. Yields its folder, which is kept only if it was asked for, and the fields of a `Run`."""
    began = time.perf_counter()
    with ExitStack() as stack:
        place = Path(folder).expanduser() if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if (place / "record.json").exists():
            raise InputError(f"folder={folder}: holds a run already; choose another folder")
        images = dict[Path, bytes]()
        named = {key: named_files(value, place / "given" / key, images) for key, value in keys.items()}
        config = configured(mode, {"tracking": "none"} | named)
        stack.callback(_remove_refused, place, list(images))
        for path, png in images.items():
            write_whole(path, png)
        place.mkdir(parents=True, exist_ok=True)
        words = [f"{key}={_shown(value)}" for key, value in named.items()]
        labels = Labels(f"nst.{mode}({', '.join(words)})", [word.replace("'", "") for word in words], "", None)
        request = Request(config, place, labels, began, progress=Bar() if progress is True else _Heard(progress))
        with silent(), isolate_rng():
            execute(request, session.current())
        losses, record = _losses(place / "losses.csv"), read_record(place)
        yield place, {"losses": losses, "record": record, "folder": place if folder else None}


def _remove_refused(place: Path, images: list[Path]) -> None:
    """Leave nothing of a run that was refused."""
    if not (place / "record.json").exists():
        for path in images:
            path.unlink(missing_ok=True)
        for folder in (place / "given", place):
            remove_empty(folder.absolute())


class _Heard(Bar):
    """Tells a function how far the run is."""

    def __init__(self, hear: "Literal[False] | Callable[[Progress], object]") -> None:
        super().__init__()
        self._hear = hear

    def start(self, step: int, seconds: float, steps: int) -> None:
        self._steps = steps

    def show(self, row: Row, step: int, seconds: float) -> None:
        if self._hear:
            losses = {name.removeprefix("loss/"): row[name] for name in row if name.startswith("loss/")}
            self._hear(Progress(step, self._steps, seconds, losses))


def _losses(path: Path) -> dict[str, list[float]]:
    """The columns of a losses.csv; empty for a mode that has none."""
    rows = list(csv.DictReader(path.read_text().splitlines() if path.exists() else ()))
    return {name.removeprefix("loss/"): [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def _shown(value: Any) -> str:
    """A value as the record's command shows it."""
    return repr(str(value)) if isinstance(value, str | Path) else repr(value).replace(" ", "")
