"""Feed-forward generators: networks that paint any image in the one style they were trained for."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from nst.errors import InputError

DESCRIPTION = "nst"
"""Key of a generator's description, JSON, in the metadata of its file."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016), whose statistics can be given, for a part of an image."""

    held: tuple[Tensor, Tensor] | None = None
    """Mean and variance of each channel, (C) and (C), that stand in for the image's own."""

    def forward(self, x: Tensor) -> Tensor:
        if self.held is None:
            return super().forward(x)
        return F.batch_norm(x, *self.held, self.weight, self.bias, training=False, eps=self.eps)


class Residual(nn.Module):
    """R of the papers: two 3×3 convolutions, whose result is added to what came in."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels, 3),
            InstanceNorm(channels, affine=affine),
            nn.ReLU(),
            _convolution(channels, channels, 3),
            InstanceNorm(channels, affine=affine),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _convolution(given: int, wanted: int, side: int, stride: int = 1, reflect: bool = True) -> nn.Conv2d:
    padding = "reflect" if reflect else "zeros"
    return nn.Conv2d(given, wanted, side, stride, padding=side // 2, padding_mode=padding)  # type: ignore[arg-type]


def _down_and_up(
    side: int, width: int, blocks: int, up: Callable[[int, int], list[nn.Module]], reflect: bool, affine: bool
) -> nn.Sequential:
    """What the papers' networks share, with their names for the layers: c7s1-k, dk, Rk and uk, of k channels.

    side: of the first and last kernels. up: channels given and wanted → what doubles the size. reflect: how the strided
    convolutions pad. affine: whether the norms learn a scale and an offset.
    """
    w = width

    def normed(layers: list[nn.Module], channels: int) -> nn.Sequential:
        return nn.Sequential(*layers, InstanceNorm(channels, affine=affine), nn.ReLU())

    layers: dict[str, nn.Module] = {
        f"c{side}s1-{w}": normed([_convolution(3, w, side)], w),
        f"d{2 * w}": normed([_convolution(w, 2 * w, 3, 2, reflect)], 2 * w),
        f"d{4 * w}": normed([_convolution(2 * w, 4 * w, 3, 2, reflect)], 4 * w),
    }
    layers |= {f"R{4 * w}_{block}": Residual(4 * w, affine) for block in range(1, blocks + 1)}
    layers |= {f"u{2 * w}": normed(up(4 * w, 2 * w), 2 * w), f"u{w}": normed(up(2 * w, w), w)}
    layers[f"c{side}s1-3"] = _convolution(w, 3, side)
    return nn.Sequential(OrderedDict(layers))


def johnson(width: int = 32, blocks: int = 5) -> nn.Sequential:
    """The image transformation network of Johnson et al. 2016 (supplementary material, table 1).

    With instance normalisation (Ulyanov et al. 2016), reflect padding, and nearest-neighbour upsampling before a
    convolution where the paper has fractional strides (Odena et al. 2016: no checkerboard).
    """

    def up(given: int, wanted: int) -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2, mode="nearest"), _convolution(given, wanted, 3)]

    return _down_and_up(9, width, blocks, up, reflect=True, affine=True)


def cyclegan(width: int = 64, blocks: int = 9) -> nn.Sequential:
    """The generator of Zhu et al. 2017 (section 7.2): 6 blocks for images of 128 px, 9 for 256 px and more."""

    def up(given: int, wanted: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(given, wanted, 3, 2, padding=1, output_padding=1)]

    network = _down_and_up(7, width, blocks, up, reflect=False, affine=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return network


def _flat(modules: list[nn.Module]) -> list[nn.Module]:
    return [each for module in modules for each in (module if isinstance(module, nn.Sequential) else [module])]


GENERATORS = {"johnson": johnson, "cyclegan": cyclegan}
MOST = {"width": 1024, "blocks": 100}
"""Channels and residual blocks of a file's generator, at most: more is no generator but an attack."""
SMALLEST_SIDE = 5


