"""Writes what was measured into a folder like experiments/speed: README.md, steps.csv and the plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import StrictUndefined, Template

from nst.files import encode_csv, write_whole
from nst.report.publish import finding, gather
from nst.report.table import markdown
from tools.bench import plots, tables
from tools.bench.measurements import Measurement

TEMPLATE = Path(__file__).parent / "templates" / "speed.md"


class About(NamedTuple):
    """What the page says about a measurement."""

    machine: str
    """A sentence."""
    command: str
    """The shell command that measured."""


def write(measured: Sequence[Measurement], about: About, folder: Path) -> dict[str, Path]:
    """Write README.md, steps.csv and the plots into a folder, and README.md into its parent. Returns name → path.

    Text under `## Finding` is kept. Raises InputError if one of the two README.md belongs to something else.
    """
    contents = {
        "A step": tables.steps(measured),
        "From the command to the end of the first step": tables.start(measured),
        "Everything else": tables.others(measured),
        "Loss against seconds": tables.descents(measured),
    }
    descents = any("descent" in each for each in measured)
    template = Template(
        TEMPLATE.read_text(encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = template.render(
        descents=descents,
        **about._asdict(),
        tables={title: markdown(*table) for title, table in contents.items() if table.rows},
        finding=finding(folder),
    )
    timed = [each for each in measured if "loop" in each]
    files = {
        folder / "README.md": text.encode(),
        folder / "steps.csv": encode_csv([*tables.SUBJECT, "repeat", "seconds", "peak_memory_mb"], timed),
        folder / "steps.svg": plots.steps(measured),
        folder.parent / "README.md": gather(folder.parent, {folder.name: text}).encode(),
    }
    if descents:
        files[folder / "descents.svg"] = plots.descents(measured)
    for path, content in files.items():
        write_whole(path, content)
    return {path.name: path for path in files}
