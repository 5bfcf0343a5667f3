"""The stages of the benchmark: what is measured, one function each."""

import json
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise, product
from pathlib import Path

from nst.errors import REFUSED
from tools.bench.descents import OPTIMIZERS
from tools.bench.measurements import Measurement, Measurements
from tools.bench.processes import python, run_module, run_nst, seconds_per_step

CHUNKS = 4
"""Parts of a timed run, with as many steps each. The first one is a warm-up."""
DESCENT = 384
"""Pixels a side of the image on which optimizers are compared."""
START = 384
"""Pixels a side of the run whose start is timed: the default."""
JOBS = 6
"""Jobs of the timed sweep."""


@dataclass(frozen=True)
class Bench:
    """What the stages share."""

    content: Path
    """A square picture of the largest size."""
    style: Path
    """Another one."""
    vgg19: Path
    """Weights of VGG-19: a safetensors file."""
    work: Path
    """Folder for the runs."""
    device: str
    """cpu or cuda."""
    sizes: list[int]
    """Pixels a side."""
    backbones: list[str]
    optimizers: list[str]
    precisions: list[str]
    repeats: int
    """How often everything is measured."""
    seconds: float
    """How long each loop is timed."""
    measurements: Measurements

    @property
    def trainer(self) -> str:
        return f"trainer={'gpu' if self.device == 'cuda' else 'cpu'}"

    def loop(self, size: int) -> list[str]:
        """The arguments of a loop on the two pictures."""
        given = ["--content", str(self.content), "--style", str(self.style), "--size", str(size)]
        return [*given, "--device", self.device]

    def transfer(self, size: int, backbone: str, *overrides: str) -> list[str]:
        """The overrides of a transfer with the two pictures."""
        pictures = [f"content={self.content}", f"style={self.style}", f"size={size}"]
        weights = [f"backbone.weights={self.vgg19}"] if backbone == "vgg19" else []
        return ["mode=transfer", *pictures, f"backbone={backbone}", *weights, self.trainer, *overrides]

    def folder(self, name: str) -> Path:
        """An empty place for a run: deletes what an earlier measurement left there."""
        shutil.rmtree(self.work / name, ignore_errors=True)
        return self.work / name


def steps(bench: Bench) -> None:
    """Seconds per step, with one evaluation each: the lower bound, the baseline, and nst from the command line."""
    measure, timed = bench.measurements.measure, ["--seconds", str(bench.seconds)]
    for repeat in range(bench.repeats):
        for precision in bench.precisions:
            arguments = ["matmul", *bench.loop(min(bench.sizes)), *timed, "--precision", precision]
            measure({"matmul": precision, "repeat": repeat}, partial(_loop, arguments))
        for size in bench.sizes:
            common, at = [*bench.loop(size), *timed], {"size": size, "repeat": repeat}
            for optimizer in bench.optimizers:
                of = {"loop": "baseline", "backbone": "vgg19", "optimizer": optimizer, "precision": "float32"}
                arguments = ["baseline", *common, "--weights", str(bench.vgg19), "--optimizer", optimizer]
                measure(of | at, partial(_loop, arguments))
            for backbone, precision in product(bench.backbones, bench.precisions):
                of = {"backbone": backbone, "precision": precision}
                weights = ["--weights", str(bench.vgg19)] if backbone == "vgg19" else []
                arguments = ["lower_bound", *common, "--backbone", backbone, "--precision", precision, *weights]
                bound = measure({"loop": "lower_bound", "optimizer": ""} | of | at, partial(_loop, arguments))
                every = max(1, min(10, round(bench.seconds / CHUNKS / bound["seconds"])))
                for optimizer in bench.optimizers:
                    subject = {"loop": "nst", "optimizer": optimizer} | of | at
                    measure(subject, partial(_timed_run, bench, subject, every))


def _loop(arguments: list[str]) -> Measurement:
    measured = run_module("loops", *arguments)
    return measured | {"seconds": statistics.median(measured["seconds"])}


def _timed_run(bench: Bench, subject: Measurement, every: int) -> Measurement:
    """Time a run that logs its losses every so many steps."""
    size, backbone, optimizer = subject["size"], subject["backbone"], subject["optimizer"]
    overrides = [
        "scales=1",
        f"optimizer={optimizer}",
        f"trainer.precision={subject['precision']}",
        f"steps={CHUNKS * every}",
        f"tracking.loss_every={every}",
    ]
    folder = bench.folder(f"{backbone}_{optimizer}_{size}")
    record = run_nst(folder, *bench.transfer(size, backbone, *overrides))
    seconds = statistics.median(seconds_per_step(folder))
    return {"seconds": seconds, "peak_memory_mb": record["timings"]["peak_memory_mb"]}