class Generator(nn.Module):
    """Image (B, 3, H, W) in [0, 1] → the same painted, of the same size, in [0, 1].

    Height and width are at least SMALLEST_SIDE pixels, as reflection needs more than it pads.
    name: a key of GENERATORS. width: channels of its first layer. blocks: residual blocks.
    """

    def __init__(self, name: str, width: int, blocks: int) -> None:
        super().__init__()
        self.description = {"name": name, "width": width, "blocks": blocks}
        self.network = GENERATORS[name](width, blocks).to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        painted = self.leave(self.network(self.enter(image)))
        # two strides of 2 round up
        return painted[..., : image.shape[2], : image.shape[3]]

    def enter(self, image: Tensor) -> Tensor:
        """What the network is given: an image in [-1, 1]."""
        return (2 * image - 1).contiguous(memory_format=torch.channels_last)

    def leave(self, x: Tensor) -> Tensor:
        """What the network gives as an image in [0, 1]."""
        return (x.tanh() + 1) / 2

    def parts(self) -> tuple[list[nn.Module], nn.Module, list[nn.Module]]:
        """The layers down to a quarter of the size one by one, the residual blocks, and the layers up again."""
        children = list(self.network.children())
        first, between, last = children[:3], children[3:-3], children[-3:]
        return _flat(first), nn.Sequential(*between), _flat(last)


def check_size(image: Tensor) -> None:
    """Raise InputError for a (B, 3, H, W) image too small for a generator."""
    height, width = image.shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"an image of {width}×{height} pixels is too small: {SMALLEST_SIDE} a side are needed")


def describe(generator: Generator, facts: Mapping[str, Any]) -> str:
    """What the metadata of a generator's file says of it, JSON; `read_description` reads it."""
    return json.dumps({"generator": generator.description} | dict(facts))


def encode(generator: Generator, facts: Mapping[str, Any]) -> bytes:
    """A generator as the bytes of a .safetensors file, described by its metadata together with `facts`, JSON."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in generator.network.state_dict().items()}
    return save(tensors, {DESCRIPTION: describe(generator, facts)})


def read_description(path: Path, text: str | None) -> dict[str, Any]:
    """What the metadata of a generator's file says of it. Raises InputError if that is not what nst writes there."""
    try:
        description = json.loads(text or "")
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict) or "generator" not in description:
        raise InputError(f"checkpoint={path}: holds no generator of nst: mode=train or mode=export did not write it")
    return description


def load(path: Path) -> tuple[Generator, dict[str, Any]]:
    """The generator in a .safetensors file or in the checkpoint of a run that trains one, and its description.

    Nothing but tensors and plain values is read: no code in a file is run. Raises InputError for any other file.
    """
    description, tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)
    made = description["generator"]
    try:
        if any(not 0 <= made[key] <= most for key, most in MOST.items()):
            raise ValueError
        with torch.device("meta"):
            generator = Generator(**made)
        generator.network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1].strip() if isinstance(error, RuntimeError) else f"is {made}"
        raise InputError(f"checkpoint={path}: its tensors are not those of the generator it says: {reason}") from None
    return generator.to(memory_format=torch.channels_last).requires_grad_(False).eval(), description


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
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a broken pickle leads to
        raise InputError(
            f"checkpoint={path}: no generator: expected generator.safetensors, .onnx or a checkpoint of mode=train"
        ) from None
    config = saved.get("config") if isinstance(saved, dict) else None
    if not isinstance(config, dict) or config.get("mode") != "train":
        mode = config.get("mode") if isinstance(config, dict) else None
        made = f"a run of mode={mode}" if mode else "no run of nst"
        raise InputError(f"checkpoint={path}: of {made}; a generator is trained with mode=train")
    state, prefix = saved.get("state_dict"), "generator.network."
    found = state.items() if isinstance(state, dict) else ()
    tensors = {str(name).removeprefix(prefix): value for name, value in found if str(name).startswith(prefix)}
    return {"generator": config.get("generator"), "style": {"path": config.get("style")}}, tensors
