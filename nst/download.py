"""`python -m nst.download vgg19`: fetch a backbone's official weights now, for a machine that has no network later."""

import argparse
import sys

from nst.backbones.networks import NETWORKS
from nst.backbones.weights import find
from nst.errors import REFUSED, InputError, one_line
from nst.text import open_streams


def main() -> None:
    """Run the command line. Ends with status REFUSED and one line if the weights cannot be had."""
    open_streams()
    parser = argparse.ArgumentParser(prog="python -m nst.download", description=__doc__)
    parser.add_argument("backbone", nargs="+", help=f"one of {', '.join(NETWORKS)}")
    try:
        for backbone in parser.parse_args().backbone:
            print(f"{backbone:11} {find(backbone)}")
    except InputError as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
