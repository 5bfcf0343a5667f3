"""What is measured, a stage each."""

import json
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from nst.bench.children import chunks, python, run, told
from nst.bench.descents import OPTIMIZERS
from nst.errors import REFUSED

Facts = dict[str, Any]
Measure = Callable[[Facts, Callable[[], Facts]], Facts]
"""Takes the facts that name a measurement and the function that takes it; returns both facts, kept or fresh."""
CHUNKS = 4
"""Chunks of steps of a clocked run; the first is not counted."""
DESCENT = 384
"""Pixels a side of the image that optimisers are compared on."""
JOBS = 6
"""Of the sweep whose jobs are clocked."""


@dataclass(frozen=True)
class Bench:
    """What the stages share. content, style: square pictures of the largest size. work: a folder for the runs."""

    content: Path
    style: Path
    vgg19: Path
    work: Path
    device: str
    sizes: list[int]
    backbones: list[str]
    optimizers: list[str]
    precisions: list[str]
    repeats: int
    seconds: float
    """How long each loop is clocked."""
    measure: Measure

    @property
    def trainer(self) -> str:
        return f"trainer={'gpu' if self.device == 'cuda' else 'cpu'}"

    def pictures(self, size: int) -> list[str]:
        """The arguments of a loop over these pictures."""
        given = ["--content", str(self.content), "--style", str(self.style), "--size", str(size)]
        return [*given, "--device", self.device]

    def weights(self, backbone: str) -> list[str]:
        return [f"backbone.weights={self.vgg19}"] if backbone == "vgg19" else []

    def transfer(self, size: int, backbone: str, *overrides: str) -> list[str]:
        """The overrides of a transfer of these pictures."""
        pictures = [f"content={self.content}", f"style={self.style}", f"size={size}"]
        return ["mode=transfer", *pictures, f"backbone={backbone}", *self.weights(backbone), self.trainer, *overrides]

    def folder(self, name: str) -> Path:
        """Where a run goes; what an earlier measurement left there, whole or not, is gone."""
        shutil.rmtree(self.work / name, ignore_errors=True)
        return self.work / name


def steps(bench: Bench) -> None:
    """Seconds a step, with one evaluation each: the floor, the textbook's loop, and nst through its own door."""
    for repeat in range(bench.repeats):
        for precision in bench.precisions:
            matmul = ["matmul", *bench.pictures(min(bench.sizes)), "--seconds", str(bench.seconds)]
            take = partial(_loop, [*matmul, "--precision", precision])
            bench.measure({"matmul": precision, "repeat": repeat}, take)
        for size in bench.sizes:
            subject = {"size": size, "repeat": repeat}
            common = [*bench.pictures(size), "--seconds", str(bench.seconds)]
            for optimizer in bench.optimizers:
                named = {"loop": "textbook", "backbone": "vgg19", "optimizer": optimizer, "precision": "float32"}
                arguments = ["textbook", *common, "--weights", str(bench.vgg19), "--optimizer", optimizer]
                bench.measure(named | subject, partial(_loop, arguments))
            for backbone, precision in product(bench.backbones, bench.precisions):
                of = {"backbone": backbone, "precision": precision} | subject
                weights = ["--weights", str(bench.vgg19)] if backbone == "vgg19" else []
                arguments = ["floor", *common, "--backbone", backbone, "--precision", precision, *weights]
                floor = bench.measure({"loop": "floor", "optimizer": ""} | of, partial(_loop, arguments))
                every = max(1, min(10, round(bench.seconds / CHUNKS / floor["seconds"])))
                for optimizer in bench.optimizers:
                    take = partial(_clocked, bench, size, backbone, optimizer, precision, every)
                    bench.measure({"loop": "nst", "optimizer": optimizer} | of, take)


def _loop(arguments: list[str]) -> Facts:
    measured = told("loops", *arguments)
    return measured | {"seconds": statistics.median(measured["seconds"])}


def _clocked(bench: Bench, size: int, backbone: str, optimizer: str, precision: str, every: int) -> Facts:
    overrides = [
        "levels=1",
        f"optimizer={optimizer}",
        f"trainer.precision={precision}",
        f"steps={CHUNKS * every}",
        f"tracking.loss_every={every}",
    ]
    folder = bench.folder(f"{backbone}_{optimizer}_{size}")
    record = run(folder, *bench.transfer(size, backbone, *overrides))
    return {"seconds": statistics.median(chunks(folder)), "peak_memory_mb": record["timings"]["peak_memory_mb"]}


