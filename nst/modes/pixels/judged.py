"""What a picture is compared with when it is judged."""

from collections.abc import Collection

import torch

from nst.images.masks import fitted
from nst.judges import Look, Place, Reference
from nst.modes.pixels.scene import Scene
from nst.modes.regions import Region, files_of


def reference_of(scene: Scene, terms: Collection[str], device: torch.device) -> Reference:
    """The content and the styles of a scene, as far as the mode has such terms."""
    content = scene.images["content"][0].to(device) if "content" in terms else None
    if "style" not in terms:
        return Reference(content)
    images = dict(zip(files_of(scene.regions)["style"], scene.images["style"], strict=True))

    def looks_of(region: Region) -> list[Look]:
        looks = []
        for path, part, share in zip(region.styles, region.style_masks, region.shares, strict=True):
            image = images[path].to(device)
            mask = fitted(part.values, (image.shape[2], image.shape[3]), 0).to(device) if part else None
            if share:
                looks.append(Look(image, share, mask))
        return looks

    places = [
        Place(looks_of(region), None if mask is None else mask.to(device))
        for region, mask in zip(scene.regions, scene.masks, strict=True)
    ]
    return Reference(content, places)
