"""Generators as ONNX: written with torch.onnx, run with onnxruntime. The only user of either; the extra `onnx`."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nst.errors import InputError
from nst.generator import DESCRIPTION, Generator, describe, read_description

LARGEST_DIFFERENCE = 1e-3
"""Of the range of pixel values, between torch and onnxruntime, at most."""


def require() -> None:
    """Raise InputError if what ONNX takes is not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise InputError(f"ONNX needs {package}, which is not installed: pip install -e '.[onnx]'")


def export(generator: Generator, facts: dict[str, Any]) -> tuple[bytes, float]:
    """A generator as the bytes of an .onnx file, (B, 3, H, W) → (B, 3, H, W), and how far onnxruntime is from torch.

    Batch, height and width are free. The difference is the largest of any pixel, in [0, 1], on a noise image of
    another batch, height and width than it was written with. Raises InputError if it is above LARGEST_DIFFERENCE.
    """
    require()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            generator.cpu(),
            (image,),
            dynamo=True,
            dynamic_shapes=(free,),
            input_names=["image"],
            output_names=["painted"],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = DESCRIPTION, describe(generator, facts)
    data = model.SerializeToString()
    image = torch.rand(2, 3, 90, 75, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        difference = float((generator(image) - _painter(data)(image)).abs().max())
    if not difference <= LARGEST_DIFFERENCE:
        raise InputError(f"onnxruntime paints another picture than torch: they differ by {difference:.2g} of [0, 1]")
    return data, difference


def load(path: Path) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """What an .onnx file paints, (B, 3, H, W) in [0, 1] → the same, and its description. Raises InputError."""
    require()
    import onnx

    try:
        data = path.read_bytes()
        model = onnx.load_from_string(data)
        described = {entry.key: entry.value for entry in model.metadata_props}.get(DESCRIPTION)
        painter = _painter(data)
        given = [(each.name, len(each.type.tensor_type.shape.dim)) for each in model.graph.input]
    except Exception as error:
        raise InputError(f"checkpoint={path}: not a whole ONNX model ({type(error).__name__})") from None
    if given != [("image", 4)]:
        raise InputError(f"checkpoint={path}: takes no image: mode=export did not write it")
    return painter, read_description(path, described)


def _painter(model: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=onnxruntime.get_available_providers())

    def paint(image: Tensor) -> Tensor:
        (painted,) = session.run(None, {"image": np.ascontiguousarray(image.numpy())})
        return torch.from_numpy(np.asarray(painted))

    return paint
