"""The generator networks of Johnson et al. 2016 and Zhu et al. 2017, and `Generator`, which applies one to images."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.errors import InputError


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalization (Ulyanov et al. 2016) that can use given statistics instead of its input's own."""

    fixed_statistics: tuple[Tensor, Tensor] | None = None
    """Mean and variance of each channel, (C) and (C), used in place of the input's; set by `nst.generators.tiles`."""

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed_statistics is None:
            return super().forward(x)
        return F.batch_norm(x, *self.fixed_statistics, self.weight, self.bias, training=False, eps=self.eps)


class Residual(nn.Module):
    """A residual block, R in the papers: the input plus two 3×3 convolutions of it. The size stays."""

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


@dataclass(frozen=True)
class _Design:
    """Where the networks of the two papers differ.

    side: kernel size of the first and last convolutions, in pixels. up: (channels in, channels out) → layers that
    double the size. reflect: whether the strided convolutions pad by reflection, instead of with zeros. affine: whether
    the instance norms learn a scale and an offset.
    """

    side: int
    up: Callable[[int, int], list[nn.Module]]
    reflect: bool
    affine: bool


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1, reflect: bool = True) -> nn.Conv2d:
    padding = "reflect" if reflect else "zeros"
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, padding_mode=padding)  # type: ignore[arg-type]


def _build(design: _Design, width: int, blocks: int) -> nn.Sequential:
    """The network that both papers use, with their names for the layers: c7s1-k, dk, Rk and uk, of k channels."""
    w, side, up = width, design.side, design.up

    def normalized(layers: list[nn.Module], channels: int) -> nn.Sequential:
        return nn.Sequential(*layers, InstanceNorm(channels, affine=design.affine), nn.ReLU())

    layers: dict[str, nn.Module] = {
        f"c{side}s1-{w}": normalized([_convolution(3, w, side)], w),
        f"d{2 * w}": normalized([_convolution(w, 2 * w, 3, 2, design.reflect)], 2 * w),
        f"d{4 * w}": normalized([_convolution(2 * w, 4 * w, 3, 2, design.reflect)], 4 * w),
    }
    layers |= {f"R{4 * w}_{block}": Residual(4 * w, design.affine) for block in range(1, blocks + 1)}
    layers |= {f"u{2 * w}": normalized(up(4 * w, 2 * w), 2 * w), f"u{w}": normalized(up(2 * w, w), w)}
    layers[f"c{side}s1-3"] = _convolution(w, 3, side)
    return nn.Sequential(OrderedDict(layers))


def johnson(width: int = 32, blocks: int = 5) -> nn.Sequential:
    """The image transformation network of Johnson et al. 2016 (supplementary material, table 1).

    width: channels of the first layer. blocks: number of residual blocks. It departs from the paper in three points:
    instance normalization (Ulyanov et al. 2016), reflection padding, and nearest-neighbor upsampling before a
    convolution instead of fractional strides (Odena et al. 2016: no checkerboard pattern).
    """

    def up(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Upsample(scale_factor=2, mode="nearest"), _convolution(inputs, outputs, 3)]

    return _build(_Design(9, up, reflect=True, affine=True), width, blocks)


def cyclegan(width: int = 64, blocks: int = 9) -> nn.Sequential:
    """The generator of Zhu et al. 2017 (section 7.2): 6 residual blocks for 128 px images, 9 for 256 px and more.

    width: channels of the first layer. blocks: number of residual blocks.
    """

    def up(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1)]

    network = _build(_Design(7, up, reflect=False, affine=False), width, blocks)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return network


def _flat(modules: list[nn.Module]) -> list[nn.Module]:
    return [each for module in modules for each in (module if isinstance(module, nn.Sequential) else [module])]


GENERATORS: dict[str, Callable[[int, int], nn.Sequential]] = {"johnson": johnson, "cyclegan": cyclegan}
"""Name → function of width and blocks that builds the network."""
SMALLEST_SIDE = 5
"""Pixels that an image's height and width must have at least: reflection pads by less than the size."""


class Generator(nn.Module):
    """Stylizes images: (B, 3, H, W) in [0, 1] → the same shape and range.

    name: a key of GENERATORS. width: channels of its first layer. blocks: number of residual blocks. Height and width
    of an image are at least SMALLEST_SIDE pixels; `check_size` tests that.
    """

    def __init__(self, name: str, width: int, blocks: int) -> None:
        super().__init__()
        self.description = {"name": name, "width": width, "blocks": blocks}
        self.network = GENERATORS[name](width, blocks).to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        result = self.postprocess(self.network(self.preprocess(image)))
        # the two strides of 2 round the size up
        return result[..., : image.shape[2], : image.shape[3]]

    def preprocess(self, image: Tensor) -> Tensor:
        """The network's input: the image scaled from [0, 1] to [-1, 1]."""
        return (2 * image - 1).contiguous(memory_format=torch.channels_last)

    def postprocess(self, x: Tensor) -> Tensor:
        """The network's output, any real number, as an image in [0, 1]."""
        return (x.tanh() + 1) / 2

    def parts(self) -> tuple[list[nn.Module], nn.Module, list[nn.Module]]:
        """The network in three parts: layers down to a quarter of the size, residual blocks, layers back up."""
        children = list(self.network.children())
        down, middle, up = children[:3], children[3:-3], children[-3:]
        return _flat(down), nn.Sequential(*middle), _flat(up)


def check_size(image: Tensor) -> None:
    """Raise InputError if a (B, 3, H, W) image is too small for a generator."""
    height, width = image.shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"an image of {width}×{height} pixels is too small: {SMALLEST_SIDE} a side are needed")
