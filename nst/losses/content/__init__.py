"""Content losses: one class a file, registered by name, chosen with `content_loss=NAME`."""

from nst.losses.content.base import CONTENT_LOSSES, ContentLoss
from nst.registry import import_all

import_all(__name__, __path__)

__all__ = ["CONTENT_LOSSES", "ContentLoss"]
