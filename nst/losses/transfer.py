"""The objective of a transfer between two images, whole and without regions, for any network.

`nst/modes/pixels` builds the same objective from what a sweep's jobs share, in strips, and with regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst.losses.objective import Losses, Objective
from nst.losses.targets import Features, content_targets, style_targets
from nst.losses.terms import Goal
from nst.memory.strips import WHOLE


@dataclass(frozen=True)
class Layers:
    """The layers that a network paints with, as it names them; without content layers it paints a texture.

    by_positions: style layers weigh as many times as they have positions, in place of what the losses say.
    """

    content: Sequence[str]
    style: Sequence[str]
    by_positions: bool = False


def transfer_objective(network: Features, content: Tensor, style: Tensor, layers: Layers, losses: Losses) -> Objective:
    """What is minimized to paint `content` in `style`, (B, 3, H, W) in [0, 1] each."""
    if layers.by_positions:
        with torch.no_grad():
            features = network(content[:1])
        losses = replace(losses, layer_weights=tuple(float(features[layer][0, 0].numel()) for layer in layers.style))
    kept = content_targets(network, (content, WHOLE), layers.content, losses.content)
    matched = style_targets(network, [(style, WHOLE)], layers.style, losses.style)
    return Objective(network, losses.terms(kept, Goal(matched)))
