"""Command line of the painting script: `python -m tools.paint_samples [FOLDER]`."""

import argparse
from pathlib import Path

import numpy as np

from tools.paint_samples import PAINTINGS, SEED, SIDE
from tools.paint_samples.masks import MASKS

BUNDLED = Path(__file__).resolve().parents[2] / "nst" / "images" / "samples"


def main() -> None:
    """Draw the five style paintings into a folder, as JPEG files, and the masks of photographs, as PNG files."""
    parser = argparse.ArgumentParser(prog="python -m tools.paint_samples", description=main.__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=BUNDLED, help="default: nst/images/samples")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, paint in PAINTINGS.items():
        paint(np.random.default_rng(SEED), SIDE).save(folder / f"{name}.jpg", quality=90)
    for name, draw in MASKS.items():
        draw().save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
