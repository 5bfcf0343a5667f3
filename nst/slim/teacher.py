"""The networks that slim learns from."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nst.backbones import Backbone


@dataclass
class Teacher:
    """A frozen network, and which of its layers slim learns."""

    backbone: Backbone
    pairs: Mapping[str, str]
    """Layer of the teacher → the layer of slim that learns it."""
    pad: int = 0
    """Pixels of reflection padding around each image, so that a network without padding aligns with slim's grid."""
    every: int = 1
    """The teacher runs on one in `every` images of a batch: above 1 for a slow teacher that has little to teach."""

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The teacher's layer → its features of images (B, 3, H, W) in [0, 1]."""
        return self.backbone(self._padded(images))

    def input_of(self, layer: str, images: Tensor) -> Tensor:
        """The input of the module whose output is `layer`, for images (B, 3, H, W) in [0, 1]."""
        padded = (self._padded(images) - self.backbone.mean) / self.backbone.std
        given: Tensor = self.backbone.features[: self.backbone.index_of(layer)](padded)
        return given

    def _padded(self, images: Tensor) -> Tensor:
        return F.pad(images, (self.pad,) * 4, mode="reflect")


def crop_like(features: Tensor, like: Tensor) -> Tensor:
    """Center-crop features (B, C, H', W') to the height and width of `like`, (B, C, H, W).

    A teacher whose pooling windows overlap and that rounds sizes up has one or two rows and columns more than slim. An
    odd one is cut off at the end. With a pad of 8, the cropped features of SqueezeNet are centered within 2.5 pixels
    of slim's.
    """
    top, left = ((more - wanted) // 2 for more, wanted in zip(features.shape[2:], like.shape[2:], strict=True))
    return features[..., top : top + like.shape[2], left : left + like.shape[3]]
