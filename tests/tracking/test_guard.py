"""A tracker that hangs, or breaks when it starts, costs a process its patience once."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nst import patience, tracking
from nst.session import Session
from nst.tracking import TrackedRun, Tracker
from nst.tracking.tensorboard import TensorBoard

AT = threading.Event()


class Hanging(Tracker):
    """It never returns where `where` says, until it is abandoned."""

    where, abandoned = "", 0

    def __init__(self, options: Any, run: TrackedRun, session: Session) -> None:
        self._hang("start")
        if self.where == "break":
            raise SystemExit(1)

    def log(self, *_: Any) -> None:
        self._hang("log")

    def _hang(self, where: str) -> None:
        if self.where == where:
            AT.wait()

    @staticmethod
    def abandon() -> None:
        Hanging.abandoned += 1


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(patience, "PATIENCE", 0.6)
    monkeypatch.setattr(patience, "ALLOWANCE", 0.2)
    monkeypatch.setattr(Hanging, "abandoned", 0)
    monkeypatch.setitem(tracking.CHOICES, "tensorboard", tracking.Choice(TensorBoard, Hanging))
    return Session()


@pytest.mark.parametrize(("where", "abandoned"), [("", 0), ("start", 2), ("log", 0), ("break", 1)])
def test_what_hangs_or_breaks_is_reported_once_and_waited_for_no_longer_than_patience_lasts(
    where: str, abandoned: int, session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Hanging, "where", where)
    began = time.monotonic()
    tracker = tracking.start(TensorBoard(), TrackedRun(Path(), "a run", "transfer", {}), session)
    for step in range(3):
        tracker.log(step, {})
    tracker.finish({})
    assert time.monotonic() - began < 2
    assert Hanging.abandoned == abandoned
    assert caplog.text.count("the tracker failed") == bool(where)
    assert ("tensorboard" in session.unreachable) == (where in ("start", "log"))
    again = tracking.start(TensorBoard(), TrackedRun(Path(), "a run", "transfer", {}), session)
    assert isinstance(again, tracking.Guard) == (where in ("", "log"))
