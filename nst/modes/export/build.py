"""Builds the work of mode=export: a generator as .onnx and .safetensors files."""

import time
from functools import partial
from typing import Any

from nst.engine.work import Outcome, Reporter
from nst.errors import InputError
from nst.generators import onnx
from nst.generators.files import encode, load
from nst.generators.networks import Generator
from nst.modes.parts import Experiment, Setting, file_facts, generator_file


def build(setting: Setting) -> Experiment:
    """Raises InputError for a file that is no generator, or is ONNX already."""
    path = generator_file(setting)
    if path.suffix == ".onnx":
        raise InputError(f"checkpoint={path}: is ONNX already")
    onnx.require()
    generator, description = load(path)
    return Experiment(partial(_export, generator, description), weights={"generator": file_facts(path)})


def _export(generator: Generator, description: dict[str, Any], reporter: Reporter) -> Outcome:
    """generator.onnx, checked against onnxruntime, and generator.safetensors."""
    began = time.perf_counter()
    model, difference = onnx.export(generator, description)
    files = {"generator.onnx": model, "generator.safetensors": encode(generator, description)}
    return Outcome(1, time.perf_counter() - began, files=files, data={"largest_difference": difference})
