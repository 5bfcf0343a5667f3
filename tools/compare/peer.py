"""Paint with the peer's recipe, in a folder like that of a run. What was interrupted continues after its last scale."""

import io
import pickle
import shlex
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from nst.errors import Diverged, InputError
from nst.files import encode_csv, sha256, write_whole
from nst.images.files import load
from nst.record.files import read_record
from nst.record.record import Record
from nst.text import say
from tools.compare.networks import unit_network
from tools.compare.pictures import fitted
from tools.compare.recipe import Recipe, State, descend, objective, start

PEER = "crowsonkb"
"""What the record gives as the style loss."""
COLUMNS = ("size", "steps", "seconds", "seconds_per_step", "loss")
"""Of scales.csv."""


@dataclass(frozen=True)
class Painting:
    """What is painted, and where to. size: the longest side in pixels; weights: a file, None for the network's own."""

    content: Path
    style: Path
    size: int
    folder: Path
    weights: Path | None = None
    network: str = "vgg16"
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def config(self) -> dict[str, Any]:
        """The settings, for the record."""
        names = {"mode": "peer", "style_loss": {"name": PEER}, "backbone": {"name": self.network}}
        steps = sum(self.recipe.steps_at(scale) for scale in range(len(self.recipe.sizes(self.size))))
        return names | {"size": self.size, "steps": steps} | {"recipe": asdict(self.recipe)}


def paint(painting: Painting) -> Path:
    """Write result.png, record.json and scales.csv, which has the seconds of each scale. Returns the picture's path.

    checkpoint.ckpt is written after each scale; a painting whose folder has one continues there. Raises InputError for
    files that cannot be used, and for a folder that holds a finished painting or the checkpoint of another one.
    """
    folder, recipe = painting.folder, painting.recipe
    if read_record(folder).get("status") == "finished":
        raise InputError(f"--out {folder}: holds a finished picture; choose another folder")
    files = {"content": painting.content, "style": painting.style}
    inputs = {role: [{"path": str(path), "sha256": sha256(path)}] for role, path in files.items()}
    network = unit_network(
        painting.network, (*recipe.style_layers, recipe.content_layer), painting.weights, first_padding="replicate"
    )
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "tools.compare", *sys.argv[1:]])
    facts = {"name": PEER, "command": command, "overrides": [], "config": painting.config, "inputs": inputs}
    record = Record(folder, facts)
    made_of = repr((inputs, sha256(painting.weights) if painting.weights else "", painting.config))
    state, rows = _continued(record.checkpoint, made_of)
    sizes = recipe.sizes(painting.size)
    record.open({"content": load(painting.content, painting.size), "style": fitted(painting.style, painting.size)})
    for scale in range(len(rows), len(sizes)):
        began = time.perf_counter()
        content, style = load(painting.content, sizes[scale]), fitted(painting.style, sizes[scale])
        state = (state or start(content)).resized(*content.shape[2:])
        loss = objective(network, content, style, recipe)
        state, value = descend(loss, state, recipe.steps_at(scale), recipe)
        if not state.picture.isfinite().all():
            raise Diverged(f"the picture is not finite after scale {sizes[scale]}; check the weights")
        rows.append(_row(sizes[scale], recipe.steps_at(scale), time.perf_counter() - began, value))
        say("  ".join(f"{name} {cell:.4g}" for name, cell in rows[-1].items()))
        _keep(record, made_of, state, rows)
    assert state is not None
    record.add_results(state.picture.clamp(0, 1), {})
    seconds = sum(row["seconds"] for row in rows)
    timings = {"total_seconds": seconds, "seconds_per_step": seconds / sum(row["steps"] for row in rows)}
    record.close("finished", timings=timings, losses={"loss/total": rows[-1]["loss"]})
    record.checkpoint.unlink(missing_ok=True)
    return folder / "result.png"


def _row(size: int, steps: int, seconds: float, loss: float) -> dict[str, float]:
    return dict(zip(COLUMNS, (size, steps, seconds, seconds / steps, loss), strict=True))


def _keep(record: Record, made_of: str, state: State, rows: list[dict[str, float]]) -> None:
    buffer = io.BytesIO()
    torch.save({"made_of": made_of, "state": tuple(state), "rows": rows}, buffer)
    write_whole(record.checkpoint, buffer.getvalue())
    record.add_file("scales.csv", encode_csv(COLUMNS, rows))
    record.add_picture(state.steps, state.picture.clamp(0, 1))


def _continued(checkpoint: Path, made_of: str) -> tuple[State | None, list[dict[str, float]]]:
    """The state and the rows of a checkpoint; none without one."""
    if not checkpoint.exists():
        return None, []
    try:
        held = torch.load(checkpoint, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
        raise InputError(f"--out {checkpoint.parent}: cannot read its checkpoint; delete it") from None
    if held["made_of"] != made_of:
        raise InputError(f"--out {checkpoint.parent}: holds the checkpoint of another painting; choose another folder")
    return State(*held["state"]), held["rows"]
