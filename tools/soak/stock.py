"""What the cases start from: valid files of every sort, each made once, when it is first needed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from tools.soak.processes import Command

TINY = ("size=48", "tracking=none", "judge=none", "style_layers=[conv_1,conv_2]", "content_layers=[conv_2]")
SMALL = (*TINY, "steps=6", "tracking.loss_every=2")
"""A run of less than a second."""
TRAIN = (
    *("mode=train", "generator.width=4", "generator.blocks=0", "data.size=32", "data.workers=0", "tracking=none"),
    *("style_layers=[conv_1]", "tracking.loss_every=2"),
)
VGG = ("backbone=vgg19", "style_layers=[conv1_1]", "content_layers=[conv1_1]", "size=48", "steps=2", "tracking=none")
"""A run with weights of its own; the judge is among what is tried."""
FORMATS = ("png", "jpg", "webp", "gif", "tif")


class Stock:
    """Valid files by name, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> Path:
        """The file or folder of a name, or a file in a folder; it is made the first time."""
        whole = name.partition("/")[0]
        if not (self.folder / whole).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            MAKERS[whole](self, self.folder / whole)
        return self.folder / name

    def run(self, path: Path, *arguments: str) -> None:
        """Leave a finished run, or a sweep."""
        where = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
        done = Command(*arguments, f"{where}={path.name}", folder=self.folder).end()
        assert done.status == 0, done.said


def _photos(stock: Stock, folder: Path) -> None:
    """32 photographs of blurred noise."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for index in range(32):
        coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((192, 160), Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def _image(stock: Stock, path: Path) -> None:
    Image.open(stock.get("photos") / "0.png").resize((64, 48)).save(path)


def _weights(stock: Stock, path: Path) -> None:
    """Random weights of the first layers of a VGG-19, which are also those of a VGG-16."""
    torch.manual_seed(0)
    features = torchvision.models.vgg19(weights=None).features[:6]
    tensors = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    torch.save(tensors, path) if path.suffix == ".pth" else save_file(tensors, path)


def _generator(stock: Stock, path: Path) -> None:
    shutil.copyfile(stock.get("training") / path.name, path)


def _onnx(stock: Stock, path: Path) -> None:
    stock.run(stock.folder / "exported", "mode=export", f"checkpoint={stock.get('generator.safetensors')}")
    shutil.copyfile(stock.folder / "exported" / path.name, path)


def _runs(stock: Stock, path: Path) -> None:
    stock.run(path, "-m", *SMALL, "init=noise", "seed=0,1,2")


def _experiment(stock: Stock, path: Path) -> None:
    path.write_text(
        "# @package _global_\ndefaults:\n  - override /style_loss: gram\n  - override /optimizer: adam\n"
        "mode: transfer\ncontent: photo.png\n"
        "title: One\nquestion: Which?\nlabels: {style_weight: weight}\ncaptions: {seed=0: the first}\n"
        "size: 48\nsteps: 4\nseed: 0\nstyle: [swirl, waves]\nstyle_mix: [0.5, 0.5]\nstyle_weight: 1e5\ninit: noise\n"
        "content_layers: [conv_2]\nstyle_layers: [conv_1, conv_2]\nstyle_layer_weights: [1, 2]\nscales: 1\n"
        "optimizer: {lr: 0.02}\nbackbone: {pooling: avg}\noptimized_metric: total\n"
        "regions: [{mask: photo.png, style: waves}, {mask: rest, style: swirl, weight: 2}]\n",
        encoding="utf-8",
    )


MAKERS: dict[str, Callable[[Stock, Path], None]] = {
    "photos": _photos,
    **{f"photo.{suffix}": _image for suffix in FORMATS},
    "vgg.pth": _weights,
    "vgg.safetensors": _weights,
    "run": lambda stock, path: stock.run(path, *SMALL),
    "training": lambda stock, path: stock.run(path, *TRAIN, "steps=4"),
    "generator.safetensors": _generator,
    "generator.onnx": _onnx,
    "runs": _runs,
    "experiment.yaml": _experiment,
}
