"""Each config is composed once, where Hydra would do it twice: that takes as long as the rest of a short run.

Hydra first composes a single run to learn its `hydra.mode`, and each job of a sweep to see whether it works.
"""

from functools import wraps
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

RUN = "hydra.mode=RUN"
"""What Hydra adds to the overrides of a single run, once it knows its mode."""


def compose_once() -> None:
    """Let a config that Hydra composed to try it be the one that it then runs."""
    load = ConfigLoaderImpl.load_configuration
    if getattr(load, "once", False):
        return

    @wraps(load)  # also its marks, by which it is not wrapped twice
    def load_configuration(
        self: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        tried: dict[Any, DictConfig] = self.__dict__.setdefault("tried", {})
        asked = (config_name, tuple(word for word in overrides if word != RUN))
        if run_mode == RunMode.RUN and asked in tried:
            parsed = OverridesParser.create(config_loader=self).parse_overrides(overrides)
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
            config = tried.pop(asked)
            if RUN in overrides and RUN not in config.hydra.overrides.hydra:  # it was composed to learn the mode
                config.hydra.mode = RunMode.RUN
                config.hydra.overrides.hydra.append(RUN)
            return config
        learns_mode = not validate_sweep_overrides
        mode = RunMode.RUN if learns_mode else run_mode
        config = load(self, config_name, overrides, mode, from_shell, validate_sweep_overrides)
        if mode == RunMode.RUN:
            tried[asked] = config
        return config

    load_configuration.once = True  # type: ignore[attr-defined]
    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign]
