"""`python -m nst.report FOLDER …`: the report of sweeps and runs, from the files in their folders."""

import argparse
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from nst.errors import REFUSED, STOPPED, InputError, one_line
from nst.files import refuse_no_folder, write_whole
from nst.report import write_report
from nst.report.page import render, render_front, render_pairs
from nst.report.publish import publish
from nst.report.sweep import read
from nst.report.watch import watch
from nst.text import open_streams, say


def main() -> None:
    """Run the command line. Ends with status REFUSED and a one-line message if a folder cannot be reported on."""
    open_streams()
    parser = argparse.ArgumentParser(prog="python -m nst.report", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", help="the folder of a sweep, of a run, or of single runs")
    parser.add_argument("--title", help="the title of the page, in place of the experiment's")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page; needed for several folders")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write README.md, sheet.jpg and runs.csv there")
    parser.add_argument("--by", metavar="KEY", help="compare the runs that differ in KEY alone, side by side")
    parser.add_argument("--best", action="store_true", help="plot what is kept of the content against the style")
    parser.add_argument(
        "--top", type=int, metavar="N", help="show the pictures of the N best runs, by optimized_metric"
    )
    parser.add_argument("--watch", action="store_true", help="show the page in a browser while the runs go on")
    parser.add_argument("--port", type=int, default=0, help="of --watch; 0: any that is free")
    arguments = parser.parse_args()
    try:
        refuse_no_folder()
        files = _report(arguments)
    except (InputError, OSError) as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(STOPPED + signal.SIGINT)
    for name, path in files.items():
        say(f"{name:8} {os.path.relpath(path)}")


def _report(asked: argparse.Namespace) -> dict[str, Path]:
    """Write what was asked for. Returns the files by name."""
    if asked.watch:
        watch(asked.folder, asked.title, asked.port)
    if asked.top is not None and asked.top < 1:
        raise InputError(f"--top {asked.top}: at least 1")
    sweeps = [replace(read(folder), top=asked.top) for folder in asked.folder]
    if len(sweeps) > 1 and (asked.publish or not (asked.output or asked.by or asked.best)):
        raise InputError("several folders are one page: give it with --output report.html; --publish takes one folder")
    if asked.by or asked.best:
        if (asked.by and asked.best) or asked.publish:
            raise InputError("--by, --best and --publish: three kinds of pages; ask for one at a time")
        page = render_pairs(sweeps, asked.by, asked.title) if asked.by else render_front(sweeps, asked.title)
        output = asked.output or sweeps[0].folder / ("compared.html" if asked.by else "best.html")
        write_whole(output, page.encode())
        return {"report": output}
    if asked.publish:
        return publish(sweeps[0], asked.publish)
    if not asked.output:
        return write_report(sweeps[0], asked.title)
    page = render(sweeps, asked.title, beside=asked.output.absolute().parent)
    write_whole(asked.output, page.encode())
    return {"report": asked.output}


if __name__ == "__main__":
    main()
