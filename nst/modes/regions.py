"""Regions: which styles an image is to have, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.errors import InputError
from nst.generators.data import find_images
from nst.images import samples
from nst.images.masks import STRAY, Mask, check_shape, fitted, rgb

REST = "rest"
"""The mask of what the other regions leave."""
KEYS = ("mask", "style", "style_mix", "style_mask", "weight")
LARGEST_WEIGHT = 1e6
MOST_STYLES = 64


@dataclass(frozen=True)
class Region:
    """A part of the image and the styles that it is to have.

    name: for messages. shares: of each style, above 0, with sum 1. weight: of its style loss, and where regions
    overlap. mask: where it is; "rest": where no other is; None: everywhere. style_masks: the parts of the style images
    that are taken; None: all.
    """

    name: str
    styles: tuple[Path, ...]
    shares: tuple[float, ...]
    weight: float = 1.0
    mask: Mask | str | None = None
    style_masks: tuple[Mask | None, ...] = ()


def whole(style: Any, mix: Any) -> list[Region]:
    """One region that is everywhere."""
    return [_region("style", style, mix)]


def masked(style: Any, mix: Any, mask: str, outside: str) -> list[Region]:
    """The short form: the style is where a mask is white, and elsewhere too, by itself, if `outside` is "style"."""
    white = _mask("mask", mask)
    if float(white.values.min()) > 0.99:
        raise InputError(f"mask={mask}: is all white, so the style would be everywhere; leave it out")
    regions = [_region("mask", style, mix, mask=white)]
    return [*regions, _region(REST, style, mix, mask=REST)] if outside == "style" else regions


def listed(given: Any) -> list[Region]:
    """Regions as the key `regions` gives them. Raises InputError for any that cannot be.

    given: a list of {mask, style, style_mix, style_mask, weight}, or {from: a mask's file, COLOR: style, …}.
    """
    if isinstance(given, Mapping) and "from" in given:
        styles = {str(color): style for color, style in given.items() if color != "from"}
        colors = tuple(color for color in styles if color != REST)
        if not colors:
            raise InputError("regions: needs a color of the mask and its style, as in {from: mask.png, red: swirl}")
        masks = {color: _mask("regions.from", str(given["from"]), color, colors) for color in colors}
        share, color = masks[colors[0]].unnamed()
        if REST not in styles and share > STRAY:
            raise InputError(
                f"regions.from={given['from']}: {share:.1%} of it has other colors, most often {color}, that no region "
                "names; name it, or add rest: STYLE"
            )
        return [
            _region(f"regions.{color}", style, None, mask=masks.get(color, REST)) for color, style in styles.items()
        ]
    if not isinstance(given, list) or not given or not all(isinstance(each, Mapping) for each in given):
        raise InputError(f"regions={given}: must be a list such as [{{mask: sky.png, style: swirl}}]")
    regions = []
    for number, each in enumerate(given):
        name = f"regions[{number}]"
        if unknown := [key for key in each if key not in KEYS]:
            raise InputError(f"{name}.{unknown[0]}: no such key; a region has {', '.join(KEYS)}")
        if each.get("style") is None:
            raise InputError(f"{name}: needs style: a path or the name of a sample")
        if each.get("mask") is None:
            raise InputError(f"{name}: needs mask: an image that is white where the region is, or {REST}")
        weight = each.get("weight", 1.0)
        if type(weight) not in (int, float) or not 0 < weight <= LARGEST_WEIGHT:
            raise InputError(f"{name}.weight={weight}: must be a number above 0, at most {LARGEST_WEIGHT:g}")
        mask = REST if each["mask"] == REST else _mask(f"{name}.mask", str(each["mask"]))
        style_masks = each.get("style_mask")
        regions.append(
            _region(name, each["style"], each.get("style_mix"), mask=mask, weight=weight, style_masks=style_masks)
        )
    if sum(region.mask == REST for region in regions) > 1:
        raise InputError(f"regions: only one can have mask: {REST}")
    return regions


def files_of(regions: Sequence[Region]) -> dict[str, list[Path]]:
    """Role → the files of all regions, each once: "style", and "mask" if there are any."""
    styles = [style for region in regions for style in region.styles]
    masks = [each for region in regions for each in (region.mask, *region.style_masks) if isinstance(each, Mask)]
    roles = {"style": styles, "mask": [mask.path for mask in masks]}
    return {role: list(dict.fromkeys(paths)) for role, paths in roles.items() if paths}


def shares_of(key: str, mix: Any, count: int) -> list[float]:
    """The shares of `count` styles: equal without a mix. Raises InputError for what is no mix of so many."""
    if mix is None:
        return [1 / count] * count
    shown = f"{key}={mix}"
    if not isinstance(mix, list) or not all(type(each) in (int, float) for each in mix):
        raise InputError(f"{shown}: must be null (equal), or a list of numbers, one for each style")
    if len(mix) != count:
        raise InputError(f"{shown}: must have one number for each style; styles: {count}")
    if not all(0 <= each <= LARGEST_WEIGHT for each in mix) or not any(mix):
        raise InputError(f"{shown}: shares must be from 0 to {LARGEST_WEIGHT:g}, and one of them above 0")
    return [each / sum(mix) for each in mix]


def masks_at(regions: Sequence[Region], size: tuple[int, int], feather: float) -> list[Tensor | None]:
    """How far each pixel of an image of `size`, (H, W), belongs to each region: (1, 1, H, W), or None: everywhere.

    They add up to at most 1: where regions overlap, they share a pixel by their weights. feather: width of the soft
    edge in pixels. Raises InputError for a mask of another shape than the image's, and for an empty region.
    """
    if all(region.mask is None for region in regions):
        return [None] * len(regions)
    found: dict[int, Tensor] = {}
    for number, region in enumerate(regions):
        if isinstance(region.mask, Mask):
            check_shape(f"{region.name}: the mask {region.mask.path.name}", region.mask.values, "image", size)
            found[number] = fitted(region.mask.values, size, feather)
    together = torch.stack(list(found.values())).sum(0).clamp(0, 1)
    for number, region in enumerate(regions):
        if region.mask == REST:
            found[number] = 1 - together
        if float(found[number].max()) < 0.5:
            left = "the other regions leave nothing for it" if region.mask == REST else "its mask is all black"
            raise InputError(f"{region.name}: {left}")
    pulls = [region.weight * found[number] for number, region in enumerate(regions)]
    covered = torch.stack(list(found.values())).sum(0).clamp(max=1)
    total = torch.stack(pulls).sum(0).clamp_min(1e-12)
    return [covered * pull / total for pull in pulls]


def _region(
    name: str, style: Any, mix: Any, *, mask: Mask | str | None = None, weight: float = 1.0, style_masks: Any = None
) -> Region:
    given = [style] if isinstance(style, str) else style
    if not isinstance(given, list) or not given or not all(isinstance(each, str) for each in given):
        raise InputError(f"{name}: style={style}: must be a path, the name of a sample, or a list of them")
    paths = [path for each in given for path in _images(name, each)]
    shares = shares_of("style_mix" if name in ("style", "mask", REST) else f"{name}.style_mix", mix, len(paths))
    masks = [style_masks] if isinstance(style_masks, str) else style_masks or [None] * len(paths)
    if len(masks) != len(paths):
        raise InputError(f"{name}.style_mask: has {len(masks)} masks, and there are {len(paths)} styles")
    used = [index for index, share in enumerate(shares) if share]
    return Region(
        name,
        tuple(paths[index] for index in used),
        tuple(shares[index] for index in used),
        weight,
        mask,
        tuple(_mask(f"{name}.style_mask", masks[index]) if masks[index] else None for index in used),
    )


def _images(name: str, given: str) -> list[Path]:
    """The file of a style, or all images of a folder."""
    folder = Path(given).expanduser()
    if not folder.is_dir():
        return [samples.find("style" if name in ("style", "mask", REST) else f"{name}.style", given)]
    images, others = find_images(folder)
    if not 0 < len(images) <= MOST_STYLES:
        raise InputError(
            f"style={given}: {len(images)} images among {len(images) + others} files; 1 to {MOST_STYLES} are needed"
        )
    return images


def _mask(key: str, given: str, color: str | None = None, colors: tuple[str, ...] = ()) -> Mask:
    for each in colors:
        rgb(each)
    return Mask(samples.find(key, given), color, colors)
