"""Images, backbones and targets: what the jobs of a sweep share through their session."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.backbones.networks import architecture
from nst.backbones.scale import mean_activations
from nst.files import Version
from nst.images import samples
from nst.images.colors import matched_to
from nst.images.files import load
from nst.images.masks import Mask, check_shape, fitted
from nst.losses.content import ContentLoss
from nst.losses.guide import guides_at
from nst.losses.style import StyleLoss, Sums
from nst.losses.targets import Targets, content_targets, mixed_targets, style_sums
from nst.memory.estimate import LEAST_ROWS, TARGET_PIXELS, StepMemory, step_memory
from nst.memory.strips import Strip, cut
from nst.modes.regions import Region
from nst.session import Session

PROBE_SIDE = 64
"""Side, in pixels, of an image on which a property of larger ones is measured."""
CALIBRATION = ("chelsea", "astronaut", "coffee", "rocket")
"""Bundled photographs over which activations are averaged: those of things that one sees without an instrument."""
CALIBRATION_SIDE = 256
"""Their longest side, in pixels. VGG's and SqueezeNet's means are within 22 % of those at 384 px. In smaller
photographs edges are denser and means larger: at 128 px by up to 70 %. slim needs none: it is to scale."""
MEANS: dict["Network", Mapping[str, float]] = {}
"""Mean activations that this process has measured already: its sessions often use the same network."""


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
    """A style image, and the part of it that is taken; None: all. inside: as for `guides_at`."""

    read: Read
    mask: Mask | None = None
    inside: bool = False


def looks_of(region: Region, reads: Mapping[Path, Read], inside: bool = False) -> dict[Look, float]:
    """The looks of a region's styles that have a share, and these shares. reads: file → how it is read."""
    looks: dict[Look, float] = {}
    for path, part, share in zip(region.styles, region.style_masks, region.shares, strict=True):
        look = Look(reads[path], part, inside)
        if share:
            looks[look] = looks.get(look, 0.0) + share
    return looks


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
                if of.scale == "unit" and not architecture(of.name).at_unit_scale:
                    backbone.to_unit_scale(self._mean_activations(of, backbone))
                return backbone.to(of.device)

        return self.session.cached("backbone", of, make, at_most=2)  # one to paint with and one to judge with

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
        looks: Mapping[Look, float],
        wanted: tuple[tuple[str, ...], StyleLoss],
        rows: int | None = None,
    ) -> list[tuple[float, Targets]]:
        """Shares and targets of style images, for some layers and a style loss, computed in strips of so many rows.

        looks: style image → its share, above 0. An additive loss has one target for all of the images; another loss has
        one for each. A layer at which the part of an image that is taken has no place has None.
        """
        layers, loss = wanted

        def make() -> list[tuple[float, Targets]]:
            sums = [self._sums(network, look, wanted, rows) for look in looks]
            shares = list(looks.values())
            with self.session.timed("targets"), torch.no_grad():
                if len(looks) > 1 and loss.additive:
                    return [(1.0, self._complete(layers, mixed_targets(sums, shares, loss)))]
                each = [{layer: loss.target(loss.statistic(of[layer])) for layer in of} for of in sums]
                return [(share, self._complete(layers, of)) for share, of in zip(shares, each, strict=True)]

        return self.session.cached("styles", (network, tuple(looks.items()), wanted, rows), make, at_most=16)

    @staticmethod
    def _complete(layers: Iterable[str], targets: Targets) -> Targets:
        return {layer: targets.get(layer) for layer in layers}

    def _sums(
        self, network: Network, look: Look, wanted: tuple[tuple[str, ...], StyleLoss], rows: int | None
    ) -> Mapping[str, Sums]:
        """A style image's sums, at each layer where the part that is taken has a place."""

        def make() -> Mapping[str, Sums]:
            view, backbone = self._view(network, look.read, rows), self.backbone(network)
            guides, (layers, loss) = None, wanted
            if look.mask:
                size = (view[0].shape[2], view[0].shape[3])
                check_shape(
                    f"style_mask: {look.mask.path.name}", look.mask.values, f"style {look.read.file[0].name}", size
                )
                mask, fields = fitted(look.mask.values, size, 0), backbone.receptive_fields
                guides = guides_at(mask, fields, backbone.sizes(*size), look.inside, network.device)
                layers = tuple(layer for layer in layers if not guides[layer].vanishes)
            with self.session.timed("targets"):
                return style_sums(backbone, view, layers, loss, guides)

        return self.session.cached("sums of styles", (network, look, wanted, rows), make, at_most=16)

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
        most = max(LEAST_ROWS, TARGET_PIXELS // image.shape[3])
        return image, cut(self.backbone(network).receptive_fields, image.shape[2], min(rows or most, most))
