"""The door users use, in-process; and a guard against tests that litter the checkout."""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from tools.soak.processes import exit_status as exit_status  # for the tests

# two tests run at a time: with as many threads each as there are cores they would wait for one another
torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))  # torch has read the variable already
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
TINY = ("size=64", "steps=6", "tracking=none", "style_layers=[conv_1,conv_2]", "content_layers=[conv_2]")
"""A run of a second or two."""
SMALL = (*TINY, "judge=none")
"""Of less than that."""


def pytest_collection_finish() -> None:
    """Leave alone what the imports made: to go through it takes a fifth of a second each time."""
    gc.freeze()
    gc.enable()


@dataclass
class Result:
    status: int
    out: str
    err: str
    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "record.json").read_text())

    def rows(self) -> list[dict[str, float]]:
        lines = (self.folder / "losses.csv").read_text().splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, map(float, line.split(",")), strict=True)) for line in lines[1:]]

    def pixels(self) -> np.ndarray[Any, Any]:
        return pixels(self.folder / "result.png")


def pixels(path: Path, size: tuple[int, int] | None = None) -> np.ndarray[Any, Any]:
    """8-bit pixels of an image file, resized to (width, height) if given."""
    with Image.open(path) as image:
        return np.asarray(image.resize(size) if size else image)


Door = Callable[..., Result]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own and never goes online."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / ".cache"))


@pytest.fixture(scope="session", autouse=True)
def _no_litter() -> Iterator[None]:
    def files() -> set[Path]:
        kept = (path for path in ROOT.iterdir() if not path.name.startswith("."))
        inside = {file for path in kept for file in ([path] if path.is_file() else path.rglob("*"))}
        return {file for file in inside if "__pycache__" not in file.parts}

    before = files()
    yield
    assert files() == before, "tests must leave the checkout as it was"


@pytest.fixture
def nst(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Door:
    """`nst("steps=3", …)` is `python -m nst.run steps=3 …`; a single run's folder is run/, a second one's run2/."""
    from nst import run

    count = 0

    def door(*arguments: str) -> Result:
        nonlocal count
        count += 1
        folder = tmp_path / ("run" if count == 1 else f"run{count}")
        if "-m" not in arguments and not any(each.startswith(("hydra.run.dir", "--")) for each in arguments):
            arguments = (*arguments, f"hydra.run.dir={folder.name}")
        monkeypatch.setattr(sys, "argv", ["nst", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            run.main()
        captured = capfd.readouterr()
        return Result(int(exit_.value.code or 0), captured.out, captured.err, folder)

    return door


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small smooth image with a red disc: something to recognise."""
    y, x = np.mgrid[0:48, 0:64]
    pixels = np.stack([x * 4, y * 5, 128 + 0 * x], axis=-1).astype(np.uint8)
    pixels[(x - 32) ** 2 + (y - 24) ** 2 < 150] = (220, 30, 30)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def random_features(model: str, depth: int | None = None, bias: float = 0.0) -> dict[str, torch.Tensor]:
    """Random weights of the first `depth` layers of a torchvision model. bias: the standard deviation of the biases."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = getattr(torchvision.models, model)().features[:depth]
    for module in features.to_empty(device="cpu").modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.normal_(module.bias, std=bias)  # type: ignore[arg-type]
    return {f"features.{name}": value for name, value in features.state_dict().items()}


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A weights file of a VGG-19 of random weights that stops at relu2_1."""
    path = tmp_path / "vgg.safetensors"
    save_file(random_features("vgg19", 6, bias=0.1), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 32 photographs of blurred noise."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(32):
        coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((192, 192), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder
