"""From regions to the goals of the style term."""

from torch import Tensor

from nst.errors import InputError
from nst.losses.guide import Guide, guides_at
from nst.losses.terms import Goal
from nst.modes.method import Method
from nst.modes.pixels.scene import Scene
from nst.modes.regions import files_of
from nst.modes.shared import Shared, looks_of
from nst.text import say


def goals_of(shared: Shared, method: Method, scene: Scene, rows: int | None, inside: bool) -> list[Goal]:
    """A goal for each region, or for each of its styles where the loss cannot mix them.

    A region's style loss is weighted with its share of the picture: then style and content are balanced in it as they
    are in a picture without regions (a departure from Gatys et al. 2017, who give each region the same weight). A layer
    at which the region has no place is left out, and said. rows: of the strips in which styles are encoded. inside: as
    for `guides_at`. Raises InputError for a region that has no place at any layer of the finest scale.
    """
    backbone, layers, goals = method.backbone, method.style_layers, []
    reads = dict(zip(files_of(scene.regions)["style"], scene.reads["style"], strict=True))
    for region, mask in zip(scene.regions, scene.masks, strict=True):
        looks = looks_of(region, reads, inside)
        guides: dict[str, Guide] | None = None
        if mask is not None:
            sizes = backbone.sizes(*scene.size)
            guides = guides_at(mask, backbone.receptive_fields, sizes, inside, method.network.device)
        weight = region.weight * (1.0 if mask is None else float(mask.mean()))
        for share, targets in shared.styles(method.network, looks, (layers, method.losses.style), rows):
            lacking = [layer for layer in layers if targets[layer] is None or (guides and guides[layer].vanishes)]
            compared = {layer: None if layer in lacking else targets[layer] for layer in layers}
            goals.append(Goal(compared, weight * share, guides))
        if lacking and scene.finest:
            what = f"{region.name or 'mask'}: at {scene.size[1]}×{scene.size[0]} pixels it has no place at"
            if len(lacking) == len(layers):
                raise InputError(f"{what} any style layer: take shallower layers, or a larger size, mask or weight")
            say(f"{what} {', '.join(lacking)}, which is left out")
    return goals


def painted_within(image: Tensor, content: Tensor, covered: Tensor) -> Tensor:
    """The image where regions are, and the content elsewhere. covered: (1, 1, H, W) in [0, 1]."""
    return content + covered * (image - content)
