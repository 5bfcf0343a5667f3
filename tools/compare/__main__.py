"""`python -m tools.compare`: paint with the recipe of another project (peer), and judge pictures (judge).

Example: python -m tools.compare judge --network vgg16=FILE multirun/style_losses --by style_loss
"""

import argparse
import os
import sys
from pathlib import Path

from nst.errors import DIVERGED, REFUSED, Diverged, InputError, one_line
from nst.files import encode_csv, write_whole
from nst.images import samples
from nst.report.table import markdown
from nst.text import say
from tools.compare import tables
from tools.compare.networks import JUDGES, judging_network
from tools.compare.peer import Painting, paint
from tools.compare.pictures import gather


def main() -> None:
    """The command line."""
    given = _parser().parse_args()
    try:
        given.act(given)
    except (InputError, OSError) as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)
    except Diverged as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(DIVERGED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    peer = commands.add_parser("peer", help="paint with the recipe of crowsonkb/style-transfer-pytorch, in VGG-16")
    peer.add_argument("--content", required=True, help="file or sample")
    peer.add_argument("--style", required=True, help="file or sample")
    peer.add_argument("--weights", type=Path, metavar="FILE", help="of VGG-16; default: torchvision's")
    peer.add_argument("--size", type=int, default=512, help="longest side in pixels, at least 32")
    peer.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="continues if it was interrupted")
    peer.set_defaults(act=_peer)
    judge = commands.add_parser("judge", help="judge pictures by networks that they were not optimized in")
    judge.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="file, or folder of a run or sweep")
    judge.add_argument("--content", help="file or sample, for pictures without a record")
    judge.add_argument("--style", help="file or sample, for pictures without a record")
    judge.add_argument(
        "--network", action="append", required=True, metavar="NAME=FILE", help=f"of {', '.join(JUDGES)}; repeatable"
    )
    judge.add_argument("--by", nargs="+", default=[], metavar="KEY", help="write medians of runs with equal values")
    judge.add_argument("--out", type=Path, default=Path("outputs/compare"), metavar="FOLDER", help="of figures.csv")
    judge.set_defaults(act=_judge)
    return parser


def _peer(given: argparse.Namespace) -> None:
    if given.size < 32:
        raise InputError(f"--size {given.size}: at least 32")
    content, style = (samples.find(f"--{role}", getattr(given, role)) for role in ("content", "style"))
    say(f"picture  {os.path.relpath(paint(Painting(content, style, given.size, given.out, given.weights)))}")


def _judge(given: argparse.Namespace) -> None:
    content, style = (
        samples.find(f"--{role}", getattr(given, role)) if getattr(given, role) else None
        for role in ("content", "style")
    )
    subjects, sweep = gather(given.pictures, content, style)
    figures = tables.judge(subjects, [judging_network(network) for network in given.network])
    rows = tables.rows(subjects, sweep, figures, given.by)
    files = {"figures.csv": encode_csv(tables.columns(rows), rows)}
    text = markdown(*tables.table(rows))
    if given.by:
        text = markdown(*tables.table(tables.medians(rows, given.by)))
        files["medians.md"] = text.encode()
    say(text)
    for name, data in files.items():
        write_whole(given.out / name, data)
        say(f"{name:12} {os.path.relpath(given.out / name)}")


if __name__ == "__main__":
    main()
