"""Writes docs/keys.md from the schema: python -m tools.keys"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from nst import modes, schema
from nst.cli.help import entry, groups, purposes
from nst.schema import Key

PAGE = Path(__file__).parents[1] / "docs" / "keys.md"
WORKSHOP = ("distill", "fidelity")
"""Modes that make and measure the embedded backbone."""
WORKSHOP_HEAD = "`nst/slim/` makes the embedded backbone and measures it, with these keys beside the common ones.\n\n"
HEAD = """\
# Every key

Written by `python -m tools.keys` from the schema; `nst --help all` prints the same. Ranges are in
[`nst/config.py`](../nst/config.py). A key that the mode does not use is refused, and the message names the modes that
use it. The defaults are those before a group, such as `mode` or `layers`, sets them: `nst --cfg job` shows what a
command composes. A key of an option, such as `optimizer.beta1` of `optimizer=adam`, can be given only beside it.
"""


def page() -> str:
    """The text of docs/keys.md."""
    keys, workshop = list[tuple[str, ...]](), list[tuple[str, ...]]()
    for key in schema.all_keys():
        first, _, inside = key.name.partition(".")
        if first in WORKSHOP and inside:
            workshop.append(entry(key))
        elif first not in modes.all_modes():
            keys.append((*entry(key), _users(key)))
    tables = {
        "Groups": _table(("group", "options"), groups()),
        "Modes": _table(("mode", "what it does"), purposes()),
        "Keys": _table(("key and default", "meaning", "modes"), keys),
        "Keys of the workshop": WORKSHOP_HEAD + _table(("key and default", "meaning"), workshop),
    }
    return HEAD + "".join(f"\n## {title}\n\n{table}" for title, table in tables.items())


def _users(key: Key) -> str:
    """Which modes use a key, the workshop's left out."""
    everyday = [mode for mode in modes.all_modes().values() if mode.name not in WORKSHOP]
    users = [mode.name for mode in everyday if mode.uses(key.name)]
    return "all" if len(users) == len(everyday) else ", ".join(users)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    written = [heads, ["---"] * len(heads), *([f"`{name}`", *map(_escaped, cells)] for name, *cells in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in written)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
