"""The networks that slim learns from."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nst.backbones import Backbone


@dataclass
class Teacher:
    """A frozen network and what is learnt from it."""

    backbone: Backbone
    pairs: Mapping[str, str]
    """Layer of the teacher → layer of slim."""
    pad: int = 0
    """Pixels of reflection put round its images, so that a network without padding lines up with slim's grid."""
    every: int = 1
    """It is shown one in so many images of a batch: fewer for a slow teacher that has little to teach."""

    def see(self, images: Tensor) -> dict[str, Tensor]:
        """Features of (B, 3, H, W) images by the teacher's layer names."""
        return self.backbone(self._padded(images))

    def see_before(self, layer: str, images: Tensor) -> Tensor:
        """What the module whose output `layer` is was given."""
        padded = (self._padded(images) - self.backbone.mean) / self.backbone.std
        given: Tensor = self.backbone.features[: self.backbone.index_of(layer)](padded)
        return given

    def _padded(self, images: Tensor) -> Tensor:
        return F.pad(images, (self.pad,) * 4, mode="reflect")


def line_up(features: Tensor, like: Tensor) -> Tensor:
    """The middle (B, C, H, W) of features that have more rows and columns than `like`, (B, C, H, W).

    A teacher that pools with overlap and rounds up has one or two more than slim. Cut off evenly, and the odd one at
    the end, what is left of SqueezeNet with a pad of 8 has its centres within 2.5 pixels of slim's.
    """
    top, left = ((more - wanted) // 2 for more, wanted in zip(features.shape[2:], like.shape[2:], strict=True))
    return features[..., top : top + like.shape[2], left : left + like.shape[3]]
