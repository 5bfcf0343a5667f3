"""`output=picture.png`: the result, written to a file of the user's choice, too."""

import os
from pathlib import Path

from nst.errors import InputError
from nst.files import as_path
from nst.images.files import WRITTEN
from nst.modes.parts import names_of
from nst.runner.request import Request


def output_of(request: Request) -> Path | None:
    """The file that `output` means, if it is given."""
    return as_path("output", request.config.output) if request.config.output else None


def check_output(request: Request) -> None:
    """Raise InputError for a file that the result cannot be written to."""
    path, given = output_of(request), f"output={request.config.output}"
    if path is None:
        return
    if "output" not in request.labels.overridden:  # a config, or a record, may be a stranger's
        raise InputError(f"{given}: only the command line can choose where files go")
    if request.labels.sweep:
        raise InputError(f"{given}: the jobs of a sweep would overwrite each other's; their folders hold the pictures")
    if path.suffix.lower() not in WRITTEN:
        raise InputError(f"{given}: must end in {', '.join(WRITTEN)}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{given}: cannot be written: {path.parent} must be a folder that you can write to")
    for role in {role for roles in request.mode.roles.values() for role in roles}:
        for name in names_of(getattr(request.config, role) or []):
            image = as_path(role, name)
            if path.exists() and image.exists() and path.samefile(image):
                raise InputError(f"{given}: would overwrite the {role}")
