"""`python -m nst.report FOLDER`: write the report of a sweep or of a run, from the files in its folder."""

import argparse
import os
import sys
from pathlib import Path

from nst.errors import REFUSED, InputError, one_line
from nst.report import write_report
from nst.report.publish import publish
from nst.report.sweep import read


def main() -> None:
    """Run the command line. Ends with status REFUSED and a one-line message if the folder cannot be reported on."""
    parser = argparse.ArgumentParser(prog="python -m nst.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of a sweep or of a run")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write README.md, sheet.jpg and runs.csv there")
    arguments = parser.parse_args()
    try:
        sweep = read(arguments.folder)
        files = publish(sweep, arguments.publish) if arguments.publish else write_report(sweep)
    except (InputError, OSError) as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)
    for name, path in files.items():
        print(f"{name:8} {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
