"""A case: one try of one kind, in a folder of its own, drawn from its kind and seed alone."""

import json
import os
import random
import shutil
import signal
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nst.errors import DIVERGED, REFUSED
from tools.soak.processes import Command
from tools.soak.stock import Stock

Counts = dict[str, int]
"""How often a case was killed, refused or accepted."""
RUN, REPORT = "nst.run", "nst.report.__main__"
NEW_RUN = "made/run"
"""Folder of the run that uses what was mutated."""
REFUSED_LATE = ("generator", "onnx")
"""Kinds that may be refused while the run works, in its record: whether an image can be painted is seen then."""
MEMORY = 24 << 30
"""Bytes of address space that a case may take: a mutated size must not take the machine's."""


class Failure(Exception):
    """Something that must hold does not. The message is one line."""


class Difference(Failure):
    """Two results that must be equal differ in bits: the soak ends."""


@dataclass(frozen=True)
class Case:
    """One try. Its commands work in `here`; links lead to `outside`, where nothing may change."""

    kind: str
    seed: int
    folder: Path
    stock: Stock
    limit: float
    """Seconds after which a command that is still at work is a failure."""
    notes: list[str] = field(default_factory=list)
    """What was done to it, for the message of a failure."""

    @cached_property
    def draw(self) -> random.Random:
        """The only source of chance."""
        return random.Random(f"{self.kind} {self.seed}")

    @cached_property
    def here(self) -> Path:
        """The folder that the commands work in."""
        return _made(self.folder / "here")

    @cached_property
    def outside(self) -> Path:
        """A folder beside it."""
        return _made(self.folder / "outside")

    def take(self, name: str, to: str | None = None) -> Path:
        """A copy of what the stock has by a name."""
        whole, path = self.stock.get(name), self.here / (to or name)
        return Path(shutil.copytree(whole, path) if whole.is_dir() else shutil.copyfile(whole, path))

    def command(self, *arguments: str, module: str = RUN) -> Command:
        """`nst ARGUMENTS`, at work."""
        return Command(*arguments, module=module, before=_with_little_memory, folder=self.here)

    def ended(self, command: Command) -> int:
        """Wait for a command. Returns its exit status. Raises Failure if it hangs, crashes or has a traceback."""
        status = command.wait(self.limit)
        if status is None:
            command.send(signal.SIGKILL)
            command.end()
            raise Failure(f"still at work after {self.limit:g} s")
        if status < 0:
            raise Failure(f"killed by signal {-status}: {_last(command.err)}")
        if "Traceback" in command.err:
            raise Failure(f"exit status {status} with a traceback: {_last(command.err)}")
        return status

    def use(
        self, *arguments: str, module: str = RUN, allowed: Collection[int] = (0, REFUSED, DIVERGED), sweep: bool = False
    ) -> Counts:
        """Run a command on what was mutated, and check what must hold however it ends.

        sweep: its other jobs go on, so that a refusal may change files, and Hydra may add a line.
        """
        before, beyond = state(self.here), state(self.outside)
        command = self.command(*arguments, module=module)
        status = self.ended(command)
        if status not in allowed:
            raise Failure(f"exit status {status}: {_last(command.err)}")
        if status == REFUSED and not sweep:
            said = command.err.splitlines()
            if len(said) != 1 or not said[0].startswith("nst: "):
                raise Failure(f"refused in {len(said)} lines: {' | '.join(said)[:300]}")
            if changed := differing(before, self._state_without_refused_run()):
                raise Failure(f"refused, and changed {changed}")
        if changed := differing(beyond, state(self.outside)):
            raise Failure(f"changed {changed}, outside of its folder")
        if beside := [each.name for each in self.folder.iterdir() if not each.name.startswith(("here", "outside"))]:
            raise Failure(f"wrote {beside[0]}, outside of its folder")
        if (self.here / "PWNED").exists():
            raise Failure("ran code of a file")
        return {"accepted" if status == 0 else "refused": 1}

    def _state_without_refused_run(self) -> dict[str, bytes | str]:
        """The folder's state, without a new run whose record tells that it was refused while it worked."""
        now, record = state(self.here), self.here / NEW_RUN / "record.json"
        told = self.kind in REFUSED_LATE and record.is_file() and json.loads(record.read_text())["status"] == "refused"
        if told and f"{NEW_RUN}/result.png" in now:
            raise Failure("refused, with a picture")
        made = {str(Path(NEW_RUN).parent), NEW_RUN}
        return {
            name: each for name, each in now.items() if not told or not (name in made or name.startswith(f"{NEW_RUN}/"))
        }


def state(folder: Path) -> dict[str, bytes | str]:
    """Every path in a folder → a file's bytes, a link's target, or the kind of anything else."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(mode):
            found[name] = f"link to {os.readlink(path)}"
        else:
            found[name] = path.read_bytes() if stat.S_ISREG(mode) else f"kind {stat.S_IFMT(mode):o}"
    return found


def differing(before: dict[str, bytes | str], after: dict[str, bytes | str]) -> str:
    """The first path that differs between two states; empty for none."""
    return next((name for name in sorted(before.keys() | after) if before.get(name) != after.get(name)), "")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]


def _with_little_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
