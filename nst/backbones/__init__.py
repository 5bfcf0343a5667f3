"""Frozen perceptual networks: image → features by layer name."""

from nst.backbones.backbone import Backbone
from nst.backbones.networks import NETWORKS

__all__ = ["NETWORKS", "Backbone"]
