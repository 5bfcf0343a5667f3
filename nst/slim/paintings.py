"""The images that slim and its teachers paint for slim's training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nst.losses.content.features import FeatureDistance
from nst.losses.objective import Losses, Objective
from nst.losses.style.gram import Gram
from nst.losses.targets import Features, content_targets, style_targets
from nst.losses.terms import Goal
from nst.memory.strips import WHOLE
from nst.slim.photos import Crops

BATCHES_PAINTED = 32
"""Batches of images that are painted in turn."""
VISITS, VISIT_STEPS = 6, 12
"""Visits to a batch before it starts afresh, and L-BFGS steps of each: together about as many as a transfer takes."""


class Paintings(nn.Module):
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

    def paint_on(self, visit: int, painter: Callable[[Tensor], tuple[Features, Sequence[str]]]) -> None:
        """Take some steps with the next batch. After all its visits it first starts afresh.

        visit: counts the calls, from 0. painter: contents (B, 3, H, W) in [0, 1] → the network that paints them,
        normalized as by `NormalizedBackbone`, and its layers.
        """
        turn, batch = divmod(visit, BATCHES_PAINTED)
        rows = slice(batch * self._batch, (batch + 1) * self._batch)
        if (turn + batch) % VISITS == 0:
            self._restart(rows)
        contents, styles = self.contents[rows].float(), self.styles[rows].float()
        network, layers = painter(contents)
        self.painted[rows] = paint(network, layers, self.painted[rows].float(), contents, styles).half()

    def _restart(self, rows: slice) -> None:
        contents, styles = self._crops.draw(self._batch), self._crops.draw(self._batch)
        from_noise = torch.rand(self._batch, 1, 1, 1) < 0.6
        self.contents[rows], self.styles[rows] = contents, styles
        self.painted[rows] = torch.where(from_noise, torch.rand_like(contents), contents).half()


def paint(network: Features, layers: Sequence[str], images: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """Take some steps with images on their way to a content in a style, or to a texture of the style.

    images, content, style: (B, 3, H, W) in [0, 1]; returns images of that shape and range. network: normalized as by
    `NormalizedBackbone`. The layers that are used, and the weights of the terms, are random.
    """
    chosen = [layer for layer in layers if torch.rand(()) < 0.6] or list(layers)
    texture = bool(torch.rand(()) < 0.4)
    weight = float(10 ** (4 + 4 * torch.rand(())))
    kept = content_targets(network, (content, WHOLE), [] if texture else chosen[-1:], FeatureDistance())
    matched = style_targets(network, [(style, WHOLE)], chosen, Gram())
    # the mean over layers of the mean squared difference, which slim was trained with, not of the sum of squares
    thin = [matched[layer].shape[1] ** -2.0 for layer in chosen]
    weights = {"content": 1.0, "style": weight * sum(thin) / len(thin) / Gram.scale, "tv": 0.0}
    losses = Losses(FeatureDistance(), Gram(), weights, tuple(thin))
    objective = Objective(network, losses.terms(kept, Goal(matched)))
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
    return pixels.detach().clamp(0, 1)
