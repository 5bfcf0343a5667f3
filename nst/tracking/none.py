"""tracking=none: nothing beside the run's own folder."""

from dataclasses import dataclass
from typing import Any

from nst.config import Tracking
from nst.tracking import Tracker, register


@dataclass
class NoTracking(Tracking):
    name: str = "none"


@register("none", NoTracking)
class NoTracker(Tracker):
    @staticmethod
    def check(options: Any) -> bool:
        return False