def descents(bench: Bench) -> None:
    """The loss that each optimizer reaches in a given time, with slim; nst's own at one and at two scales."""
    size = min(DESCENT, max(bench.sizes))
    for repeat in range(bench.repeats):
        for optimizer in OPTIMIZERS:
            arguments = [optimizer, *bench.loop(size), "--seconds", str(4 * bench.seconds)]
            subject = {"descent": optimizer, "size": size, "repeat": repeat}
            bench.measurements.measure(subject, partial(run_module, "descents", *arguments))
        for scales in (1, 2):
            subject = {"descent": f"nst, {scales} × {100 // scales} steps", "size": size, "repeat": repeat}
            bench.measurements.measure(subject, partial(_descended_run, bench, size, scales))


def _descended_run(bench: Bench, size: int, scales: int) -> Measurement:
    folder = bench.folder(f"scales_{scales}")
    record = run_nst(folder, *bench.transfer(size, "slim", f"scales={scales}", "steps=100"))
    return {"curve": [(record["timings"]["steps_seconds"], record["losses"]["loss/total"])]}


def answers(bench: Bench) -> None:
    """Seconds until the command line answers what needs no computing."""
    completing = {"COMP_LINE": "nst mode=tr"}
    questions: Mapping[str, tuple[list[str], int, dict[str, str]]] = {
        "--help": (["--help"], 0, {}),
        "tab completion": (["-sc", "query=bash"], 0, completing),
        "a refused override": (["style_weight=abc"], REFUSED, {}),
    }
    for repeat in range(bench.repeats):
        for question, asked in questions.items():
            bench.measurements.measure({"answer": question, "repeat": repeat}, partial(_answer, *asked))


def _answer(arguments: list[str], status: int, environment: Mapping[str, str]) -> Measurement:
    _, seconds = python("-m", "nst.run", *arguments, status=status, environment=environment)
    return {"seconds": seconds}


def start(bench: Bench) -> None:
    """Seconds from the command to the end of the first step, by phase."""
    for repeat in range(bench.repeats):
        for backbone in bench.backbones:
            bench.measurements.measure({"start": backbone, "repeat": repeat}, partial(_start, bench, backbone))


def _start(bench: Bench, backbone: str) -> Measurement:
    record = run_nst(bench.folder(f"start_{backbone}"), *bench.transfer(START, backbone, "steps=1"))
    timings = record["timings"]
    composed = _started(record) - record["called"]
    rest = timings["setup_seconds"] - sum(timings["setup"].values())
    phases = {"interpreter and composition": composed, **timings["setup"], "rest": rest}
    return {"phases": phases | {"first step": timings["steps_seconds"]}}


def _started(record: Measurement) -> float:
    return datetime.fromisoformat(record["started"]).timestamp()


def sweep(bench: Bench) -> None:
    """Overhead of a sweep's job in seconds: the time from its start to the next job's start, less its steps."""
    for repeat in range(bench.repeats):
        bench.measurements.measure({"jobs": JOBS, "repeat": repeat}, partial(_jobs, bench))


def _jobs(bench: Bench) -> Measurement:
    folder = bench.folder("sweep")
    seeds = ",".join(map(str, range(JOBS)))
    python("-m", "nst.run", "-m", f"seed={seeds}", "steps=1", "size=64", bench.trainer, f"hydra.sweep.dir={folder}")
    records = [json.loads((folder / str(job) / "record.json").read_text(encoding="utf-8")) for job in range(JOBS)]
    overheads = [
        _started(after) - _started(job) - job["timings"]["steps_seconds"]
        for job, after in pairwise(records[1:])  # the first job also imports the libraries
    ]
    return {"seconds": statistics.median(overheads)}


def generator(bench: Bench) -> None:
    """Images per second in training a generator, and milliseconds to stylize one image with it."""
    for repeat in range(bench.repeats):
        trained = bench.work / f"train_{repeat}"
        bench.measurements.measure({"generator": "training", "repeat": repeat}, partial(_train, bench, trained.name))
        if not trained.exists():  # the measurement was kept, but its run was deleted
            _train(bench, trained.name)
        for size in bench.sizes:
            subject = {"generator": "stylizing", "size": size, "repeat": repeat}
            bench.measurements.measure(subject, partial(_stylize, bench, trained, size))


def _train(bench: Bench, name: str) -> Measurement:
    record = run_nst(bench.folder(name), "mode=train", "style=swirl", "steps=40", bench.trainer)
    return {"images_per_second": record["timings"]["images_per_second"]}


def _stylize(bench: Bench, trained: Path, size: int) -> Measurement:
    given = [f"checkpoint={trained}", f"content={bench.content}", f"size={size}", bench.trainer]
    record = run_nst(bench.folder(f"stylize_{size}"), "mode=stylize", *given)
    return {"milliseconds": record["timings"]["median_milliseconds"]}


STAGES: dict[str, Callable[[Bench], None]] = {
    each.__name__: each for each in (steps, descents, answers, start, sweep, generator)
}
