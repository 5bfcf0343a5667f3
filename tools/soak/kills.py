"""The kinds that kill: a run is killed at random moments and taken up, and ends like one that was never killed.

A seed gives the same signals after the same shares of the run's time; the machine decides where the run is then.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nst.errors import STOPPED
from tools.soak.case import REPORT, RUN, Case, Counts, Difference, Failure, differing, state
from tools.soak.compare import require_equal, results
from tools.soak.processes import Command
from tools.soak.stock import SMALL, TRAIN

KILLS = 4
"""A case is killed so many times at most."""
POLITE = (signal.SIGINT, signal.SIGTERM)
SAFE = 0.15
"""Seconds after which a process has its handlers: until then, a polite signal has no polite answer."""
FOLDER = "run"
"""Where the results are."""


@dataclass(frozen=True)
class Job:
    """Something that can be killed. needs: what it takes from the stock, and by which name."""

    arguments: Sequence[str]
    needs: Sequence[tuple[str, str]] = ()
    module: str = RUN
    again: Sequence[str] = ()
    """What resume= needs beside it: keys of the machine, which a record does not bring back."""

    def next(self, here: Path) -> Sequence[str]:
        """The arguments that begin it, or that take it up if there is a record of it."""
        records = [*(here / FOLDER).glob("record.json"), *(here / FOLDER).glob("*/record.json")]
        return [f"resume={FOLDER}", *self.again] if records and self.module == RUN else self.arguments

    def is_finished(self, here: Path) -> bool:
        """Whether it is a run, and its record says that nothing is left to do."""
        path = here / FOLDER / "record.json"
        return path.exists() and json.loads(path.read_text(encoding="utf-8"))["status"] == "finished"


def _run(*arguments: str, needs: Sequence[tuple[str, str]] = ()) -> Job:
    where = "hydra.sweep.dir" if "-m" in arguments else "hydra.run.dir"
    return Job([*arguments, f"{where}={FOLDER}"], needs, again=[each for each in arguments if "workers" in each])


def _report(*arguments: str) -> Job:
    return Job([FOLDER, *arguments], [("runs", FOLDER)], REPORT)


OFTEN = ("tracking.loss_every=1", "tracking.image_every=3", "trainer.checkpoint_seconds=1e-3")
PIXELS = (*SMALL, *OFTEN, "steps=24", "init=noise")
PHOTOS, GENERATOR = ("photos", "photos"), ("generator.safetensors", "generator.safetensors")
TEACHER = ("vgg.safetensors", "vgg.safetensors")
DISTILL = ("distill.photos=photos", "distill.weights=vgg.safetensors", "distill.layers=[relu1_1,relu1_2,relu2_1]")
FIDELITY = ("fidelity.content=relu2_1", "fidelity.weights=vgg.safetensors", "fidelity.pairs=[[chelsea,swirl]]")
STYLIZE = ("mode=stylize", "content=photos", "tracking=none", "judge=none")
JOBS = {
    "transfer-lbfgs": _run(*PIXELS),
    "transfer-adam": _run(*PIXELS, "optimizer=adam", "steps=60", "average=0.9"),
    "transfer-scales": _run(*PIXELS, "scales=2", "scale_factor=1.5"),
    "transfer-sliced": _run(*PIXELS, "style_loss=sliced", "optimizer=adam"),
    "transfer-judged": _run(*PIXELS, "judge=slim", "style=[swirl,waves]"),
    "texture": _run("mode=texture", *(each for each in PIXELS if not each.startswith("content_layers"))),
    "reconstruct": _run("mode=reconstruct", *(each for each in PIXELS if not each.startswith("style_layers"))),
    "train": _run(*TRAIN, *OFTEN, "steps=12"),
    "stylize": _run(*STYLIZE, f"checkpoint={GENERATOR[0]}", "size=256", needs=(PHOTOS, GENERATOR)),
    "export": _run("mode=export", f"checkpoint={GENERATOR[0]}", "tracking=none", needs=(GENERATOR,)),
    "distill": _run(
        *("mode=distill", *DISTILL, *OFTEN, "tracking=none", "steps=6", "distill.crop=64", "distill.batch=2"),
        needs=(PHOTOS, TEACHER),
    ),
    "fidelity": _run("mode=fidelity", *FIDELITY, "size=48", "steps=8", "tracking=none", needs=(TEACHER,)),
    "sweep": _run("-m", *PIXELS, "steps=8", "seed=0,1,2"),
    "report-page": _report(),
    "report-published": _report("--publish", f"{FOLDER}/published"),
    "report-pairs": _report("--by", "seed"),
}


def kill(job: Job, case: Case) -> Counts:
    """Begin a job, kill it some times, let it end, and compare."""
    whole, seconds = _never_killed(job, case)
    for name, to in job.needs:
        case.take(name, to)
    start, draw, killed = state(case.here), case.draw, 0
    plan = [(draw.random(), draw.choice([signal.SIGKILL] * 4 + [*POLITE])) for _ in range(draw.randint(1, KILLS))]
    for share, number in plan:
        begun = job.module == RUN and (case.here / FOLDER / "record.json").exists()
        number, wait = (number, max(SAFE, share * seconds)) if begun else (signal.SIGKILL, share * seconds)
        case.notes.append(f"{number.name} after {wait:.2f} s")
        killed += _ends_by(case.command(*job.next(case.here), module=job.module), number, wait, case)
        _require_whole(job, case, start, whole)
        if job.is_finished(case.here):
            break
    if not job.is_finished(case.here):
        command = case.command(*job.next(case.here), module=job.module)
        if status := case.ended(command):
            raise Failure(f"taken up, it ended with {status}: {' '.join(command.err.split())[-300:]}")
    if left := [name for name in state(case.here) if name.endswith(".part")]:
        raise Failure(f"{left[0]} is left")
    if job.module == RUN:
        require_equal(case.here / FOLDER, whole / FOLDER)
    elif name := differing(state(case.here), state(whole)):
        raise Difference(f"{name} differs from that of a report never killed")
    return {"killed": killed}


def _never_killed(job: Job, case: Case) -> tuple[Path, float]:
    """The folder in which the job was done without being killed, the first time here, and the seconds it took."""
    once = Case(case.kind, 0, case.folder.parent / "whole" / case.kind, case.stock, case.limit)
    noted = once.folder / "seconds"
    if not noted.exists():
        shutil.rmtree(once.folder, ignore_errors=True)
        for name, to in job.needs:
            once.take(name, to)
        once.ended(once.command("--version"))  # the first process waits for the imports of all
        began = time.perf_counter()
        command = once.command(*job.arguments, module=job.module)
        if once.ended(command):
            raise Failure(f"it fails without being killed: {' '.join(command.err.split())[-300:]}")
        noted.write_text(str(time.perf_counter() - began))
    return once.here, float(noted.read_text())


def _ends_by(command: Command, number: int, seconds: float, case: Case) -> bool:
    """Send a signal after some seconds, and wait. Returns whether the process was still at work then."""
    at_work = command.wait(seconds) is None
    if at_work:
        command.send(number)
    status = command.wait(case.limit)
    if status is None:
        case.ended(command)
    if status not in (0, -number, STOPPED + number) or "Traceback" in command.err:
        raise Failure(f"exit status {status} after {number}: {' '.join(command.err.split())[-300:]}")
    return at_work


def _require_whole(job: Job, case: Case, start: dict[str, bytes | str], whole: Path) -> None:
    """Raise Failure for a file that is not whole; of a report, for one that is neither the former nor the final one."""
    if job.module == RUN:
        results(case.here / FOLDER)
        return
    final = state(whole)
    for name, data in state(case.here).items():
        if not name.endswith(".part") and data not in (start.get(name), final.get(name)):
            raise Failure(f"{name} is not whole")


KINDS: dict[str, Callable[[Case], Counts]] = {kind: partial(kill, job) for kind, job in JOBS.items()}
"""Kind → what it does with a case."""