def descents(bench: Bench) -> None:
    """The loss that each optimiser reaches in so many seconds, with slim; nst's own, at two sizes too."""
    size = min(DESCENT, max(bench.sizes))
    for repeat in range(bench.repeats):
        for optimizer in OPTIMIZERS:
            arguments = [optimizer, *bench.pictures(size), "--seconds", str(4 * bench.seconds)]
            subject = {"descent": optimizer, "size": size, "repeat": repeat}
            bench.measure(subject, partial(told, "descents", *arguments))
        for levels in (1, 2):
            subject = {"descent": f"nst, {levels} × {100 // levels} steps", "size": size, "repeat": repeat}
            bench.measure(subject, partial(_painted, bench, size, levels))


def _painted(bench: Bench, size: int, levels: int) -> Facts:
    folder = bench.folder(f"painted_{levels}")
    record = run(folder, *bench.transfer(size, "slim", f"levels={levels}", "steps=100"))
    return {"curve": [(record["timings"]["steps_seconds"], record["losses"]["loss/total"])]}


def answers(bench: Bench) -> None:
    """Seconds until the shell is told what takes no computing."""
    completing = {"COMP_LINE": "nst mode=tr"}
    asked: Mapping[str, tuple[list[str], int, dict[str, str]]] = {
        "--help": (["--help"], 0, {}),
        "tab completion": (["-sc", "query=bash"], 0, completing),
        "a refused override": (["style_weight=abc"], REFUSED, {}),
    }
    for repeat in range(bench.repeats):
        for what, (arguments, status, environment) in asked.items():
            take = partial(python, "-m", "nst.run", *arguments, status=status, environment=environment)
            bench.measure({"answer": what, "repeat": repeat}, lambda take=take: {"seconds": take()[1]})  # type: ignore[misc]


def start(bench: Bench) -> None:
    """Seconds from the shell to the first step, and what they go to."""
    for repeat in range(bench.repeats):
        for backbone in bench.backbones:
            bench.measure({"start": backbone, "repeat": repeat}, partial(_start, bench, backbone))


def _start(bench: Bench, backbone: str) -> Facts:
    record = run(bench.folder(f"start_{backbone}"), *bench.transfer(384, backbone, "steps=1"))
    timings = record["timings"]
    composed = _began(record) - record["asked"]
    rest = timings["setup_seconds"] - sum(timings["setup"].values())
    phases = {"interpreter and composition": composed, **timings["setup"], "rest": rest}
    return {"phases": phases | {"first step": timings["steps_seconds"]}}


def _began(record: Facts) -> float:
    return datetime.fromisoformat(record["started"]).timestamp()


def sweep(bench: Bench) -> None:
    """Seconds that a job of a sweep takes beside its steps, from its beginning to the next one's."""
    for repeat in range(bench.repeats):
        bench.measure({"jobs": JOBS, "repeat": repeat}, partial(_jobs, bench))


def _jobs(bench: Bench) -> Facts:
    folder = bench.folder("sweep")
    seeds = ",".join(map(str, range(JOBS)))
    python("-m", "nst.run", "-m", f"seed={seeds}", "steps=1", "size=64", bench.trainer, f"hydra.sweep.dir={folder}")
    records = [json.loads((folder / str(job) / "record.json").read_text(encoding="utf-8")) for job in range(JOBS)]
    taken = [
        _began(after) - _began(job) - job["timings"]["steps_seconds"]
        for job, after in pairwise(records[1:])  # the first job brings the imports
    ]
    return {"seconds": statistics.median(taken)}


def generator(bench: Bench) -> None:
    """Images a second that a generator learns from, and milliseconds in which it stylises one."""
    for repeat in range(bench.repeats):
        trained = bench.work / f"train_{repeat}"
        bench.measure({"generator": "training", "repeat": repeat}, partial(_train, bench, trained.name))
        if not trained.exists():  # the measurement was kept, but not what was trained
            _train(bench, trained.name)
        for size in bench.sizes:
            subject = {"generator": "stylising", "size": size, "repeat": repeat}
            bench.measure(subject, partial(_stylise, bench, trained, size))


def _train(bench: Bench, name: str) -> Facts:
    record = run(bench.folder(name), "mode=train", "style=swirl", "steps=40", bench.trainer)
    return {"images_per_second": record["timings"]["images_per_second"]}


def _stylise(bench: Bench, trained: Path, size: int) -> Facts:
    given = [f"checkpoint={trained}", f"content={bench.content}", f"size={size}", bench.trainer]
    record = run(bench.folder(f"stylise_{size}"), "mode=stylize", *given)
    return {"milliseconds": record["timings"]["median_milliseconds"]}


STAGES: dict[str, Callable[[Bench], None]] = {
    each.__name__: each for each in (steps, descents, answers, start, sweep, generator)
}
