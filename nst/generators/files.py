"""Reading and writing generators: .safetensors files, and the checkpoints of runs that train one."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from nst.errors import InputError
from nst.files import encode_json
from nst.generators.networks import Generator
from nst.tensors import holds_numbers, read_tensors, refuse_too_large

DESCRIPTION = "nst"
"""Key in a generator file's metadata: the generator's description, as JSON."""
LONGEST_DESCRIPTION = 2**20
"""Characters."""
LONGEST_FACT = 4096
"""Characters of a style's path, or of its hash."""
TRIED = (64, 64), (90, 75)
"""Heights and widths, in pixels, of the images that a generator in a file is tried with."""
LIMITS = {"width": 1024, "blocks": 100}
"""Most channels and residual blocks that a file may ask for. A file that asks for more is an attack on the memory."""


def describe(generator: Generator, facts: Mapping[str, Any]) -> str:
    """The description of a generator as JSON: its name, width and blocks, and `facts`. `read_description` reads it."""
    return encode_json({"generator": generator.description} | dict(facts))


def encode(generator: Generator, facts: Mapping[str, Any]) -> bytes:
    """A generator as the bytes of a .safetensors file. Its metadata holds what `describe` returns."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in generator.network.state_dict().items()}
    return save(tensors, {DESCRIPTION: describe(generator, facts)})


def read_description(path: Path, text: str | None) -> dict[str, Any]:
    """The description in a generator file's metadata. Raises InputError if nst did not write it."""
    try:
        said = json.loads((text or "")[:LONGEST_DESCRIPTION])
    except (ValueError, RecursionError):
        said = None
    return _checked(said, path)


def _checked(said: Any, path: Path) -> dict[str, Any]:
    """What nst writes into a description, and no more. Raises InputError if there is no generator in it."""
    try:
        files = said.get("styles", [said["style"]] if "style" in said else [])
        styles = [
            {fact: str(each[fact])[:LONGEST_FACT] for fact in ("path", "sha256") if fact in each} for each in files
        ]
        generator = {key: said["generator"][key] for key in ("name", "width", "blocks")}
        if len(said["generator"]) > len(generator) or not all(
            isinstance(each, str | int) for each in generator.values()
        ):
            raise ValueError
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise InputError(
            f"checkpoint={path}: holds no generator of nst; expected a file written by mode=train or mode=export"
        ) from None
    steps = {"steps": said["steps"]} if isinstance(said.get("steps"), int) else {}
    return {"generator": generator, "styles": styles, **steps} | ({"style": styles[0]} if styles else {})


def load(path: Path) -> tuple[Generator, dict[str, Any]]:
    """The generator in a .safetensors file or in the checkpoint of a run of mode=train, and its description.

    Only tensors and plain values are read: no code in a file is run. Raises InputError for any other file.
    """
    refuse_too_large(path, "checkpoint=")
    description, tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)
    if not all(map(holds_numbers, tensors.values())):
        raise InputError(
            f"checkpoint={path}: its weights are not finite, or no tensors; train it again with a lower optimizer.lr"
        )
    options = description["generator"]
    try:
        if any(not 0 <= options[key] <= limit for key, limit in LIMITS.items()):
            raise ValueError
        with torch.device("meta"):
            generator = Generator(**options)
        generator.network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1].strip() if isinstance(error, RuntimeError) else f"is {options}"
        raise InputError(f"checkpoint={path}: its tensors are not those of the generator it says: {reason}") from None
    generator.to(memory_format=torch.channels_last).requires_grad_(False).eval()
    refuse_unusable(generator, path)
    return generator, description


def refuse_unusable(paint: Callable[[Tensor], Tensor], path: Path) -> None:
    """Raise InputError for a file's generator that does not paint: finite weights can overflow, too.

    paint: (1, 3, H, W) in [0, 1] → the same shape and range; called with small images of noise.
    """
    noise = torch.Generator().manual_seed(0)
    for height, width in TRIED:
        image = torch.rand(1, 3, height, width, generator=noise)
        try:
            painted = paint(image)
        except InputError:
            raise
        except Exception:  # of an input of another shape, or of several results
            painted = torch.empty(0)
        if painted.shape != image.shape or painted.dtype != torch.float32:
            raise InputError(
                f"checkpoint={path}: makes no picture of {width}×{height} pixels from one of that size; "
                "expected a file written by mode=train or mode=export"
            )
        if not painted.isfinite().all():
            raise InputError(
                f"checkpoint={path}: its pictures are not finite; train it again with a lower optimizer.lr"
            )


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise InputError(f"checkpoint={path}: not a whole .safetensors file ({error})") from None
    return read_description(path, metadata.get(DESCRIPTION)), tensors


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        saved = read_tensors(path)
    except Exception:  # a broken pickle can raise anything
        raise InputError(
            f"checkpoint={path}: no generator: expected generator.safetensors, .onnx or a checkpoint of mode=train"
        ) from None
    config = saved.get("config") if isinstance(saved, dict) else None
    if not isinstance(config, dict) or config.get("mode") != "train":
        mode = config.get("mode") if isinstance(config, dict) else None
        source = f"a run of mode={mode}" if isinstance(mode, str) else "no run of nst"
        raise InputError(f"checkpoint={path}: of {source}; only mode=train trains a generator")
    task = saved.get("task")
    if isinstance(task, dict):
        state, prefix = task.get("generator"), "network."
    else:  # a checkpoint from before nst 0.2
        state, prefix = saved.get("state_dict"), "generator.network."
    items = state.items() if isinstance(state, dict) else ()
    tensors = {str(name).removeprefix(prefix): value for name, value in items if str(name).startswith(prefix)}
    style = config.get("style")
    styles = [{"path": each} for each in (style if isinstance(style, list) else [style])]
    return _checked({"generator": config.get("generator"), "styles": styles}, path), tensors
