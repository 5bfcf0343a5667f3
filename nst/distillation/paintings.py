"""The images that slim and its teachers paint for its training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nst.objective import Features, Objective, content_targets, style_targets
from nst.photos import Crops

BATCHES_PAINTED = 32
"""Batches of images that are painted in turn."""
VISITS, VISIT_STEPS = 6, 12
"""Visits to a batch before it begins anew, and L-BFGS steps of each: in all, about as many as a transfer needs."""


class Paintings(nn.Module):
    """Images on the way of transfers and textures, painted on batch after batch: where gradients are asked for.

    Each begins as a crop or as noise; crops are its content and its style. A checkpoint holds them.
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
            self._begin(slice(rows, rows + batch))

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Random images and the styles they are painted in, (count, 3, H, W) in about [0, 1] each."""
        rows = torch.randint(max(len(self.painted), 1), (count,))
        return self.painted[rows].float(), self.styles[rows].float()

    def paint_on(self, visit: int, painter: Callable[[Tensor], tuple[Features, Sequence[str]]]) -> None:
        """Take some steps at the batch whose turn it is, which first begins anew when it has had all its visits.

        painter: contents (B, 3, H, W) → the network by which to paint them, in their scale, and its layers.
        """
        turn, batch = divmod(visit, BATCHES_PAINTED)
        rows = slice(batch * self._batch, (batch + 1) * self._batch)
        if (turn + batch) % VISITS == 0:
            self._begin(rows)
        contents, styles = self.contents[rows].float(), self.styles[rows].float()
        network, layers = painter(contents)
        self.painted[rows] = paint(network, layers, self.painted[rows].float(), contents, styles).half()

    def _begin(self, rows: slice) -> None:
        contents, styles = self._crops.draw(self._batch), self._crops.draw(self._batch)
        from_noise = torch.rand(self._batch, 1, 1, 1) < 0.6
        self.contents[rows], self.styles[rows] = contents, styles
        self.painted[rows] = torch.where(from_noise, torch.rand_like(contents), contents).half()


def paint(network: Features, layers: Sequence[str], images: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1], some steps further on their way to a content in a style, or to its texture.

    network: in the scale of `backbones.Unit`. Which of its layers are read, and how the terms are weighted, is drawn.
    """
    chosen = [layer for layer in layers if torch.rand(()) < 0.6] or list(layers)
    texture = bool(torch.rand(()) < 0.4)
    weight = float(10 ** (4 + 4 * torch.rand(())))
    kept = content_targets(network, content, [] if texture else chosen[-1:])
    objective = Objective(network, kept, style_targets(network, style, chosen), style_weight=weight)
    pixels = images.clone().requires_grad_(True)
    optimizer: Any = torch.optim.LBFGS(
        [pixels], max_iter=VISIT_STEPS, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )

    def closure() -> Tensor:
        total = objective(pixels)["total"]
        (pixels.grad,) = torch.autograd.grad(total, [pixels])
        return total

    with torch.enable_grad():
        optimizer.step(closure)
    return pixels.detach().clamp(0, 1)
