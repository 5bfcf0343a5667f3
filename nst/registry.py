"""Named classes of one kind, each in a file of its own, made from the options of a config group."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nst.errors import InputError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Name → class. Importing every module of a package fills it, so a new file needs no other change.

    group: the config group that chooses among them; error messages begin with it. key: the key that holds the name;
    default: `group.name`.
    """

    def __init__(self, group: str, key: str = "") -> None:
        self.group, self.key = group, key or f"{group}.name"
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Any:
        """Class decorator: `@STYLE_LOSSES.register("gram")`."""

        def add(cls: type[T]) -> type[T]:
            self._classes[name] = cls
            return cls

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __getitem__(self, name: str) -> type[T]:
        """Raises InputError for an unknown name."""
        if name not in self._classes:
            known = sorted(self._classes)
            raise InputError(
                f"{self.key}={name}: no such choice{did_you_mean(name, known)}; the choices are {', '.join(known)}"
            )
        return self._classes[name]

    def make(self, options: Mapping[str, Any]) -> T:
        """The object that a group's config describes: `name` chooses the class, the other keys are its fields.

        Raises InputError for an unknown name, for an option that the class does not have, and for a wrong type.
        """
        given = dict(options)
        if "name" not in given:
            raise InputError(f"{self.group}: choose one with {self.group}=NAME; there are {', '.join(sorted(self))}")
        cls = self[str(given.pop("name"))]
        assert is_dataclass(cls)
        hints, known = get_type_hints(cls), {item.name: item for item in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise InputError(f"no key '{self.group}.{name}'{did_you_mean(name, known)}")
            _check_type(f"{self.group}.{name}", value, hints[name])
        for name, item in known.items():
            if name not in given and item.default is MISSING and item.default_factory is MISSING:
                raise InputError(f"{self.group}.{name}: {self.group}={options['name']} needs a value")
        try:
            return cls(**given)
        except InputError as error:
            raise InputError(f"{self.group}.{error}") from None


def import_all(package: str, path: list[str]) -> None:
    """Import every module of a package, which register their classes."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")


def _check_type(key: str, value: Any, hint: Any) -> None:
    """Raise InputError if `value` is not of the annotated type."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise InputError(f"{key}={value}: expected one of [{', '.join(map(str, get_args(hint)))}]")
        return
    allowed = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in allowed:
        return
    if bool in allowed and isinstance(value, bool):
        return
    if float in allowed and isinstance(value, int | float) and not isinstance(value, bool):
        return
    plain = tuple(get_origin(each) or each for each in allowed)
    if isinstance(value, bool) or not isinstance(value, plain):
        names = " or ".join(getattr(each, "__name__", str(each)) for each in plain)
        raise InputError(f"{key}={value}: expected {names}")
