"""Generators as ONNX files: written with torch.onnx, run with onnxruntime. They need the extra `onnx`."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nst.errors import InputError
from nst.generators.files import DESCRIPTION, describe, read_description, refuse_unusable
from nst.generators.networks import Generator

AXES = {0: "batch", 2: "height", 3: "width"}
"""Names of the axes of any length, of the input and the output."""
LARGEST_MODEL = 2**30
"""Bytes of a file: a generator of 1024 channels has less."""
OPERATORS = {
    *("Add", "Cast", "Concat", "Constant", "Conv", "ConvTranspose", "Div", "Gather", "Identity"),
    *("InstanceNormalization", "Mul", "Pad", "Relu", "Reshape", "Resize", "Shape", "Slice", "Sqrt", "Squeeze"),
    *("Sub", "Tanh", "Unsqueeze"),
}
"""What generators consist of. Others, such as loops, can have no end."""
LONGEST_TRIAL = 60.0
"""Seconds for a small image."""
LARGEST_DIFFERENCE = 1e-3
"""Largest accepted difference between the results of torch and onnxruntime, in pixel values of [0, 1]."""


def require() -> None:
    """Raise InputError if a package that ONNX needs is not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise InputError(f"ONNX needs {package}, which is not installed: pip install -e '.[onnx]'")


def export(generator: Generator, facts: dict[str, Any]) -> tuple[bytes, float]:
    """A generator as the bytes of an .onnx file, and the difference between the results of onnxruntime and torch.

    The model maps `image`, (batch, 3, height, width) in [0, 1], to `painted`, of the same shape and range. The
    difference is the largest of any pixel value, measured on noise images of a shape other than the one used to trace
    the network. Raises InputError if it is above LARGEST_DIFFERENCE, or if a package is not installed.
    """
    require()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            generator.cpu(),
            (image,),
            dynamo=True,
            dynamic_shapes=(AXES,),
            input_names=["image"],
            output_names=["painted"],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for place, name in AXES.items():  # torch names the output's by formulas of the input's
        model.graph.output[0].type.tensor_type.shape.dim[place].dim_param = name
    entry = model.metadata_props.add()
    entry.key, entry.value = DESCRIPTION, describe(generator, facts)
    data = model.SerializeToString()
    image = torch.rand(2, 3, 90, 75, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        difference = float((generator(image) - _make_paint(data)(image)).abs().max())
    if not difference <= LARGEST_DIFFERENCE:
        raise InputError(
            f"onnxruntime and torch give different pictures: pixel values in [0, 1] differ by {difference:.2g}"
        )
    return data, difference


def load(path: Path) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """The generator in an .onnx file, as a function of images, and its description.

    The function maps (B, 3, H, W) in [0, 1] to the same shape and range. Raises InputError if a package is not
    installed, or if the file does not do that.
    """
    require()
    import onnx

    try:
        if path.stat().st_size > LARGEST_MODEL:
            raise InputError(f"checkpoint={path}: has more than {LARGEST_MODEL >> 20} MiB, which no generator has")
        data = path.read_bytes()
        model = onnx.load_from_string(data)
        described = {entry.key: entry.value for entry in model.metadata_props}.get(DESCRIPTION)
        foreign = sorted({node.op_type for node in model.graph.node} - OPERATORS) or [
            each.name for each in model.functions
        ]
        if foreign:
            raise InputError(
                f"checkpoint={path}: has the operator {foreign[0][:100]}; expected a file written by mode=export"
            )
        _try(_make_paint(data, optimized=False), path)
        return _make_paint(data), read_description(path, described)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"checkpoint={path}: not a whole ONNX model ({type(error).__name__})") from None


def _try(paint: Callable[..., Tensor], path: Path) -> None:
    """Raise InputError for a model that does not paint images, or takes too long for small ones."""
    import onnxruntime

    running = onnxruntime.RunOptions()

    def paint_in_time(image: Tensor) -> Tensor:
        try:
            return paint(image, running)
        except Exception:
            if running.terminate:
                raise InputError(f"checkpoint={path}: takes more than {LONGEST_TRIAL:g} s for a small image") from None
            raise

    timer = Timer(LONGEST_TRIAL, setattr, (running, "terminate", True))
    timer.start()
    try:
        refuse_unusable(paint_in_time, path)
    finally:
        timer.cancel()


def _make_paint(model: bytes, optimized: bool = True) -> Callable[..., Tensor]:
    """optimized: what is constant is computed here, where nothing can end it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what is wrong with a model is raised, too
    session = onnxruntime.InferenceSession(model, options, providers=onnxruntime.get_available_providers())

    def paint(image: Tensor, running: onnxruntime.RunOptions | None = None) -> Tensor:
        (painted,) = session.run(None, {"image": np.ascontiguousarray(image.numpy())}, running)
        return torch.from_numpy(np.asarray(painted))

    return paint
