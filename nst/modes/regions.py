"""Regions: which styles an image is to have, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.choices import REST
from nst.errors import InputError
from nst.files import as_path, version
from nst.generators.data import find_images
from nst.images import samples
from nst.images.masks import STRAY, Mask, check_shape, fitted, rgb
from nst.losses.guide import FAINT

KEYS = ("mask", "style", "style_mix", "style_mask", "weight")
LARGEST_WEIGHT = 1e6
"""Of a region, and of a style in a mix."""
MOST_STYLES = 64
"""Images that a folder of styles can have."""


@dataclass(frozen=True)
class Region:
    """A part of the image and the styles that it is to have.

    name: for messages. shares: of each style, ≥ 0, with sum 1. style_masks: the part of each style image that is taken;
    None: all. mask: where the region is; "rest": where no other is; None: everywhere. weight: of its style loss, and
    where regions overlap.
    """

    name: str
    styles: tuple[Path, ...]
    shares: tuple[float, ...]
    style_masks: tuple[Mask | None, ...]
    mask: Mask | str | None = None
    weight: float = 1.0


def whole(style: Any, mix: Any) -> list[Region]:
    """One region that is everywhere. Raises InputError for styles or shares that cannot be."""
    return [_region("", {"style": style, "style_mix": mix})]


def masked(style: Any, mix: Any, mask: str, outside: str) -> list[Region]:
    """The short form: the style is where a mask is white, and elsewhere too, by itself, if `outside` is "style"."""
    given = {"style": style, "style_mix": mix}
    white = _mask("mask", mask)
    if float(white.values.min()) > 1 - FAINT:
        raise InputError(f"mask={mask}: is all white, so the style would be everywhere; leave it out")
    regions = [_region("", given, white)]
    return [*regions, _region("", given, REST)] if outside == "style" else regions


def listed(given: Any) -> list[Region]:
    """Regions as the key `regions` gives them. Raises InputError for any that cannot be.

    given: a list of {mask, style, style_mix, style_mask, weight}, or {from: a mask's file, COLOR: style, …}.
    """
    if isinstance(given, Mapping) and "from" in given:
        return _by_color({str(key): value for key, value in given.items()})
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
        mask = REST if each["mask"] == REST else _mask(f"{name}.mask", each["mask"])
        regions.append(_region(name, each, mask))
    if sum(region.mask == REST for region in regions) > 1:
        raise InputError(f"regions: only one can have mask: {REST}")
    if all(region.mask == REST for region in regions):
        raise InputError(f"regions: {REST} is what other regions leave; give one with a mask")
    return regions


def _by_color(given: Mapping[str, Any]) -> list[Region]:
    """Regions by the colors of one mask."""
    styles = {color: style for color, style in given.items() if color != "from"}
    colors = tuple(color for color in styles if color != REST)
    if not colors:
        raise InputError("regions: needs a color of the mask and its style, as in {from: mask.png, red: swirl}")
    for color in colors:
        rgb(f"regions.{color}", color)
    masks = {color: _mask("regions.from", given["from"], color, colors) for color in colors}
    share, stray = masks[colors[0]].most_frequent_other()
    if REST not in styles and share > STRAY:
        raise InputError(
            f"regions.from={given['from']}: {share:.1%} of it is {stray}, which no region names; name it, or add "
            f"{REST}: STYLE"
        )
    return [_region(f"regions.{color}", {"style": style}, masks.get(color, REST)) for color, style in styles.items()]


def files_of(regions: Sequence[Region]) -> dict[str, list[Path]]:
    """Role → the files of all regions, each once: "style", and "mask" if there are any."""
    styles = [style for region in regions for style in region.styles]
    masks = [each for region in regions for each in (region.mask, *region.style_masks) if isinstance(each, Mask)]
    roles = {"style": styles, "mask": [mask.path for mask in masks]}
    return {role: list(dict.fromkeys(paths)) for role, paths in roles.items() if paths}


def masks_at(regions: Sequence[Region], size: tuple[int, int], feather: float) -> list[Tensor | None]:
    """How far each pixel of an image of `size`, (H, W), belongs to each region: (1, 1, H, W), or None: everywhere.

    They add up to at most 1: where regions overlap, they share a pixel by their weights. feather: width of the soft
    edge in pixels. Raises InputError for a mask of other proportions than the image's.
    """
    if all(region.mask is None for region in regions):
        return [None] * len(regions)
    found: dict[int, Tensor] = {}
    for number, region in enumerate(regions):
        if isinstance(region.mask, Mask):
            check_shape(f"{region.name or 'mask'}: {region.mask.path.name}", region.mask.values, "image", size)
            found[number] = fitted(region.mask.values, size, feather)
    together = torch.stack(list(found.values())).sum(0).clamp(0, 1)
    found |= {number: 1 - together for number, region in enumerate(regions) if region.mask == REST}
    covered = torch.stack(list(found.values())).sum(0).clamp(max=1)
    pulls = [region.weight * found[number] for number, region in enumerate(regions)]
    total = torch.stack(pulls).sum(0).clamp_min(1e-12)
    return [covered * pull / total for pull in pulls]


def refuse_empty(regions: Sequence[Region], masks: Sequence[Tensor | None]) -> None:
    """Raise InputError for a region without a place. masks: from `masks_at`."""
    for region, mask in zip(regions, masks, strict=True):
        if mask is not None and float(mask.max()) < FAINT:
            left = "the other regions leave nothing for it"
            height, width = mask.shape[2:]
            if isinstance(region.mask, Mask):
                left = f"its mask {region.mask.path.name} is black, or too thin for {width}×{height} pixels"
            raise InputError(f"{region.name or 'mask'}: {left}")


def _region(name: str, given: Mapping[str, Any], mask: Mask | str | None = None) -> Region:
    """A region from {style, style_mix, style_mask, weight}. name: for messages; "" for keys that stand alone."""
    prefix = f"{name}." if name else ""
    styles, weight = given["style"], given.get("weight", 1.0)
    names = [styles] if isinstance(styles, str) else styles
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise InputError(f"{prefix}style={styles}: must be a path, the name of a sample, or a list of them")
    if type(weight) not in (int, float) or not 0 < weight <= LARGEST_WEIGHT:
        raise InputError(f"{prefix}weight={weight}: must be a number above 0, at most {LARGEST_WEIGHT:g}")
    paths = [path for each in names for path in _images(f"{prefix}style", each)]
    parts = given.get("style_mask")
    parts = [parts] if isinstance(parts, str) else [None] * len(paths) if parts is None else parts
    if not isinstance(parts, list) or len(parts) != len(paths):
        raise InputError(f"{prefix}style_mask={parts}: must be one mask for each style; styles: {len(paths)}")
    masks = tuple(None if part is None else _mask(f"{prefix}style_mask", part) for part in parts)
    shares = _shares(f"{prefix}style_mix", given.get("style_mix"), len(paths))
    return Region(name, tuple(paths), shares, masks, mask, float(weight))


def _shares(key: str, mix: Any, count: int) -> tuple[float, ...]:
    """The shares of `count` styles: equal without a mix."""
    if mix is None:
        return (1 / count,) * count
    shown = f"{key}={mix}"
    if not isinstance(mix, list) or not all(type(each) in (int, float) for each in mix):
        raise InputError(f"{shown}: must be null (equal), or a list of numbers, one for each style")
    if len(mix) != count:
        raise InputError(f"{shown}: must have one number for each style; styles: {count}")
    if not all(0 <= each <= LARGEST_WEIGHT for each in mix) or not any(mix):
        raise InputError(f"{shown}: shares must be from 0 to {LARGEST_WEIGHT:g}, and one of them above 0")
    return tuple(each / sum(mix) for each in mix)


def _images(key: str, given: str) -> list[Path]:
    """The file of a style, or all images of a folder; a sample comes before a folder of its name."""
    folder = as_path(key, given)
    if given in samples.NAMES or not folder.is_dir():
        return [samples.find(key, given)]
    images, others = find_images(folder)
    if not 0 < len(images) <= MOST_STYLES:
        found = f"{len(images)} images among {len(images) + others} files"
        raise InputError(f"{key}={given}: {found}; 1 to {MOST_STYLES} are needed")
    return images


def _mask(key: str, given: Any, color: str | None = None, colors: tuple[str, ...] = ()) -> Mask:
    if not isinstance(given, str):
        raise InputError(f"{key}={given}: must be the path of an image")
    return Mask(version(samples.find(key, given)), color, colors)
