"""The networks that a backbone can be: one file per family, each of which registers its networks in NETWORKS."""

from nst.backbones.networks.base import NETWORKS, Architecture, Network, architecture
from nst.registry import import_all

import_all(__name__, __path__)

__all__ = ["NETWORKS", "Architecture", "Network", "architecture"]
