"""`python -m tools.soak`: kill runs at random moments and mutate what they read, for as long as it is told.

Half of the time goes to each. Ends with status 1 if anything that must hold did not, and at the first difference in
bits.
"""

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.soak import kills, mutations
from tools.soak.case import Case, Counts, Difference, Failure
from tools.soak.stock import Stock

FAMILIES = (kills.KINDS, mutations.MUTATIONS)
KINDS = kills.KINDS | mutations.MUTATIONS
COLUMNS = ("tried", "killed", "refused", "accepted", "failed")
EVERY = 60
"""Seconds between two tables."""


class Soak:
    """Cases, one after the other, and how they ended. work: its folder; failed cases are kept there."""

    def __init__(self, work: Path, limit: float) -> None:
        self.work, self.limit = work, limit
        self.stock = Stock(work / "stock")
        self.counts: dict[str, Counter[str]] = {}
        shutil.rmtree(work / "whole", ignore_errors=True)  # of an nst that may have been another one

    def try_one(self, kind: str, seed: int) -> bool:
        """Try a case and count how it ended. Returns False if the soak must end, for a difference in bits."""
        folder = self.work / f"{kind}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        case = Case(kind, seed, folder, self.stock, self.limit)
        ended: Counts = {}
        goes_on = True
        try:
            ended = KINDS[kind](case)
        except Exception as failure:  # also of the soak itself, which is to go on for an hour
            ended, goes_on = {"failed": 1}, not isinstance(failure, Difference)
            said = failure if isinstance(failure, Failure) else f"the soak's own {failure!r}"
            print(f"FAILED  --case {kind} {seed}: {', '.join(case.notes)}: {said}", flush=True)
            self._keep(folder)
        shutil.rmtree(folder, ignore_errors=True)
        self.counts.setdefault(kind, Counter()).update({"tried": 1} | ended)
        return goes_on

    def _keep(self, folder: Path) -> None:
        kept = self.work / "failed" / folder.name
        shutil.rmtree(kept, ignore_errors=True)
        if folder.exists():
            kept.parent.mkdir(exist_ok=True)
            folder.rename(kept)

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return sum(counts["failed"] for counts in self.counts.values())

    def table(self) -> str:
        """How the cases of each kind ended."""
        rows = {kind: [counts[each] for each in COLUMNS] for kind, counts in self.counts.items()}
        lines = {"kind": COLUMNS, **rows, "all": [sum(column) for column in zip(*rows.values(), strict=True)]}
        return "\n".join(f"{kind:20}" + "".join(f"{each:>9}" for each in cells) for kind, cells in lines.items())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of each kind's first case; the next one has the next seed")
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="KIND", help=f"some of {', '.join(KINDS)}")
    parser.add_argument("--case", nargs=2, metavar=("KIND", "SEED"), help="repeat one case, such as one that failed")
    parser.add_argument("--limit", type=float, default=60, help="seconds after which a command is said to hang")
    parser.add_argument("--work", type=Path, default=Path("outputs/soak"), help="folder that keeps what failed")
    given = parser.parse_args()
    if given.case and (given.case[0] not in KINDS or not given.case[1].isdecimal()):
        parser.error(f"--case {' '.join(given.case)}: expected a kind and a whole number")
    os.environ |= {"WANDB_MODE": "offline", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    soak = Soak(given.work.resolve(), given.limit)
    soak.work.mkdir(parents=True, exist_ok=True)
    if given.case:
        soak.try_one(given.case[0], int(given.case[1]))
    else:
        _go_on(soak, given.only or list(KINDS), given.seed, 60 * given.minutes + given.seconds)
    print(soak.table())
    sys.exit(1 if soak.failed else 0)


def _go_on(soak: Soak, kinds: list[str], seed: int, seconds: float) -> None:
    """Try cases until the time is over, or bits differ: of the family that has had less time, each kind in turn."""
    began = printed = time.monotonic()
    turns = [_turns([kind for kind in family if kind in kinds], seed) for family in FAMILIES]
    spent = {place: 0.0 for place, family in enumerate(FAMILIES) if set(family) & set(kinds)}
    goes_on = True
    while goes_on and (now := time.monotonic()) - began < seconds:
        if now - printed > EVERY:
            printed = now
            print(f"{soak.table()}\nafter {(now - began) / 60:.0f} minutes\n", flush=True)
        place = min(spent, key=lambda each: spent[each])
        goes_on = soak.try_one(*next(turns[place]))
        spent[place] += time.monotonic() - now


def _turns(kinds: list[str], seed: int) -> Iterator[tuple[str, int]]:
    """The first seed of each kind, the second of each, …"""
    while kinds:
        yield from ((kind, seed) for kind in kinds)
        seed += 1


if __name__ == "__main__":
    main()
