"""Images that need no download: photographs of scikit-image and paintings of our own (paint.py)."""

import os
from importlib.util import find_spec
from pathlib import Path

from nst.errors import InputError, did_you_mean

PHOTOGRAPHS = {
    "chelsea": "chelsea.png",
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "ihc": "ihc.png",
    "retina": "retina.jpg",
    "hubble": "hubble_deep_field.jpg",
}
"""Sample → file in scikit-image's package data."""
PAINTINGS = ("swirl", "facets", "waves", "tessellation", "mosaic")


def find(key: str, name: str) -> Path:
    """The file of a sample, or `name` itself as a path; `key` is the config key it was given for.

    Raises InputError when there is neither.
    """
    if name in PAINTINGS:
        return Path(__file__).with_name(f"{name}.jpg")
    if name in PHOTOGRAPHS:
        package = find_spec("skimage")
        if package is None or not package.submodule_search_locations:
            raise InputError(f"{key}={name}: this sample is scikit-image's, which is not installed")
        return Path(package.submodule_search_locations[0]) / "data" / PHOTOGRAPHS[name]
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        raise InputError(f"{key}={name}: that is a folder; give one image file")
    if not os.path.exists(path):  # unlike pathlib's, False for a name too long to be one
        samples = (*PHOTOGRAPHS, *PAINTINGS)
        raise InputError(
            f"{key}={name}: no such file or sample{did_you_mean(name, samples)}; the samples are {', '.join(samples)}"
        )
    return Path(path)
