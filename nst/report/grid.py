"""The grid of a sweep: runs in rows and columns, by the keys that were swept."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from nst.report.records import Original, Run

if TYPE_CHECKING:
    from nst.report.sweep import Sweep

GRID_KEYS = 2
"""The last swept keys, which make the rows and columns of the grid; the keys before them divide it into sections."""


@dataclass(frozen=True)
class Section:
    """Runs with the same values of all keys but the last two: cells[row][column] is a list of runs.

    originals: the images that the values of the other keys stand for.
    """

    title: str
    originals: list[Original]
    rows: list[str]
    columns: list[str]
    cells: list[list[list[Run]]]


def sections_of(sweep: "Sweep") -> list[Section]:
    """The sections of the grid, one for each combination of the outer keys' values; none if half of it were empty."""
    *outer, row_key, column_key = sweep.keys
    rows, columns = sweep.values(row_key), sweep.values(column_key)
    titles = list(dict.fromkeys(sweep.label(run, outer) for run in sweep.runs)) if outer else [""]
    if 2 * len(sweep.shown) < len(titles) * len(rows) * len(columns):
        return []
    places: dict[tuple[str, str, str], list[Run]] = {place: [] for place in product(titles, rows, columns)}
    for run in sweep.shown:
        title = sweep.label(run, outer) if outer else ""
        places[title, sweep.value(run, row_key), sweep.value(run, column_key)].append(run)
    sections = []
    for title in titles:
        cells = [[places[title, row, column] for column in columns] for row in rows]
        first = next(cell[0] for line in cells for cell in line if cell)
        originals = [each for key in outer for each in sweep.originals_of(key, sweep.value(first, key))]
        sections.append(Section(title, originals, rows, columns, cells))
    return sections
