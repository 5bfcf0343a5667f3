"""Mutations by structure: of JSON, YAML, a picture's text, checkpoints, weights and ONNX models."""

import json
import warnings
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst.images.files import png_text
from tools.soak.mutate import DEEP, PLAIN, as_text, mutated_tree, tensors

HEAD = 8
"""Bytes of the length of a .safetensors file's JSON."""


def record(path: Path, draw: Random) -> str:
    """A JSON file."""
    tree, said = mutated_tree(json.loads(path.read_text(encoding="utf-8")), draw)
    path.write_text(as_text(tree), encoding="utf-8")
    return said


def picture(path: Path, draw: Random) -> str:
    """The record in a picture."""
    tree, said = mutated_tree(json.loads(png_text(path, "nst") or ""), draw)
    chunk = PngInfo()
    chunk.add_text("nst", as_text(tree))
    with Image.open(path) as image:
        image.load()
    image.save(path, pnginfo=chunk)
    return said


def experiment(path: Path, draw: Random) -> str:
    """A YAML file of an experiment. JSON is YAML, too."""
    text = path.read_text(encoding="utf-8")
    tree, said = mutated_tree(yaml.safe_load(text), draw)
    path.write_text("# @package _global_\n" + as_text(tree), encoding="utf-8")
    return said


def pickled(path: Path, draw: Random) -> str:
    """A checkpoint, or weights as torch saves them."""
    values = [each for each in PLAIN if each not in [*DEEP]]
    tree, said = mutated_tree(torch.load(path, weights_only=True), draw, [*values, *tensors(), *tensors()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(tree, path)
    return said


def header(path: Path, draw: Random) -> str:
    """The JSON at the beginning of a .safetensors file; now and then, the description of a generator in it."""
    data = path.read_bytes()
    end = HEAD + int.from_bytes(data[:HEAD], "little")
    tree = json.loads(data[HEAD:end])
    described = tree.get("__metadata__", {}).get("nst")
    if described and draw.random() < 0.6:
        changed, said = mutated_tree(json.loads(described), draw)
        tree["__metadata__"]["nst"] = as_text(changed)
    else:
        tree, said = mutated_tree(tree, draw)
    text = as_text(tree).encode()
    path.write_bytes(len(text).to_bytes(HEAD, "little") + text + data[end:])
    return said


def model(path: Path, draw: Random) -> str:
    """An ONNX model: its signature, its nodes and tensors, and its description."""
    import onnx

    graph = (whole := onnx.load(path)).graph
    given, made = graph.input[0], graph.output[0]
    shape, entry = given.type.tensor_type.shape.dim, whole.metadata_props[0]
    described, said = mutated_tree(json.loads(entry.value), draw)
    node, tensor = draw.choice(graph.node), draw.choice(graph.initializer)
    changes: dict[str, Any] = {
        "rename the input": lambda: setattr(given, "name", "picture"),
        "rename the output": lambda: setattr(made, "name", "picture"),
        "remove the input": lambda: graph.input.pop(),
        "remove the output": lambda: graph.output.pop(),
        "a second input": lambda: graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1])),
        "a second output": lambda: graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], 1, None)),
        "another dtype": lambda: setattr(given.type.tensor_type, "elem_type", draw.choice([0, 3, 7, 8, 10, 11])),
        "an axis less": lambda: shape.pop(),
        "an axis fixed": lambda: setattr(draw.choice(shape), "dim_value", draw.choice([0, 1, 7, -1])),
        "one channel": lambda: setattr(shape[1], "dim_value", 1),
        "remove a node": lambda: graph.node.remove(node),
        "another operator": lambda: setattr(node, "op_type", draw.choice(["Relu", "Shape", "Nonsense", "Identity"])),
        "remove a tensor": lambda: graph.initializer.remove(tensor),
        "a tensor outside": lambda: _lead_outside(tensor),
        "another opset": lambda: setattr(whole.opset_import[0], "version", draw.choice([0, 1, 7, 999])),
        "no description": lambda: whole.metadata_props.pop(),
        f"description: {said}": lambda: setattr(entry, "value", as_text(described)),
    }
    name = draw.choice([*changes, *[f"description: {said}"] * 3])
    changes[name]()
    path.write_bytes(whole.SerializeToString())
    return name


def _lead_outside(tensor: Any) -> None:
    """A tensor whose numbers are in another file."""
    tensor.data_location = 1
    tensor.ClearField("raw_data")
    place = tensor.external_data.add()
    place.key, place.value = "location", "../outside/secret"
