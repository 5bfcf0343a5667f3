"""Scenes: the images of one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from nst.modes.regions import Region
from nst.modes.shared import Read


@dataclass(frozen=True)
class Scene:
    """The images of one scale."""

    reads: Mapping[str, Sequence[Read]]
    images: Mapping[str, Sequence[Tensor]]
    """Role → images (1, 3, H, W) in [0, 1]."""
    canvas: Tensor
    """An image of the result's shape: the content, or for a texture the style."""
    regions: Sequence[Region]
    masks: Sequence[Tensor | None]
    """Of each region: how far each pixel of the canvas belongs to it, (1, 1, H, W); None: all do."""
    finest: bool
    """Whether the canvas has the result's size."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the canvas in pixels."""
        return self.canvas.shape[2], self.canvas.shape[3]

    @property
    def smallest(self) -> tuple[str, tuple[int, int]]:
        """The role and the size (H, W) of the image with the shortest side; the canvas is an image."""
        images = [("image", self.canvas), *((role, each) for role in self.images for each in self.images[role])]
        role, image = min(images, key=lambda each: min(each[1].shape[2:]))
        return role, (image.shape[2], image.shape[3])

    @property
    def covered(self) -> Tensor | None:
        """How far each pixel of the canvas belongs to any region, (1, 1, H, W); None: all do."""
        masks = [mask for mask in self.masks if mask is not None]
        covered = sum(masks[1:], masks[0]).clamp(0, 1) if masks else None
        return None if covered is None or float(covered.min()) > 1 - 1e-4 else covered
