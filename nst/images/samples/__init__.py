"""Images that need no download: photographs from scikit-image, and paintings drawn by tools/paint_samples."""

from importlib.util import find_spec
from pathlib import Path

from nst.errors import InputError, did_you_mean
from nst.files import as_path, refuse_no_file

PHOTOGRAPHS = {
    "chelsea": "chelsea.png",
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "ihc": "ihc.png",
    "retina": "retina.jpg",
    "hubble": "hubble_deep_field.jpg",
}
"""Name → file in scikit-image's package data."""
PAINTINGS = ("swirl", "facets", "waves", "tessellation", "mosaic")
"""Names of the paintings; each is NAME.jpg in this folder."""
MASKS = ("astronaut_mask", "coffee_mask", "coffee_parts")
"""Names of masks of photographs; each is NAME.png in this folder."""
NAMES = (*PHOTOGRAPHS, *PAINTINGS, *MASKS)
"""Of all samples."""


def find(key: str, name: str) -> Path:
    """The file of the sample `name`, or `name` itself as a path. key: the config key, for error messages.

    Raises InputError if there is neither a sample nor a file of that name.
    """
    if name in PAINTINGS:
        return Path(__file__).with_name(f"{name}.jpg")
    if name in MASKS:
        return Path(__file__).with_name(f"{name}.png")
    if name in PHOTOGRAPHS:
        package = find_spec("skimage")
        if package is None or not package.submodule_search_locations:
            raise InputError(f"{key}={name}: this sample is part of scikit-image, which is not installed")
        return Path(package.submodule_search_locations[0]) / "data" / PHOTOGRAPHS[name]
    path = as_path(key, name)
    if name and path.is_dir():
        raise InputError(f"{key}={name}: that is a folder; give one image file")
    if not name or not path.exists():
        raise InputError(
            f"{key}={name}: no such file or sample{did_you_mean(name, NAMES)}; the samples are {', '.join(NAMES)}"
        )
    refuse_no_file(path, f"{key}=")
    return path
