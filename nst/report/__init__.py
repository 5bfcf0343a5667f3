"""A folder of runs as a page, a contact sheet and a table."""

from pathlib import Path

from nst.files import write_whole
from nst.report.page import render
from nst.report.runs import Sweep
from nst.report.sheet import draw, encode


def write_report(sweep: Sweep) -> dict[str, Path]:
    """Write report.html, sheet.jpg and runs.csv into the folder of the runs; returns their paths by name."""
    files = {"report": sweep.folder / "report.html", "sheet": sweep.folder / "sheet.jpg"}
    files["table"] = sweep.folder / "runs.csv"
    write_whole(files["report"], render(sweep).encode())
    write_whole(files["sheet"], encode(draw(sweep)))
    write_whole(files["table"], sweep.csv().encode())
    return files
