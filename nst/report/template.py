"""Filling in the templates of the report."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def fill(name: str, filters: dict[str, Callable[..., Any]] | None = None, **facts: Any) -> str:
    """A file of templates/, filled in with facts. In HTML, not in Markdown, they are escaped."""
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
