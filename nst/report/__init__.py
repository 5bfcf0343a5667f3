"""The report of a folder of runs: an HTML page, a contact sheet and a CSV table."""

from pathlib import Path

from nst.files import write_whole
from nst.report.page import render
from nst.report.sheet import draw, encode
from nst.report.sweep import Sweep
from nst.report.table import to_csv, to_latex, to_markdown


def write_report(sweep: Sweep, title: str | None = None) -> dict[str, Path]:
    """Write report.html, sheet.jpg and runs.csv, .md and .tex into the folder of the runs.

    Returns the paths of the first three by name: report, sheet and table. Raises InputError if one cannot be written.
    """
    files = {"report": sweep.folder / "report.html", "sheet": sweep.folder / "sheet.jpg"}
    files["table"] = sweep.folder / "runs.csv"
    write_whole(files["report"], render([sweep], title).encode())
    write_whole(files["sheet"], encode(draw(sweep)))
    write_whole(files["table"], to_csv(sweep))
    write_whole(files["table"].with_suffix(".md"), to_markdown(sweep).encode())
    write_whole(files["table"].with_suffix(".tex"), to_latex(sweep).encode())
    return files
