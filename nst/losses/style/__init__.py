"""Style losses: one class a file, registered by name, chosen with `style_loss=NAME` (conf/style_loss/NAME.yaml)."""

from nst.losses.style.base import STYLE_LOSSES, StyleLoss, Sums
from nst.registry import import_all

import_all(__name__, __path__)

__all__ = ["STYLE_LOSSES", "StyleLoss", "Sums"]
