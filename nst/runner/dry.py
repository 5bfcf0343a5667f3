"""A dry run: what a job would take."""

from nst.cli.arguments import remove_empty
from nst.engine.task import Task
from nst.modes.parts import Experiment
from nst.runner.request import Request
from nst.session import Session
from nst.text import duration, gigabytes, say


def foresee(request: Request, experiment: Experiment, session: Session) -> None:
    """Print a job's name and steps, and about how long it takes and how much memory, and leave nothing."""
    work = experiment.work
    seconds = work.estimate() if isinstance(work, Task) else None
    session.foreseen.append(seconds)
    steps = f"{work.report_steps[-1]} steps" if isinstance(work, Task) else ""
    memory = gigabytes(experiment.plan.bytes) if experiment.plan else ""
    facts = [f"job {len(session.foreseen) - 1}", request.labels.name, steps, duration(seconds), memory]
    say("   ".join(fact for fact in facts if fact))
    remove_empty(request.folder)
