"""Trackers: where a run is logged while it goes on, beside its own folder.

Adding one: a module here, with a dataclass of its keys and a class registered under its name, and
conf/tracking/NAME.yaml.
Trouble with a tracker never blocks or fails a run.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from nst.config import Tracking
from nst.errors import InputError, one_line
from nst.patience import Late, Worker
from nst.registry import import_all
from nst.session import Session

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told about a run when it starts."""

    folder: Path
    """The run's folder."""
    name: str
    kind: str
    """The mode; "report" for the report of a sweep."""
    config: Mapping[str, Any]
    tags: Sequence[str] = ()
    made_from: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    """Role or network → {"path", "sha256"} of each of its files."""
    sweep: Path | None = None
    """The sweep's folder, for one of its jobs."""
    previous: Mapping[str, Any] | None = None
    """`facts` of the run that this one continues."""

    @property
    def group(self) -> str | None:
        """A name for the runs of one sweep: the last two parts of its folder."""
        return "_".join(self.sweep.parts[-2:]) if self.sweep else None


class Tracker:
    """What the runner calls. Here each method does nothing, which is tracking=none; a tracker overrides what it needs.

    options: an instance of the tracker's dataclass. Raises InputError for options that cannot be used.
    """

    def __init__(self, options: Any, run: TrackedRun, session: Session) -> None:
        pass

    @staticmethod
    def check(options: Any) -> bool:
        """Whether to track at all. Raises InputError if a package is missing. Called before anything is built."""
        return True

    @staticmethod
    def prepare() -> None:
        """Start what takes time, in the background."""

    @staticmethod
    def abandon() -> None:
        """End what a tracker that hangs has left behind, such as a process of its own."""

    def log(self, step: int, metrics: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        """Log the metrics after `step` steps, and image files by caption, to be shown side by side."""

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a sweep's contact sheet and table; a Path in the table is an image file."""

    def log_results(self, results: Sequence[Path]) -> None:
        """Log the files that a run, or a report, ends with."""

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        """Log the final metrics and close."""

    def facts(self) -> dict[str, Any] | None:
        """What record.json keeps of it, besides the tracker's name."""
        return None

    def how_to_browse(self) -> list[str]:
        """Lines for the user, after the run."""
        return []


@dataclass(frozen=True)
class Choice:
    """A tracker that can be chosen."""

    options: type[Tracking]
    make: type[Tracker]


CHOICES: dict[str, Choice] = {}


def register(name: str, options: type[Tracking]) -> Any:
    """Class decorator. options: the dataclass of the keys that are this tracker's own."""

    def add(cls: type[Tracker]) -> type[Tracker]:
        CHOICES[name] = Choice(options, cls)
        return cls

    return add


def options() -> dict[str, type[Tracking]]:
    """Name → dataclass of the tracker's keys."""
    return {name: choice.options for name, choice in CHOICES.items()}


def tracks(options: Tracking) -> bool:
    """Whether these options track a run at all. Raises InputError if a package is missing."""
    return CHOICES[options.name].make.check(options)


def prepare(options: Tracking) -> None:
    """Start what takes time, in the background."""
    CHOICES[options.name].make.prepare()


def start(options: Tracking, run: TrackedRun, session: Session) -> Tracker:
    """Begin to track a run; without a tracker if the options say so. Raises InputError for options of no use."""
    tracked = tracks(options) and options.name not in session.untracked
    return Guard(CHOICES[options.name].make, options, run, session) if tracked else Tracker(options, run, session)


class Guard(Tracker):
    """A tracker whose trouble is reported once; from then on the run goes on without it.

    It works in a thread, and what it does late is trouble, too: nobody else needs to know that it may hang.
    """

    def __init__(self, make: type[Tracker], options: Tracking, run: TrackedRun, session: Session) -> None:
        self._session, self._name, self._abandon = session, options.name, make.abandon
        self._worker = Worker(session.patience)
        self._facts: dict[str, Any] | None = None
        self._guarded, self._trouble = Tracker(options, run, session), False

        def begin() -> tuple[Tracker, dict[str, Any] | None]:
            tracker = make(options, run, session)
            return tracker, tracker.facts()

        try:
            self._guarded, self._facts = self._begun(begin)
        except InputError:
            self._worker.end()
            raise
        except Exception as error:
            self._end_all()
            session.untracked.add(self._name)
            self._give_up(error)
        except BaseException:  # the user stops the run, which has not begun
            self._end_all()
            raise

    def log(self, step: int, metrics: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        self._try(lambda: self._guarded.log(step, metrics, images))

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._try(lambda: self._guarded.log_report(sheet, columns, rows))

    def log_results(self, results: Sequence[Path]) -> None:
        self._try(lambda: self._guarded.log_results(results))

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        def close() -> None:
            self._guarded.finish(summary, failed)

        if self._name in self._session.untracked:  # it has not started
            pass
        elif not self._trouble:
            self._try(close)
            if self._trouble:
                self._end_all()
            elif self._name not in self._session.unreachable:
                self._session.patience.regain()
        else:  # what it has so far may be kept if it is closed
            try:
                self._worker.call(close, self._session.patience.rest)
            except Exception:
                self._end_all()
        self._worker.end()

    def facts(self) -> dict[str, Any] | None:
        return self._facts

    def how_to_browse(self) -> list[str]:
        return [] if self._trouble else self._guarded.how_to_browse()

    def _begun(self, begin: Callable[[], T]) -> T:
        try:
            return self._worker.call(begin)
        except Late as late:
            if self._name in self._session.unreachable:
                raise
            self._end_all()
            self._session.unreachable[self._name] = str(late)
            log.warning("the tracker gives %s; it goes on without its server", late)
            return self._worker.call(begin)

    def _try(self, call: Callable[[], None]) -> None:
        if self._trouble:
            return
        try:
            self._worker.call(call)
        except Exception as error:
            if isinstance(error, Late):
                self._session.unreachable.setdefault(self._name, str(error))
                self._worker = Worker(self._session.patience)
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._trouble = True
        log.warning("the tracker failed (%s); the run goes on without it", one_line(error))

    def _end_all(self) -> None:
        """Let nothing of the tracker hold up the end of the process."""
        self._worker = Worker(self._session.patience)
        with suppress(Exception):
            self._worker.call(self._abandon)


def from_record(section: Mapping[str, Any]) -> Tracking:
    """The options that a record's config holds, as plain values."""
    typed = OmegaConf.merge(OmegaConf.structured(CHOICES[section["name"]].options), dict(section))
    options = OmegaConf.to_object(typed)
    assert isinstance(options, Tracking)
    return options


import_all(__name__, __path__)
