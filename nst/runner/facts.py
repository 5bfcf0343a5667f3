"""What a record says from the start of a run."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import torch

from nst import devices
from nst.modes.parts import Experiment, names_of
from nst.record.paths import working_folder
from nst.runner.request import Request


def first_facts(
    request: Request, experiment: Experiment, held: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """The first facts of a run's record. held: the record that the run's folder holds already, if it continues."""
    given = [getattr(request.config, role) for role in request.mode.needed]
    names = [Path(image).stem for each in given if each for image in names_of(each)]
    started = datetime.now(timezone.utc) - timedelta(seconds=time.perf_counter() - request.began)
    facts: dict[str, Any] = {
        "command": request.labels.command,
        "overrides": request.labels.overrides,
        "started": started.isoformat(),
        "name": f"{request.mode.name} {request.labels.name or ' '.join(names)}",
        "config": request.plain_config(),
    }
    if "config" in held and not request.labels.sweep:  # a sweep's jobs are named by what it asks of them now
        again = {key: facts.pop(key) for key in ("command", "started")}
        facts |= {key: held[key] for key in (*again, "overrides", "name") if key in held}
        facts["resumed"] = [*held.get("resumed", []), again]
        kept = [key for key in held.get("decided", {}) if key not in request.labels.overridden]
        facts["config"] |= {key: held["config"][key] for key in kept if key in held["config"]}
    facts |= {
        "decided": experiment.decided,
        "roles": {key: list(roles) for key, roles in request.mode.roles.items()},
        "inputs": experiment.inputs,
        "weights": experiment.weights,
        "device": devices.facts(device),
        **working_folder(request.folder),
    }
    if plan := experiment.plan:
        facts["memory"] = {"estimated_mb": round(plan.bytes / 1e6), "strips": plan.strips}
    return facts | ({"data": experiment.data} if experiment.data else {})
