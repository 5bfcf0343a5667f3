"""Filling in the templates of the report, which are in templates/."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def fill(name: str, filters: dict[str, Callable[..., Any]] | None = None, **facts: Any) -> str:
    """The template `name`, filled in with facts. Facts are escaped in HTML, but not in Markdown."""
    environment = Environment(
        loader=PackageLoader("nst.report"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(name).render(facts)
