"""Images, backbones and targets: what the jobs of a sweep share through their session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst.backbones import Backbone
from nst.backbones.networks import architecture
from nst.backbones.scale import mean_activations
from nst.files import Version
from nst.images import samples
from nst.images.files import load
from nst.losses.content import ContentLoss
from nst.losses.objective import Targets, content_targets, style_targets
from nst.losses.style import StyleLoss
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
                return load(read.file[0], read.size, read.background)

        return self.session.cached("image", read, make, at_most=16)

    def backbone(self, of: Network) -> Backbone:
        """The frozen network."""

        def make() -> Backbone:
            with self.session.timed("weights"):
                backbone = Backbone(of.name, of.layers, str(of.weights[0]), of.pooling, of.padding)
                if of.scale == "unit" and not architecture(of.name).at_unit_scale:
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

    def style(
        self,
        network: Network,
        reads: tuple[Read, ...],
        wanted: tuple[tuple[str, ...], StyleLoss],
        rows: int | None = None,
    ) -> Targets:
        """The targets of some layers and a style loss, of the images together, computed in strips of so many rows."""

        def make() -> Targets:
            views = [self._view(network, read, rows) for read in reads]
            with self.session.timed("targets"):
                return style_targets(self.backbone(network), views, *wanted)

        return self.session.cached("style", (network, reads, wanted, rows), make, at_most=16)

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
