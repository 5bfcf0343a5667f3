"""Modes: what a run does. Each is a folder that declares its keys, image roles and loss terms, and builds its work.

Adding one: nst/modes/NAME/__init__.py with a `MODES` list, and conf/mode/NAME.yaml. Declarations are light: nothing
here imports torch, so that `--help` and refusals answer at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from nst.errors import InputError, did_you_mean

EVERY_MODE = frozenset(
    {
        *("mode", "experiment", "seed", "resume", "rerun", "trainer", "tracking", "optimized_metric"),
        *("question", "title", "finding", "labels", "captions", "repeats", "zip", "sweep"),
    }
)
"""Keys and config groups that each mode uses."""
OUTSIDE = ("nst.slim",)
"""Packages elsewhere that declare modes too."""


@dataclass(frozen=True)
class Mode:
    """What a mode needs and uses.

    name: as in `mode=NAME`. meaning: one line. build: "module:function", imported when a run is built; it takes a
    `Setting` and returns an `Experiment` (nst/modes/parts.py).
    """

    name: str
    meaning: str
    build: str
    keys: frozenset[str]
    """Keys, sections and config groups that it uses, beside EVERY_MODE."""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Config key → the image roles that its value stands for, such as {"regions": ("style", "mask")}."""
    needed: tuple[str, ...] = ()
    """Roles that must be given."""
    terms: tuple[str, ...] = ()
    """Loss terms that compare features, each named after the role of its target."""
    section: type | None = None
    """Dataclass of the keys that only this mode has, in a section named after it."""
    optimizes: bool = True
    """Whether it takes optimizer steps: only then there is a precision to choose."""
    several_processes: bool = False
    """Whether several processes can share the work."""

    def uses(self, key: str) -> bool:
        """Whether a dotted key, or the section or group that it is in, makes a difference to this mode."""
        return key.partition(".")[0] in EVERY_MODE | self.keys | {self.name if self.section else ""}


@cache
def all_modes() -> dict[str, Mode]:
    """Name → mode, in the order of their packages' names."""
    packages = [f"{__name__}.{each.name}" for each in iter_modules(__path__) if each.ispkg]
    found = (mode for package in (*packages, *OUTSIDE) for mode in import_module(package).MODES)
    return {mode.name: mode for mode in found}


def get(name: str) -> Mode:
    """Raises InputError for an unknown mode."""
    modes = all_modes()
    if name not in modes:
        raise InputError(f"mode={name}: no such mode{did_you_mean(name, modes)}; the modes are {', '.join(modes)}")
    return modes[name]


@cache
def image_keys() -> frozenset[str]:
    """The keys whose value is an image, or a list of images."""
    return frozenset(key for mode in all_modes().values() for key in mode.roles) - {"regions"}


def refuse_unused(mode: Mode, given: list[str], others: list[Mode] | None = None) -> None:
    """Raise InputError for a key, given by hand, that neither the mode nor one of `others` uses.

    others: the further modes of a sweep over modes.
    """
    swept = {each.name for each in (mode, *(others or []))}
    for key in given:
        users = users_of(key)
        if users and swept.isdisjoint(users):  # without users it is no key of ours: a config group of the user's own
            raise InputError(f"{key}: mode={mode.name} does not use it; {used_by(users)}")


def users_of(key: str) -> list[str]:
    """The names of the modes that use a key."""
    return [mode.name for mode in all_modes().values() if mode.uses(key)]


def used_by(names: list[str]) -> str:
    """`used by mode=train, mode=stylize`."""
    return f"used by {', '.join(f'mode={name}' for name in names)}" if names else "no mode does"
