"""Frozen perceptual networks: image → features by layer name."""

from nst.backbones.backbone import Backbone
from nst.backbones.networks import NETWORKS
from nst.backbones.scale import NormalizedBackbone

__all__ = ["NETWORKS", "Backbone", "NormalizedBackbone"]
