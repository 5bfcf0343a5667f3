"""Weights files: find or download them, verify them, read them."""

import re
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import WeightsEnum

from nst.backbones.networks import architecture
from nst.errors import InputError, one_line
from nst.files import as_path, sha256
from nst.tensors import holds_numbers, read_tensors, refuse_too_large

DOWNLOAD_TIMEOUT = 20.0
"""Seconds without an answer after which a download fails."""


def find(backbone: str, path: str | None = None) -> Path:
    """The weights file of a backbone: `path` if given, else the embedded one, else torchvision's official one.

    The official file is downloaded into torch's cache if it is not there. Raises InputError for an unknown backbone,
    and if the file is missing, cannot be downloaded, or is not the official one although it has its name.
    """
    network = architecture(backbone)
    if path is not None:
        given = as_path("weights", path)
        if not given.is_file():
            raise InputError(f"the weights of {backbone}: no file '{path}'")
        return given
    if network.embedded:
        return network.embedded
    if network.official:
        return _official(backbone, network.official)
    raise InputError(f"the weights of {backbone} are neither embedded nor published: give backbone.weights=FILE")


def at_hand(backbone: str) -> bool:
    """Whether a backbone needs no download."""
    network = architecture(backbone)
    return bool(network.embedded) or (network.official is not None and _place(network.official).exists())


def _place(official: WeightsEnum) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / official.url.rsplit("/", 1)[-1]


def _official(backbone: str, official: WeightsEnum) -> Path:
    path = _place(official)
    if not path.exists():
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        try:
            official.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"the weights of {backbone} are not on this machine and {official.url} could not be fetched "
                f"({getattr(error, 'reason', error)}): take backbone=slim, which needs no download, "
                f"or backbone.weights=/path/to/{path.name}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    # torchvision verifies the hash only after a download, not of a cached file
    expected = re.findall(r"-([0-9a-f]{8})\.", path.name)[0]
    if not sha256(path).startswith(expected):
        raise InputError(
            f"{path} is not the official file: its SHA-256 does not begin with {expected}; delete the file"
        )
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The tensors, by name, of a .safetensors file or a .pth state dict, on the CPU.

    Raises InputError for any other content.
    """
    refuse_too_large(path)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else read_tensors(path)
    except Exception as error:  # a broken pickle can raise anything
        raise InputError(
            f"cannot read weights from {path}: it is not a .pth state dict or .safetensors file, "
            f"or it is truncated ({one_line(error)[:200]})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f"{path} holds no state dict: expected a mapping from names to tensors, as torchvision saves it"
        )
    for name, value in state.items():
        if not holds_numbers(value):
            raise InputError(f"{path}: {name} is no plain tensor of finite numbers")
    return state


def reached(backbone: str, layers: Iterable[str], path: Path) -> list[str]:
    """Those of a backbone's `layers` that can be computed from a weights file, which may hold only the first modules.

    layers: canonical names. Raises InputError for an unknown backbone or an unreadable file.
    """
    held, network = read(path), architecture(backbone).build()
    return [
        layer
        for layer in layers
        if all(f"features.{name}" in held for name in network.features[: network.reads[layer] + 1].state_dict())
    ]
