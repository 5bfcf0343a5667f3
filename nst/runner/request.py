"""A run as it was asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nst import modes
from nst.cli.arguments import Labels
from nst.cli.previous import PreviousRun
from nst.config import Config
from nst.engine.progress import Progress
from nst.modes import Mode


@dataclass(frozen=True)
class Request:
    """A run as it was asked for."""

    config: Config
    folder: Path
    labels: Labels
    began: float
    """On time.perf_counter's clock."""
    previous: PreviousRun | None = None
    """The run that this one continues, in its folder or in another, or makes again."""
    named_by_time: bool = False
    """Whether the folder has the time as its name, so that a run that begins in the same second may have it, too."""
    progress: Progress = field(default_factory=Progress)

    @property
    def mode(self) -> Mode:
        return modes.get(self.config.mode)

    @property
    def in_its_folder(self) -> bool:
        """Whether it continues the previous run in that run's own folder."""
        previous = self.previous
        return bool(previous and previous.continues and previous.folder.resolve() == self.folder.resolve())

    def plain_config(self) -> dict[str, Any]:
        """The config as plain values."""
        plain: Any = OmegaConf.to_container(OmegaConf.structured(self.config), enum_to_str=True)
        return plain
