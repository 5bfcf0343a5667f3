"""Images, backbones and targets: what the jobs of a sweep share through their session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.backbones.scale import mean_activations
from nst.errors import InputError
from nst.files import Version
from nst.images import samples
from nst.images.colors import matched_to
from nst.images.files import load
from nst.images.masks import Mask, check_shape, fitted
from nst.losses.content import ContentLoss
from nst.losses.guide import guides_at
from nst.losses.style import StyleLoss, Sums
from nst.losses.targets import Targets, content_targets, mixed_targets, style_sums
from nst.memory.estimate import StepMemory, step_memory
from nst.memory.strips import Strip, cut
from nst.session import Session

PROBE_SIDE = 64
"""Side, in pixels, of an image on which a property of larger ones is measured."""
CALIBRATION = ("chelsea", "astronaut", "coffee", "rocket")
"""Bundled photographs over which activations are averaged: those of things that one sees without an instrument."""
CALIBRATION_SIDE = 256
"""Their longest side, in pixels. VGG's and SqueezeNet's means are within 22 % of those at 384 px, slim's within 10 %.
In smaller photographs edges are denser and means larger: at 128 px by up to 70 %."""
MEANS: dict["Network", Mapping[str, float]] = {}
"""Mean activations that this process has measured already: its sessions often use the same network."""
TARGET_ROWS = 1024
"""Rows of a strip where no gradient is needed."""


@dataclass(frozen=True)
class Read:
    """An image file, and how it is read."""

    file: Version
    size: int | None
    background: str
    colors_of: tuple["Read", ...] = ()
    """Images that its colors are matched to; none: they stay."""
    color_space: str = "rgb"
    """In which they are matched."""


@dataclass(frozen=True)
class Look:
    """A style image, its share in a mix, and the part of it that is taken; None: all."""

    read: Read
    share: float = 1.0
    mask: Mask | None = None


@dataclass(frozen=True)
class Network:
    """What a backbone is made from, and where it is."""

    name: str
    layers: tuple[str, ...]
    weights: Version
    pooling: str
    padding: str
    scale: str
    device: torch.device


@dataclass(frozen=True)
class Shared:
    """Images, backbones and targets that the jobs of a sweep share through their session."""

    session: Session

    def image(self, read: Read) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""

        def make() -> Tensor:
            with self.session.timed("images"):
                image = load(read.file[0], read.size, read.background)
                contents = [self.image(each) for each in read.colors_of]
                return matched_to(image, contents, read.color_space) if contents else image

        return self.session.cached("image", read, make, at_most=16)

    def backbone(self, of: Network) -> Backbone:
        """The frozen network."""

        def make() -> Backbone:
            with self.session.timed("weights"):
                backbone = Backbone(of.name, of.layers, str(of.weights[0]), of.pooling, of.padding)
                if of.scale == "unit":
                    backbone.to_unit_scale(self._mean_activations(of, backbone))
                return backbone.to(of.device)

        return self.session.cached("backbone", of, make)

    def content(
        self, network: Network, read: Read, wanted: tuple[tuple[str, ...], ContentLoss], rows: int | None = None
    ) -> Targets:
        """The targets of some layers and a content loss, computed in strips of so many rows."""

        def make() -> Targets:
            view = self._view(network, read, rows)
            with self.session.timed("targets"):
                return content_targets(self.backbone(network), view, *wanted)

        return self.session.cached("content", (network, read, wanted, rows), make, at_most=8)

    def styles(
        self,
        network: Network,
        looks: tuple[Look, ...],
        wanted: tuple[tuple[str, ...], StyleLoss],
        rows: int | None = None,
    ) -> list[tuple[float, Targets]]:
        """Shares and targets of style images, for some layers and a style loss, computed in strips of so many rows.

        An additive loss has one target for all of the images; another loss has one for each.
        """
        layers, loss = wanted

        def make() -> list[tuple[float, Targets]]:
            sums = [self._sums(network, look, wanted, rows) for look in looks]
            with self.session.timed("targets"), torch.no_grad():
                if len(looks) > 1 and loss.additive:
                    return [(1.0, mixed_targets(sums, [look.share for look in looks], loss))]
                return [
                    (look.share, {layer: loss.target(loss.statistic(each[layer])) for layer in layers})
                    for look, each in zip(looks, sums, strict=True)
                ]

        return self.session.cached("styles", (network, looks, wanted, rows), make, at_most=16)

    def _sums(
        self, network: Network, look: Look, wanted: tuple[tuple[str, ...], StyleLoss], rows: int | None
    ) -> dict[str, Sums]:
        """A style image's sums at each layer. Raises InputError for a mask of another shape, or that leaves nothing."""
        view, backbone = self._view(network, look.read, rows), self.backbone(network)
        guides = None
        if look.mask:
            size = (view[0].shape[2], view[0].shape[3])
            what = f"style_mask: the mask {look.mask.path.name}"
            check_shape(what, look.mask.values, f"style {look.read.file[0].name}", size)
            fitted_mask, sizes = fitted(look.mask.values, size, 0).to(view[0].device), backbone.sizes(*size)
            guides = guides_at(fitted_mask, backbone.receptive_fields, sizes, inside=False)
            if empty := [layer for layer in wanted[0] if guides[layer].vanishes]:
                raise InputError(f"{what} leaves no place of {look.read.file[0].name} at {empty[0]}")
        with self.session.timed("targets"):
            return style_sums(backbone, view, *wanted, guides)

    def step_memory(self, network: Network, kept: int) -> StepMemory:
        """What a step on an image's pixels needs, with an optimizer that keeps so many images."""

        def make() -> StepMemory:
            backbone = self.backbone(network)
            return step_memory(backbone, kept, max(PROBE_SIDE, backbone.smallest_side), network.device)

        return self.session.cached("step memory", (network, kept), make)

    def _mean_activations(self, of: Network, backbone: Backbone) -> Mapping[str, float]:
        """Of a backbone as it was trained, on the CPU: they are the same for every device."""
        anywhere = replace(of, device=torch.device("cpu"))
        if anywhere not in MEANS:
            side = max(CALIBRATION_SIDE, 2 * backbone.smallest_side)
            paths = (samples.find("backbone.scale", name) for name in CALIBRATION)
            MEANS[anywhere] = mean_activations(backbone, [load(path, side) for path in paths])
        return MEANS[anywhere]

    def _view(self, network: Network, read: Read, rows: int | None) -> tuple[Tensor, Sequence[Strip]]:
        """An image on the device, and its strips; it may be larger than the one that is optimized."""
        image = self.image(read).to(network.device)
        fields = self.backbone(network).receptive_fields
        return image, cut(fields, image.shape[2], min(rows or TARGET_ROWS, TARGET_ROWS))
