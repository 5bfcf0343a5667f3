"""Weights files: where they are, whether they are the right ones, what is in them."""

import os
import pickle
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nst.backbones.networks import NETWORKS
from nst.errors import InputError
from nst.files import sha256

OFFICIAL = {
    "vgg19": torchvision.models.VGG19_Weights.IMAGENET1K_V1,
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "squeezenet": torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1,
}
EMBEDDED = {"slim": Path(__file__).with_name("slim.safetensors")}
DOWNLOAD_TIMEOUT = 20.0
"""Seconds without an answer after which a download is given up."""


def find(backbone: str, path: str | None = None) -> Path:
    """The weights file of a backbone: `path` if given, else the embedded one, else torchvision's official one.

    The official file is downloaded into torch's cache if it is not there. Raises InputError if the file is missing,
    is not the one its name says, or cannot be downloaded.
    """
    if path is not None:
        given = os.path.expanduser(path)
        if not os.path.isfile(given):
            raise InputError(f"the weights of {backbone}: no file '{path}'")
        return Path(given)
    if backbone in EMBEDDED:
        return EMBEDDED[backbone]
    return _official(backbone)


def _official(backbone: str) -> Path:
    official = OFFICIAL[backbone]
    path = Path(torch.hub.get_dir()) / "checkpoints" / official.url.rsplit("/", 1)[-1]
    if not path.exists():
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        try:
            official.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"the weights of {backbone} are not on this machine and {official.url} could not be fetched "
                f"({getattr(error, 'reason', error)}): use backbone=slim, which needs no download, "
                f"or backbone.weights=/path/to/{path.name}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    # torchvision checks the hash only of what it has just downloaded
    expected = re.findall(r"-([0-9a-f]{8})\.", path.name)[0]
    if not sha256(path).startswith(expected):
        raise InputError(f"{path} is not the official file: its SHA-256 does not begin with {expected}; delete it")
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a .pth state dict, by name. Raises InputError for anything else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise InputError(
            f"cannot read weights from {path}: it is neither a .pth state dict nor a .safetensors file, "
            f"or is cut short ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict: expected tensors by name, as torchvision saves them")
    return state


def reached(backbone: str, layers: Iterable[str], path: Path) -> list[str]:
    """Those of a backbone's layers that a weights file, which may stop anywhere, reaches."""
    held, network = read(path), NETWORKS[backbone]()
    return [
        layer
        for layer in layers
        if all(f"features.{name}" in held for name in network.features[: network.reads[layer] + 1].state_dict())
    ]
