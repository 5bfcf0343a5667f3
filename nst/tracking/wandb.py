"""Weights & Biases: the only module that imports it. Trouble with it never blocks or fails a run."""

import json
import logging
import os
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from nst.config import Tracking, key
from nst.errors import InputError
from nst.session import Session
from nst.tracking import TrackedRun, Tracker, register

log = logging.getLogger(__name__)
INIT_TIMEOUT, FINISH_TIMEOUT = 20.0, 30.0
"""Seconds to wait for W&B's server at the start and at the end of a run."""
LINEAGE_TIMEOUT = 20.0
"""Seconds to wait for it to note what a result was made from."""
PROBE_TIMEOUT = 5.0
"""Seconds to wait for its server to accept a connection."""


class WandbMode(Enum):
    """Whether runs are uploaded; auto is online if logged in, else offline."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class Wandb(Tracking):
    name: str = "wandb"
    mode: WandbMode = key(WandbMode.auto, "auto: online if logged in, else offline; WANDB_MODE overrides it")
    project: str = key("nst", "W&B project")
    entity: str | None = key(None, "W&B user or team; null: the account's own")
    group: str | None = key(None, "W&B group; null: the sweep's folder")
    tags: list[str] = key([], "W&B tags, added to mode and backbone")
    artifacts: bool = key(True, "keep results as W&B artifacts, with what they were made from")


@register("wandb", Wandb)
class WandbTracker(Tracker):
    """One W&B run. A run that continues an online one is the same W&B run; otherwise its config names the first."""

    def __init__(self, options: Wandb, run: TrackedRun, session: Session) -> None:
        import wandb

        self._wandb = wandb
        self._options, self._described = options, run
        if not os.environ.get("WANDB_MODE"):  # wandb refuses an empty one
            os.environ.pop("WANDB_MODE", None)
        mode = os.environ.get("WANDB_MODE") or options.mode.value
        modes = [each.value for each in WandbMode]
        if mode not in modes:
            raise InputError(f"WANDB_MODE={mode}: must be one of {', '.join(modes)}; tracking=none leaves W&B out")
        try:
            # not wandb.login()'s own settings: it would ask the server who is logged in
            url = wandb.setup(wandb.Settings(silent=True)).settings.base_url
            if mode == "auto":
                # verify=False: no request, so an unreachable server does not delay the start
                mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
            if mode == "online" and "wandb" not in session.unreachable and not accepts_connections(url):
                _give_up(session, f"{url} does not answer")
            if mode == "online" and "wandb" in session.unreachable:
                mode = "offline"
            try:
                self._run = self._init(mode)
            except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
                if mode == "offline":
                    raise
                _give_up(session, str(error).splitlines()[0])
                self._run = self._init("offline")
        except (wandb.errors.Error, ValueError) as error:
            raise InputError(f"W&B refuses this run: {error}; see the keys tracking.*") from None

    def _init(self, mode: str) -> Any:
        run, previous = self._described, self._described.previous
        same = previous if previous and mode == previous.get("mode") == "online" else {}
        return self._wandb.init(
            **({"id": same["id"], "resume": "allow"} if same else {}),
            mode=mode,  # type: ignore[arg-type]
            dir=(run.sweep or run.folder).resolve(),  # W&B's service process may have another working folder
            project=self._options.project,
            entity=self._options.entity,
            config={**run.config, **({"continues": previous.get("id")} if previous and not same else {})},
            name=run.name,
            job_type=run.kind,
            tags=(*run.tags, *self._options.tags),
            group=self._options.group or run.group or os.environ.get("WANDB_SWEEP_ID"),
            reinit="finish_previous",
            settings=self._wandb.Settings(
                silent=True,
                console="off",
                init_timeout=INIT_TIMEOUT,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=False,
            ),
        )

    @staticmethod
    def check(options: Wandb) -> bool:
        if os.environ.get("WANDB_MODE") == "disabled":
            return False
        if find_spec("wandb") is None:
            raise InputError("tracking=wandb: wandb is not installed; pip install wandb, or tracking=none")
        return True

    @staticmethod
    def prepare() -> None:
        """Import W&B and start its service process in a thread. Trouble shows later, in __init__."""

        def start() -> None:
            with suppress(Exception):
                import wandb

                wandb.setup(wandb.Settings(silent=True))

        Thread(target=start).start()

    def log(self, step: int, metrics: Mapping[str, float], images: Mapping[str, Path] | None = None) -> None:
        data: dict[str, Any] = dict(metrics)
        if images:
            # one key for each image: W&B warns about a list of images of different sizes
            data |= {f"images/{caption}": self._wandb.Image(str(path)) for caption, path in images.items()}
        self._run.log(data, step=step)

    def log_report(self, sheet: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        table = self._wandb.Table(columns=list(columns))
        for row in rows:
            table.add_data(*(self._wandb.Image(str(cell)) if isinstance(cell, Path) else cell for cell in row))
        self._run.log({"sheet": self._wandb.Image(str(sheet)), "runs": table})

    def log_results(self, results: Sequence[Path], made_from: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        """Each result as an artifact of this run. What it was made from is in its metadata; online, as its lineage."""
        if not self._options.artifacts:
            return
        if not self._run.offline:
            # W&B waits for its server here, for as long as that takes; a daemon ends with the process
            lineage = Thread(target=self._use, args=(made_from,), daemon=True)
            lineage.start()
            lineage.join(LINEAGE_TIMEOUT)
            if lineage.is_alive():
                log.warning("W&B does not answer; the run is there without what it was made from")
        metadata = {role: [dict(facts) for facts in files] for role, files in made_from.items()}
        for path in results:
            made = self._wandb.Artifact(_named(path.stem, self._run.id), type=path.stem, metadata=metadata)
            made.add_file(str(path), policy="immutable")
            self._run.log_artifact(made)

    def _use(self, made_from: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        for role, files in made_from.items():
            for facts in files:
                used = self._wandb.Artifact(_named(role, facts["sha256"][:12]), type=role, metadata=dict(facts))
                with used.new_file("facts.json") as file:  # not the file itself: weights are large, photographs private
                    json.dump({"sha256": facts["sha256"]}, file)
                with suppress(Exception):  # a lineage that has a gap, or none
                    self._run.use_artifact(used)

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


def _named(*parts: str) -> str:
    """A name for an artifact, which has only these characters."""
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def accepts_connections(url: str) -> bool:
    """Whether the server accepts a connection. W&B itself would try for half a minute."""
    if getproxies():
        return True  # behind a proxy, assume that the server is reachable
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname, port), PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def _give_up(session: Session, why: str) -> None:
    session.unreachable["wandb"] = why
    log.warning("W&B could not be reached (%s); the run is kept offline", why)
