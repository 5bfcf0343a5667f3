"""tracking=none: nothing beside the run's own folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst.config import Tracking
from nst.session import Session
from nst.tracking import TrackedRun, register


@dataclass
class NoTracking(Tracking):
    name: str = "none"


@register("none", NoTracking)
class NoTracker:
    """Does nothing."""

    def __init__(self, options: NoTracking, run: TrackedRun, session: Session) -> None:
        pass

    @staticmethod
    def check(options: NoTracking) -> bool:
        return False

    @staticmethod
    def prepare() -> None:
        pass

    def log(self, step: int, metrics: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        pass

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        pass

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        pass

    def facts(self) -> dict[str, Any] | None:
        return None

    def how_to_browse(self) -> list[str]:
        return []
