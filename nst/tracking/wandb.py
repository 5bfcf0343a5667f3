"""Weights & Biases: online, or kept in the run's folder. Trouble with its server costs some seconds once."""

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
from nst.tracking import TrackedRun, Tracker, register, wandb_service

log = logging.getLogger(__name__)
PROBE_TIMEOUT = 4.0
"""Seconds to wait for W&B's server to accept a connection."""
INIT_TIMEOUT = 7.0
"""Seconds to wait for it to accept a run."""
LINEAGE_TIMEOUT = 6.0
"""Seconds to wait for it to note what a result was made from."""


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
        self._options, self._described, self._session = options, run, session
        self._uploaded, self._silent = True, False
        if not os.environ.get("WANDB_MODE"):  # wandb refuses an empty one
            os.environ.pop("WANDB_MODE", None)
        mode = os.environ.get("WANDB_MODE") or options.mode.value
        modes = [each.value for each in WandbMode]
        if mode not in modes:
            raise InputError(f"WANDB_MODE={mode}: must be one of {', '.join(modes)}; tracking=none leaves W&B out")
        self._wandb = wandb = wandb_service.set_up()
        try:
            if mode == "auto":
                # verify=False: no request, so an unreachable server does not delay the start
                mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
            online = mode == "online" and "wandb" not in session.unreachable
            self._run = self._init_online() if online else self._init("offline")
        except (wandb.errors.UsageError, ValueError) as error:
            raise InputError(f"W&B refuses this run: {error}; see the keys tracking.*") from None
        self._lineage: Thread | None = None
        if options.artifacts and not self._run.offline:
            # while the run goes on, as W&B waits for its server at each file
            self._lineage = Thread(target=self._use_inputs, daemon=True)
            self._lineage.start()

    def _init_online(self) -> Any:
        """A run that the server accepts, else one that is kept offline."""
        # not wandb.login()'s own settings: it would ask the server who is logged in
        url = self._wandb.setup().settings.base_url
        why = f"{url} does not answer"
        if accepts_connections(url):
            try:
                run = self._init("online")
                if run.entity:
                    return run
                why = "its answer names no account"  # which in the end would break the service process
            except Exception as error:  # of many kinds, and the service process may have ended
                why = str(error).split("\n")[0] or type(error).__name__
            self.abandon()  # what it has begun would wait for the server at the end
            wandb_service.set_up()
        run = self._init("offline")  # first, as it may raise what the user has to change
        self._give_up(f"W&B could not be reached ({why}); the run is kept offline")
        return run

    def _give_up(self, why: str) -> None:
        self._session.unreachable["wandb"] = why
        log.warning(why)

    def _init(self, mode: str) -> Any:
        run, previous = self._described, self._described.previous
        same = previous if previous and mode == previous.get("mode") == "online" else {}
        return self._wandb.init(
            **({"id": same["id"], "resume": "allow"} if same else {}),
            mode=mode,
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
                # before the guard loses patience: what the service process has not written by then would be lost
                finish_timeout=self._session.patience.allowed_after(INIT_TIMEOUT + LINEAGE_TIMEOUT) - 1,
                finish_timeout_raises=True,
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
                wandb_service.set_up()

        Thread(target=start).start()

    @staticmethod
    def abandon() -> None:
        """Kill W&B's service process."""
        wandb_service.kill()

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

    def log_results(self, results: Sequence[Path]) -> None:
        """Each result as an artifact of this run. What it was made from is in its metadata; online, as its lineage."""
        if not self._options.artifacts:
            return
        if self._lineage:
            self._lineage.join(LINEAGE_TIMEOUT)
            self._silent = self._lineage.is_alive()
            if self._silent:  # an artifact would wait, too
                log.warning("W&B does not answer; the run is there without its results and what they were made from")
                return
        metadata = {role: [dict(facts) for facts in files] for role, files in self._described.made_from.items()}
        for path in results:
            made = self._wandb.Artifact(_named(path.stem, self._run.id), type=path.stem, metadata=metadata)
            made.add_file(str(path), policy="immutable")
            self._run.log_artifact(made)

    def _use_inputs(self) -> None:
        for role, files in self._described.made_from.items():
            for facts in files:
                if self._silent:  # the process may be about to end, and removes W&B's temporary files
                    return
                with suppress(Exception):  # a lineage that has a gap, or none
                    used = self._wandb.Artifact(_named(role, facts["sha256"][:12]), type=role, metadata=dict(facts))
                    # not the file itself: weights are large, photographs private
                    with used.new_file("facts.json") as file:
                        json.dump({"sha256": facts["sha256"]}, file)
                    self._run.use_artifact(used)

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        self._run.summary.update(dict(summary))
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            self._uploaded = False
            self._give_up("W&B has not taken all of the run in time; the rest is kept offline")

    def facts(self) -> dict[str, Any] | None:
        facts = {"id": self._run.id, "group": self._run.group, "folder": str(self._folder)}
        return facts | ({"mode": "offline"} if self._run.offline else {"mode": "online", "url": self._run.url})

    @property
    def _folder(self) -> Path:
        return Path(self._run.dir).parent

    def how_to_browse(self) -> list[str]:
        wandb = "wandb" if shutil.which("wandb") else os.path.relpath(Path(sys.executable).with_name("wandb"))
        folder = shlex.quote(os.path.relpath(self._folder))
        if not self._run.offline:
            rest = "" if self._uploaded else f"   (not all of it; upload: {wandb} sync {folder})"
            return [f"W&B      {self._run.url}{rest}"]
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
