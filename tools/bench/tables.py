"""Tables of what was measured."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tools.bench.measurements import Measurement

SUBJECT = ("loop", "backbone", "optimizer", "precision", "size")
"""What names a measurement of steps, besides its repeat."""


class Table(NamedTuple):
    columns: list[str]
    rows: list[list[str]]


def medians(measured: Iterable[Measurement], value: str, *by: str) -> dict[tuple[Any, ...], float]:
    """Group the measurements that have a value by some of their facts. Returns facts → median of the value."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for each in measured:
        if each.get(value) is not None and all(name in each for name in by):
            groups.setdefault(tuple(each[name] for name in by), []).append(each[value])
    return {key: statistics.median(values) for key, values in groups.items()}


def steps(measured: Sequence[Measurement]) -> Table:
    """Seconds, ratios, rate of arithmetic and peak memory of nst's steps beside the baseline and the lower bound."""
    seconds, memory, work = (medians(measured, value, *SUBJECT) for value in ("seconds", "peak_memory_mb", "gigaflop"))
    products = [each | {"rate": each["gigaflop"] / each["seconds"]} for each in measured if "matmul" in each]
    matmul = medians(products, "rate", "matmul")
    rows = []
    for loop, backbone, optimizer, precision, size in sorted(
        seconds, key=lambda key: (key[4], key[1] != "vgg19", key[3] != "float32", key[2])
    ):
        if loop != "nst":
            continue
        subjects = [
            ("baseline", "vgg19", optimizer, "float32", size),
            ("lower_bound", backbone, "", precision, size),
            (loop, backbone, optimizer, precision, size),
        ]
        times = [f"{seconds[key]:.3g}" if key in seconds else "" for key in subjects]
        peaks = [f"{memory[key]:.0f}" if key in memory else "" for key in subjects]
        baseline, bound, nst = (dict(zip(SUBJECT, key, strict=True)) for key in subjects)
        ratios = [_ratio(measured, nst, bound), _ratio(measured, baseline, nst)]
        rate = work.get(subjects[1], 0.0) / seconds[subjects[2]]
        rates = [f"{rate:.0f}", f"{100 * rate / matmul[precision,]:.0f} %"] if rate and matmul else ["", ""]
        rows.append([str(size), backbone, optimizer, precision, *times, *ratios, *rates, *peaks])
    loops = ("baseline", "lower bound", "nst")
    columns = ["size", "backbone", "optimizer", "precision", *(f"{loop}, s" for loop in loops)]
    columns += ["nst ÷ lower bound", "baseline ÷ nst", "nst, GFLOP/s", "of matmul's"]
    return Table([*columns, *(f"{loop}, MB" for loop in loops)], rows)


def _ratio(measured: Sequence[Measurement], above: Mapping[str, Any], below: Mapping[str, Any]) -> str:
    """The median over the repeats of one loop's seconds per step divided by another's."""

    def seconds(subject: Mapping[str, Any]) -> dict[int, float]:
        return {each["repeat"]: each["seconds"] for each in measured if subject.items() <= each.items()}

    over, under = seconds(above), seconds(below)
    ratios = [over[repeat] / under[repeat] for repeat in over.keys() & under.keys()]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def start(measured: Sequence[Measurement]) -> Table:
    """Seconds from the command to the end of the first step, by backbone and phase."""
    starts = [each for each in measured if "start" in each]
    phases = list(dict.fromkeys(name for each in starts for name in each["phases"]))
    flat = [{"start": each["start"]} | each["phases"] | {"total": sum(each["phases"].values())} for each in starts]
    of = {phase: medians(flat, phase, "start") for phase in (*phases, "total")}
    rows = [
        [backbone, *(f"{seconds[backbone,]:.2f} s" if (backbone,) in seconds else "" for seconds in of.values())]
        for backbone in dict.fromkeys(each["start"] for each in starts)
    ]
    return Table(["backbone", *of], rows)


def others(measured: Sequence[Measurement]) -> Table:
    """Answers of the command line, a sweep's overhead, and generators."""
    answers, jobs = medians(measured, "seconds", "answer"), medians(measured, "seconds", "jobs")
    training = medians(measured, "images_per_second", "generator")
    stylizing = medians(measured, "milliseconds", "generator", "size")
    rows = [
        *([question, f"{each:.2f} s"] for (question,), each in answers.items()),
        *(["a job of a sweep, without its steps", f"{each:.2f} s"] for each in jobs.values()),
        *(["training a generator", f"{each:.1f} images/s"] for each in training.values()),
        *([f"stylizing at {size} px", f"{each:.0f} ms"] for (_, size), each in stylizing.items()),
    ]
    return Table(["task", "takes"], rows)


def descents(measured: Sequence[Measurement]) -> Table:
    """The total loss reached after some seconds: medians over the repeats."""
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for each in measured:
        if "descent" in each:
            curves.setdefault(each["descent"], []).append(each["curve"])
    longest = max((curve[-1][0] for repeats in curves.values() for curve in repeats), default=0.0)
    times = [longest / share for share in (8, 4, 2, 1)]
    rows = [[name, *(_median_loss(repeats, seconds) for seconds in times)] for name, repeats in curves.items()]
    return Table(["optimizer", *(f"after {seconds:.2g} s" for seconds in times)], rows)


def _median_loss(curves: Sequence[Sequence[tuple[float, float]]], seconds: float) -> str:
    """The last loss before a time; empty if a repeat had none yet."""
    reached = [[loss for clock, loss in curve if clock <= seconds][-1:] for curve in curves]
    return f"{statistics.median(loss for (loss,) in reached):.3g}" if all(reached) else ""
