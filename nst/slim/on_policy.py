"""The images that slim and its teacher paint for slim's training ("on policy": where a loss leads them)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst.losses.content.features import FeatureDistance
from nst.losses.objective import Losses
from nst.losses.style import StyleLoss
from nst.losses.targets import Features
from nst.losses.transfer import Layers, transfer_objective
from nst.slim.photos import Crops

BATCHES_PAINTED = 16
"""Batches of images that are painted in turn."""
VISITS, COARSE_VISITS, VISIT_STEPS = 6, 2, 12
"""Visits to a batch before it starts afresh, those of them at half size, and L-BFGS steps of each: about as a transfer
from coarse to fine."""
PAINTED_STYLES = 0.6
"""Share of paintings among the styles; the other styles, and the contents, are photographs."""
TEXTURES, SINGLE_LAYERS, FIRST_LAYERS, BY_POSITIONS = 0.4, 0.3, 0.7, 0.5
"""Probabilities: of a texture, not a transfer; of one style layer, as in a report on layers, not several; of the first
layers of the blocks, which are the default, not all; and of layers weighted by their positions, also the default."""
CONTENT_LAYERS = ("3_1", "4_1")
"""Ends of the names of the layers that a transfer takes its content from: those of layers=transfer and of classroom."""


@dataclass(frozen=True)
class Painter:
    """What paints. network: normalized as by `NormalizedBackbone`. layers: of it. loss: for the style."""

    network: Features
    layers: Sequence[str]
    loss: StyleLoss


class OnPolicy(nn.Module):
    """Unfinished transfers and textures, painted batch after batch: images for which a run needs gradients.

    Each image starts as a crop or as noise; its content and its style are crops. Checkpoints hold all of them.
    batch: images in each of the BATCHES_PAINTED batches.
    """

    painted: Tensor
    contents: Tensor
    styles: Tensor

    def __init__(self, crops: Crops, batch: int) -> None:
        super().__init__()
        self._crops, self._batch = crops, batch
        for name in ("painted", "contents", "styles"):
            empty = torch.zeros(BATCHES_PAINTED * batch, 3, crops.side, crops.side, dtype=torch.half)
            self.register_buffer(name, empty)
        for rows in range(0, len(self.painted), max(batch, 1)):
            self._restart(slice(rows, rows + batch))

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Random images and the styles that they are painted in, (count, 3, H, W) in about [0, 1] each."""
        rows = torch.randint(max(len(self.painted), 1), (count,))
        return self.painted[rows].float(), self.styles[rows].float()

    def paint_on(self, visit: int, make_painter: Callable[[Tensor], Painter]) -> None:
        """Take some steps with the next batch. After all its visits it first starts afresh.

        visit: counts the calls, from 0. make_painter: contents (B, 3, H, W) in [0, 1] → what paints them.
        """
        turn, batch = divmod(visit, BATCHES_PAINTED)
        rows = slice(batch * self._batch, (batch + 1) * self._batch)
        visited = (turn + batch) % VISITS
        if visited == 0:
            self._restart(rows)
        images, contents, styles = (each[rows].float() for each in (self.painted, self.contents, self.styles))
        side = self._crops.side
        if visited < COARSE_VISITS:
            images, contents, styles = (_scaled(each, side // 2) for each in (images, contents, styles))
        images = paint(make_painter(contents), images, contents, styles)
        self.painted[rows] = _scaled(images, side).half()

    def _restart(self, rows: slice) -> None:
        contents, styles = self._crops.draw(self._batch), self._crops.draw(self._batch, PAINTED_STYLES)
        from_noise = torch.rand(self._batch, 1, 1, 1) < 0.5
        self.contents[rows], self.styles[rows] = contents, styles
        self.painted[rows] = torch.where(from_noise, torch.rand_like(contents), contents).half()


def paint(painter: Painter, images: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """Take some steps with images on their way to a content in a style, or to a texture of the style.

    images, content, style: (B, 3, H, W) in [0, 1]; returns images of that shape and range, gray where they diverged.
    The layers that are used, and the weights of the layers and of the terms, are random.
    """
    network, loss, chosen = painter.network, painter.loss, _chosen(painter.layers)
    kept_at = [layer for layer in painter.layers if layer.endswith(CONTENT_LAYERS)] or painter.layers[-1:]
    kept = [] if _drawn(TEXTURES) else _one_of(kept_at)
    weights = {"content": 1.0, "style": float(10 ** (4 + 4 * torch.rand(()))), "tv": 0.0}
    losses = Losses(FeatureDistance(), loss, weights)
    objective = transfer_objective(network, content, style, Layers(kept, chosen, _drawn(BY_POSITIONS)), losses)
    pixels = images.clone().requires_grad_(True)
    optimizer: Any = torch.optim.LBFGS(
        [pixels], max_iter=VISIT_STEPS, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )

    def closure() -> Tensor:
        total = objective(pixels)["total"]
        (gradient,) = torch.autograd.grad(total, [pixels])
        pixels.grad = gradient.contiguous()  # torch's L-BFGS cannot flatten a channels-last gradient
        return total

    with torch.enable_grad():
        optimizer.step(closure)
    # training goes on: a picture that diverged begins again at its next restart
    return pixels.detach().clamp(0, 1).nan_to_num(0.5)


def _chosen(layers: Sequence[str]) -> list[str]:
    """Style layers, at random."""
    among = [layer for layer in layers if layer.endswith("_1")] if _drawn(FIRST_LAYERS) else layers
    if _drawn(SINGLE_LAYERS):
        return _one_of(among)
    return [layer for layer in among if _drawn(0.6)] or list(among)


def _one_of(layers: Sequence[str]) -> list[str]:
    return [layers[int(torch.randint(len(layers), ()))]]


def _drawn(probability: float) -> bool:
    return bool(torch.rand(()) < probability)


def _scaled(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)
