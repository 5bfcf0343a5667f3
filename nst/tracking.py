"""Weights & Biases: the only module that knows it. Trouble with it never blocks or fails a run."""

import logging
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

from nst.errors import InputError

log = logging.getLogger(__name__)
MODES = ("auto", "online", "offline")
INIT_TIMEOUT, FINISH_TIMEOUT = 20.0, 30.0
"""Seconds after which W&B's server is given up at the start and at the end of a run."""
PROBE_TIMEOUT = 5.0
"""Seconds in which its server must take a connection."""
_given_up: list[str] = []
"""Why, if this process has: the jobs of a sweep that follow do not wait for it again."""


class Tracker(Protocol):
    """Who is told about a run while it goes on."""

    def log(self, step: int, figures: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        """Tell the figures after `step` steps, and image files by caption, shown beside each other."""

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        """Tell the final figures and end."""

    def facts(self) -> dict[str, Any] | None:
        """What record.json says of it."""

    def how_to_browse(self) -> list[str]:
        """Lines for the user."""


class NoTracker:
    """tracking=none."""

    def log(self, step: int, figures: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        pass

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        pass

    def facts(self) -> dict[str, Any] | None:
        return None

    def how_to_browse(self) -> list[str]:
        return []


def require_wandb() -> None:
    """Raise InputError if wandb is not installed."""
    if find_spec("wandb") is None:
        raise InputError("tracking=wandb: wandb is not installed; pip install wandb, or tracking=none")


def start_wandb() -> None:
    """Import W&B and start its service in a thread, while other things are made ready. Trouble shows later."""

    def start() -> None:
        with suppress(Exception):
            import wandb

            wandb.setup(wandb.Settings(silent=True))

    Thread(target=start).start()


def _answers(url: str) -> bool:
    """Whether a server takes connections, which W&B tries for half a minute to find out."""
    if getproxies():
        return True  # it is for the proxy to say
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname, port), PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def _give_up(why: str) -> None:
    _given_up.append(why)
    log.warning("W&B could not be reached (%s); it goes on offline", why)


class WandbTracker:
    """One W&B run.

    mode: "online", "offline", or "auto": online if logged in, else offline; the environment's WANDB_MODE goes before.
    folder: where W&B keeps its files. before: what `facts` said of the run that this one goes on with: where both are
    online it is the same run of W&B, else another, whose config names the first. The other arguments are W&B's own.
    """

    def __init__(
        self,
        mode: str,
        folder: Path,
        project: str,
        config: Mapping[str, Any],
        name: str,
        job_type: str,
        tags: Sequence[str] = (),
        group: str | None = None,
        entity: str | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        import wandb

        self._wandb = wandb

        def init(mode: str) -> Any:
            same = before if before and mode == before.get("mode") == "online" else {}
            return wandb.init(
                **({"id": same["id"], "resume": "allow"} if same else {}),
                mode=mode,  # type: ignore[arg-type]
                dir=folder.resolve(),  # W&B's service process, shared by a sweep's runs, may stand elsewhere
                project=project,
                entity=entity,
                config={**config, **({"goes_on_with": before.get("id")} if before and not same else {})},
                name=name,
                job_type=job_type,
                tags=tuple(tags),
                group=group,
                reinit="finish_previous",
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    init_timeout=INIT_TIMEOUT,
                    finish_timeout=FINISH_TIMEOUT,
                    finish_timeout_raises=False,
                ),
            )

        mode = os.environ.get("WANDB_MODE") or mode
        if mode not in MODES:
            raise InputError(f"WANDB_MODE={mode}: must be one of {', '.join(MODES)}; tracking=none leaves W&B out")
        try:
            # else login asks the server who it is, to say so
            url = wandb.setup(wandb.Settings(silent=True)).settings.base_url
            if mode == "auto":
                # verify=False: no request, so an unreachable server does not hold up the start
                mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
            if mode == "online" and not _given_up and not _answers(url):
                _give_up(f"{url} does not answer")
            if mode == "online" and _given_up:
                mode = "offline"
            try:
                self._run = init(mode)
            except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
                if mode == "offline":
                    raise
                _give_up(str(error).splitlines()[0])
                self._run = init("offline")
        except (wandb.errors.Error, ValueError) as error:
            raise InputError(f"W&B refuses this run: {error}; see the keys tracking.*") from None

    def log(self, step: int, figures: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        data: dict[str, Any] = dict(figures)
        if images:
            # one key an image: a list of images of different sizes draws a warning
            data |= {f"images/{caption}": self._wandb.Image(str(path)) for caption, path in images.items()}
        self._run.log(data, step=step)

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Tell a contact sheet and a table; a path in the table is an image file."""
        table = self._wandb.Table(columns=list(columns))
        for row in rows:
            table.add_data(*(self._wandb.Image(str(cell)) if isinstance(cell, Path) else cell for cell in row))
        self._run.log({"sheet": self._wandb.Image(str(sheet)), "runs": table})

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish(exit_code=int(failed))

    def facts(self) -> dict[str, Any] | None:
        facts = {"id": self._run.id, "group": self._run.group, "folder": str(self._folder)}
        return facts | ({"mode": "offline"} if self._run.offline else {"mode": "online", "url": self._run.url})

    @property
    def _folder(self) -> Path:
        return Path(self._run.dir).parent

    def how_to_browse(self) -> list[str]:
        if not self._run.offline:
            return [f"W&B      {self._run.url}"]
        wandb = "wandb" if shutil.which("wandb") else os.path.relpath(Path(sys.executable).with_name("wandb"))
        folder = shlex.quote(os.path.relpath(self._folder))
        return [f"W&B      {wandb} leet {folder}   (offline; upload: {wandb} sync {folder})"]
