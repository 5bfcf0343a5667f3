"""How the embedded backbone, slim, is made and measured: mode=distill and mode=fidelity. No other package uses this."""

from nst.modes import Mode
from nst.slim.config import Distill, Fidelity

MODES = [
    Mode(
        "distill",
        "train slim, the embedded backbone, to reproduce the features of VGG-16",
        "nst.slim.build:build_distillation",
        frozenset({"steps"}),
        section=Distill,
    ),
    Mode(
        "fidelity",
        "measure how well slim guides a transfer, compared with VGG-16",
        "nst.slim.build:build_fidelity",
        frozenset(
            {
                *("content_layers", "style_layers", "layers", "backbone", "size", "steps", "optimizer", "style_loss"),
                *("content_weight", "style_weight", "tv_weight", "range_weight"),
            }
        ),
        section=Fidelity,
        optimizes=False,
    ),
]
