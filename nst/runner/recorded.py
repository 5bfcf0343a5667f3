"""A run in its folder: its work, and the record of it."""

import logging
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from nst import devices, metrics, tracking
from nst.cli.arguments import to_type
from nst.engine.loop import optimize, so_far
from nst.engine.signals import StopRequest
from nst.engine.task import Task
from nst.engine.work import Outcome, Reporter, Schedule
from nst.errors import FAILED, Diverged, InputError, Stopped, one_line
from nst.images.files import load
from nst.memory.system import explaining_out_of_memory, free_bytes, keep_freed_memory
from nst.modes.parts import Experiment
from nst.record.files import STOP
from nst.record.record import Record
from nst.runner.facts import first_facts
from nst.runner.output import output_of
from nst.runner.request import Request
from nst.runner.start import Start
from nst.session import Session
from nst.text import gigabytes, say
from nst.tracking import TrackedRun, Tracker

log = logging.getLogger(__name__)


class RecordedRun:
    """A run that may begin, in its folder. Only rank 0 has one."""

    def __init__(
        self, request: Request, experiment: Experiment, fabric: Fabric, session: Session, start: Start
    ) -> None:
        self.request, self.experiment = request, experiment
        self.fabric, self.session, self.start = fabric, session, start
        self.record = Record(request.folder, first_facts(request, experiment, start.held, fabric.device))
        sweep = request.labels.sweep
        self.stop = StopRequest(sweep / STOP if sweep else None)
        self.figures: dict[str, float] = {}
        self._say_before()

    def execute(self) -> dict[str, Any]:
        """Do the work and close the record. Returns the final losses and timings."""
        request, record = self.request, self.record
        with self.session.timed("tracking"):
            tracker = tracking.start(request.config.tracking, self._described(), self.session)
        record.facts["tracker"] = self._tracker_facts(tracker)
        schedule = Schedule(request.config.tracking.image_every, request.config.trainer.checkpoint_seconds)
        reporter = Reporter(record, tracker, schedule, self.stop, request.progress)
        timings: dict[str, Any] = {
            "setup_seconds": time.perf_counter() - request.began,
            "setup": self.session.take_timings(),
        }
        keep_freed_memory()
        status, made = "failed", None
        try:
            record.open(_by_name(self.experiment.originals))
            with self.stop.handling_signals(), explaining_out_of_memory(self.experiment.lighter):
                made = self._work(reporter)
            self._keep(made)
            if made.finished:
                self._judge(made)
            status = "finished" if made.finished else "interrupted"
        except KeyboardInterrupt as stop:
            self.stop.received.append(stop.number if isinstance(stop, Stopped) else signal.SIGINT)
            status, made = "interrupted", self._so_far()
            self._keep(made)
        except Exception as error:
            kinds = {Diverged: "diverged", InputError: "refused"}
            status, record.facts["error"] = kinds.get(type(error), "failed"), one_line(error)
            raise
        finally:
            reporter.close()
            summary = self._summary(status, made, timings)
            record.facts["tracker"] = self._tracker_facts(tracker)
            try:
                record.close(status)
            finally:
                tracker.log_results(record.results)
                cost = metrics.cost(request.config.optimized_metric, summary)
                searched = {} if cost is None else {"optimized_metric": cost}
                tracker.finish(summary | searched, failed=status != "finished")
        self._say_after(tracker, summary, made)
        if status == "interrupted" or (self.stop.requested and request.labels.sweep):  # or in a job's last steps
            raise self.stop.error()
        if request.previous and not request.previous.continues:
            say(f"again    {_likeness(request.folder / 'result.png', request.previous.picture)}")
        return summary

    def _work(self, reporter: Reporter) -> Outcome:
        work = self.experiment.work
        if not isinstance(work, Task):
            made = work(reporter)
            if made.picture is not None:
                reporter.final({"step": made.steps, "seconds": made.seconds}, made.picture)
            return made
        self.fabric.launch()
        try:
            return optimize(work, self.fabric, reporter, self.start.rows)
        except RuntimeError as error:
            if self.fabric.world_size > 1 and re.search("gloo|nccl", str(error), re.IGNORECASE):
                raise RuntimeError("another process of this run failed; its error is above") from None
            raise

    def _so_far(self) -> Outcome | None:
        work = self.experiment.work
        return so_far(work) if isinstance(work, Task) else None

    def _say_before(self) -> None:
        """Tell the user what a step takes, and what differs from the previous run."""
        if plan := self.experiment.plan:
            in_strips = f", in {plan.strips} strips" if plan.strips > 1 else ""
            free = gigabytes(free_bytes(self.fabric.device))
            say(f"memory   about {gigabytes(plan.bytes)} for a step{in_strips}; {free} are free")
        if previous := self.request.previous:
            differences = previous.differences(self.record.facts)
            for line in differences:
                say(f"differs  {line}")
            self.record.facts[previous.key] = {"of": previous.given, "differs": differences}

    def _described(self) -> TrackedRun:
        request, facts = self.request, self.record.facts
        previous = self.start.held.get("tracker")
        if request.previous and request.previous.continues and not self.start.held:
            # another run, which names the first
            previous = {"id": (request.previous.record.get("tracker") or {}).get("id")}
        return TrackedRun(
            request.folder,
            facts["name"],
            request.mode.name,
            facts["config"] | facts["decided"],
            tags=[request.mode.name, *self.experiment.weights],
            made_from=self._made_from,
            sweep=request.labels.sweep,
            previous=previous,
        )

    def _tracker_facts(self, tracker: Tracker) -> dict[str, Any] | None:
        facts = tracker.facts()
        return None if facts is None else {"name": self.request.config.tracking.name} | facts

    @property
    def _made_from(self) -> dict[str, Sequence[Mapping[str, str]]]:
        """Role or network → its files."""
        weights = {
            name: [{"path": facts["path"], "sha256": facts["sha256"]}]
            for name, facts in self.experiment.weights.items()
        }
        return {**self.experiment.inputs, **weights}

    def _keep(self, made: Outcome | None) -> None:
        """Write what was made."""
        if made:
            self.record.add_results(made.picture, made.files, output_of(self.request))
            self.session.left_out += made.left_out
            if made.left_out:
                self.record.facts["left_out"] = made.left_out
            if data := self.experiment.data | dict(made.data):
                self.record.facts["data"] = data

    def _judge(self, made: Outcome) -> None:
        """Put the judge's figures of the picture into the record."""
        if (judging := self.experiment.judging) is None or (made.picture is None and not made.figures):
            return
        began = time.perf_counter()
        try:
            self.figures = dict(made.figures) if made.picture is None else judging.figures(made.picture)
            facts = judging.facts
        except Exception as error:  # such as too little memory: the picture is there
            facts = {"error": one_line(error)}
            log.warning("the picture could not be judged: %s", one_line(error))
        self.record.facts["judge"] = facts | {"seconds": time.perf_counter() - began}

    def _summary(self, status: str, made: Outcome | None, timings: dict[str, Any]) -> dict[str, Any]:
        """Put the losses and timings into the record. Returns them, with the status, for the tracker."""
        work, record = self.experiment.work, self.record
        steps, seconds = (work.step, work.seconds) if isinstance(work, Task) else (0, 0.0)
        if made:
            steps, seconds = made.steps, made.seconds
        timings |= {
            "seconds_per_step": seconds / max(steps, 1),
            "steps_seconds": seconds,
            "total_seconds": time.perf_counter() - self.request.began,
        } | (dict(made.timings) if made else {})
        peak = devices.peak_memory_mb(self.fabric.device)
        timings["peak_memory_mb"] = peak
        record.facts |= {"losses": record.losses, "figures": self.figures, "timings": timings}
        return record.losses | self.figures | timings | {"status": status}

    def _say_after(self, tracker: Tracker, summary: dict[str, Any], made: Outcome | None) -> None:
        say(
            f"{summary['status']} in {summary['total_seconds']:.1f} s "
            f"(setup {summary['setup_seconds']:.1f} s, {summary['seconds_per_step']:.3g} s/step)"
        )
        if self.figures:
            figures = ", ".join(f"{name.removeprefix('judge/')} {value:.3g}" for name, value in self.figures.items())
            say(f"judge    {self.record.facts['judge']['network']}: {figures}")
        if made and made.left_out:
            say(f"left out images that could not be used: {made.left_out}; the exit status is {FAILED}")
        for line in (*self.record.where(), *tracker.how_to_browse(), *self._way_forward(summary["status"])):
            say(line)

    def _way_forward(self, status: str) -> list[str]:
        """For a run that was stopped: how it goes on. A sweep says it for all of its jobs."""
        if status != "interrupted" or self.request.labels.sweep:
            return []
        output = [f"output={self.request.config.output}"] if self.request.config.output else []
        return [f"continue {to_type([f'resume={os.path.relpath(self.request.folder)}', *output])}"]


def _likeness(result: Path, previous: Path) -> str:
    """How a picture that was made again compares with the previous one."""
    if not (result.is_file() and previous.is_file()):
        return "there is no picture to compare"
    try:
        pictures = [load(path) for path in (result, previous)]
    except InputError as error:  # its text could be read, and its pixels cannot
        return f"there is no picture to compare: {error}"
    if pictures[0].shape != pictures[1].shape:
        return f"of another size than {previous}"
    difference = 255 * float((pictures[0] - pictures[1]).abs().mean())
    return f"{previous}, {'bit for bit' if difference == 0 else f'but for {difference:.2g} of 255 levels on average'}"


def _by_name(images: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """role, role_2, … → image, for role → images."""
    return {
        role if number == 1 else f"{role}_{number}": image
        for role, several in images.items()
        for number, image in enumerate(several, 1)
    }
