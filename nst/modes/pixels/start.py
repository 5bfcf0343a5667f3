"""The images that a run starts from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nst.errors import InputError
from nst.files import as_path
from nst.images.files import load_cover
from nst.images.noise import noise
from nst.modes.pixels.scene import Scene

STARTS = ("noise", "content", "style", "style_statistics", "gray")
"""What `init` names, besides a file."""


def init_role(init: str) -> str:
    """The role of the image that `init` starts from; "" for none. Raises InputError for an unknown word."""
    if init in STARTS:
        return {"content": "content", "style": "style", "style_statistics": "style"}.get(init, "")
    if not as_path("init", init).is_file():
        raise InputError(f"init={init}: neither {', '.join(STARTS)} nor an image file")
    return "init"


def start(init: str, scene: Scene, paths: Mapping[str, Sequence[Path]], seed: int, background: str) -> Tensor:
    """The image to start from, (1, 3, H, W) like the canvas of the first scale.

    Raises InputError for `init=content` or `init=style` without such an image.
    """
    height, width = scene.size
    if init == "noise":
        return noise(height, width, seed)
    if init == "gray":
        return torch.full_like(scene.canvas, 0.5)
    role = init_role(init)
    if role not in paths:
        raise InputError(f"init={init}: {role} is null; give {role}=, or init=noise")
    if init == "style_statistics":
        pixels = torch.cat([image[0].flatten(1) for image in scene.images["style"]], dim=1)
        mean, deviation = pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]
        drawn = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
        return (mean + deviation * drawn).clamp(0, 1)
    read = scene.reads.get(role)
    if read and scene.canvas is scene.images[role][0]:
        return scene.canvas
    return load_cover(paths[role][0], height, width, background)
