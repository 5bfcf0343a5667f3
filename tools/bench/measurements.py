"""Measurements, kept in a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst.files import write_whole
from nst.text import say

Measurement = dict[str, Any]
"""What was measured (such as "loop", "size" and "repeat") and the results (such as "seconds")."""


class Measurements:
    """A JSON Lines file of measurements. What the file already holds is not measured again.

    conditions: on what and with what is measured. Measurements under other conditions stay in the file, unused.
    """

    def __init__(self, path: Path, conditions: Measurement) -> None:
        self.path = path
        self.conditions = conditions
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._kept: list[Measurement] = [json.loads(line) for line in lines]

    def measure(self, subject: Measurement, take: Callable[[], Measurement]) -> Measurement:
        """Measure a subject with `take`, or find it in the file. Returns the subject and the results in one."""
        wanted = (subject | self.conditions).items()
        found = next((kept for kept in self._kept if wanted <= kept.items()), None)
        if found is None:
            results = subject | take()
            found = results | self.conditions
            self._kept.append(found)
            write_whole(self.path, "".join(json.dumps(kept) + "\n" for kept in self._kept).encode())
            say("  ".join(f"{name} {_short(value)}" for name, value in results.items()))
        return found

    def all(self) -> list[Measurement]:
        """All measurements under these conditions."""
        return [kept for kept in self._kept if self.conditions.items() <= kept.items()]


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"… {_short(value[-1])}" if value else ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
