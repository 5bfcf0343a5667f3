"""One run, from its config to its record."""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.strategies import DDPStrategy

from nst.builders import Experiment, build
from nst.clock import spending, spent
from nst.commandline import Labels, remove_empty
from nst.config import Accelerator, Config, Mode, Precision, TrackerName
from nst.earlier import MACHINE, Earlier
from nst.errors import Diverged, InputError, Stopped, one_line
from nst.files import CHECKPOINT, alone_in, read_record, refuse_another, refuse_changed, refuse_links
from nst.imagefile import load
from nst.memory import free, keep, ran_out
from nst.progress import Progress
from nst.record import Record, Recorder, device_facts, peak_memory_mb
from nst.tasks.task import Task
from nst.text import gigabytes, say
from nst.tracking import NoTracker, Tracker, WandbTracker, require_wandb, start_wandb

OPTIMISING = (Mode.transfer, Mode.reconstruct, Mode.texture, Mode.train, Mode.distill)
LENGTH = ("steps", "epochs")
MAY_DIFFER = (
    *MACHINE,
    *("resume", "rerun", "tracking", "question", "minimise", "strip", "trainer.checkpoint_seconds"),
)
"""Keys, or the groups they are in, that make no difference to a run's result; one that goes on may be longer, too."""


def execute(
    config: Config, folder: Path, labels: Labels, began: float, earlier: Earlier | None = None
) -> dict[str, Any]:
    """Run a config and leave its record in `folder`. `began` is when it was asked for, on time.perf_counter's clock.

    Returns the record's final losses and timings. A job of a sweep whose folder holds it already goes on from its
    checkpoint, or is left as it is if it is finished: the same command in the same folder completes a sweep.
    earlier: the run that this one goes on with, in its folder or in another, or makes again.
    Raises InputError, with nothing written, for what cannot work; Diverged and Stopped, with the record closed and for
    the latter the picture so far saved.
    """
    _quieten()
    if _tracks(config):
        require_wandb()
    seed_everything(config.seed, verbose=False)
    trainer = _trainer(config, alone=labels.sweep is None)
    device = trainer.strategy.root_device
    _round_products(config.trainer.precision, device)
    if _tracks(config) and trainer.is_global_zero:
        start_wandb()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with _short_of_memory(Experiment.lighter):
        experiment = build(config, device, trainer.world_size)
    task = experiment.task
    resolved: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    there = (folder / CHECKPOINT).exists()
    if not trainer.is_global_zero:
        for number in (signal.SIGINT, signal.SIGTERM):  # it is for the first process to stop all
            signal.signal(number, signal.SIG_IGN)
        checkpoint = _start(folder if there else config.resume, resolved, experiment)
        trainer.fit(task, ckpt_path=checkpoint, weights_only=True)
        remove_empty(folder)
        return {}
    with alone_in(folder):
        held = read_record(folder)
        resuming = earlier is not None and earlier.key == "resume" and earlier.folder.resolve() == folder.resolve()
        if held and not labels.sweep and not resuming:
            raise InputError(f"{folder} holds a run already; choose another folder with hydra.run.dir=FOLDER")
        refuse_links(folder)
        if "config" in held:
            where = earlier.where if earlier and resuming else f"hydra.sweep.dir: {folder}"
            refuse_another(where, held["config"], resolved, (*MAY_DIFFER, *LENGTH) if resuming else MAY_DIFFER)
            refuse_changed(where, held, experiment.inputs | experiment.weights)
            if held["status"] == "finished" and labels.sweep:
                say(f"kept     {os.path.relpath(folder)}, finished before")
                return dict(held["losses"] | held["timings"])
            if held["status"] == "finished":
                raise InputError(f"{where}: that run has finished; start one with more steps, or make it again: rerun=")
        checkpoint = _start(folder if "config" in held and there else config.resume, resolved, experiment)
        return _run(trainer, experiment, config, resolved, folder, labels, began, earlier, held, checkpoint)


def _run(
    trainer: Trainer,
    experiment: Experiment,
    config: Config,
    resolved: dict[str, Any],
    folder: Path,
    labels: Labels,
    began: float,
    earlier: Earlier | None,
    held: dict[str, Any],
    checkpoint: Path | None,
) -> dict[str, Any]:
    """The run, recorded. held: what record.json said of the folder before."""
    task, device = experiment.task, trainer.strategy.root_device
    name = labels.name or " ".join(Path(image).stem for image in (config.content, config.style) if image)
    started = datetime.now(timezone.utc) - timedelta(seconds=time.perf_counter() - began)
    facts: dict[str, Any] = {"command": labels.command, "overrides": labels.overrides, "started": started.isoformat()}
    facts |= {"name": f"{config.mode.value} {name}", "config": resolved}
    if "config" in held and not labels.sweep:  # a sweep's jobs are told apart by what it asks of them now
        again = {key: facts.pop(key) for key in ("command", "started")}
        facts |= {key: held[key] for key in (*again, "overrides", "name") if key in held}
        facts["resumed"] = [*held.get("resumed", []), again]
    facts |= {"inputs": experiment.inputs, "weights": experiment.weights, "device": device_facts(device)}
    facts |= {"data": experiment.data} if experiment.data else {}
    if seen := experiment.plan:
        facts["memory"] = {"estimated_mb": round(seen.bytes / 1e6), "strips": seen.strips}
        in_strips = f", in {seen.strips} strips" if seen.strips > 1 else ""
        say(f"memory   about {gigabytes(seen.bytes)} for a step{in_strips}; {gigabytes(free(device))} are free")
    record = Record(folder, facts)
    if earlier:
        differences = earlier.differences(record.facts)
        for line in differences:
            say(f"differs  {line}")
        record.facts[earlier.key] = {"of": earlier.given, "differs": differences}
    with spending("tracking"):
        before = held.get("wandb")
        if earlier and earlier.key == "resume" and not held:
            before = {"id": (earlier.record.get("wandb") or {}).get("id")}  # another run, that names the first
        tracker = _tracker(config, resolved, facts["name"], folder, labels.sweep, before)
    record.facts["wandb"] = tracker.facts()
    record.open()
    beside = {role: record.add_input(role, image) for role, image in experiment.originals.items()}
    recorder = Recorder(record, tracker, config.tracking.image_every, beside, config.trainer.checkpoint_seconds)
    trainer.callbacks += [Progress(), recorder]  # type: ignore[attr-defined]

    timings: dict[str, Any] = {"setup_seconds": time.perf_counter() - began, "setup": spent()}
    keep()
    status, signals = "failed", list[int]()
    try:
        with _stopping_gently(task, signals), _short_of_memory(experiment.lighter):
            trainer.fit(task, ckpt_path=checkpoint, weights_only=True)
        status = "finished"
    except SystemExit:  # what Lightning makes of a KeyboardInterrupt
        status = "interrupted"
    except Diverged as error:
        status, record.facts["error"] = "diverged", one_line(error)
        raise
    except Exception as error:
        record.facts["error"] = one_line(error)
        raise
    finally:
        if status in ("finished", "interrupted"):
            record.add_results(task)
            if data := experiment.data | task.data_facts():
                record.facts["data"] = data
        timings |= {
            "seconds_per_step": task.seconds / max(task.step, 1),
            "steps_seconds": task.seconds,
            "total_seconds": time.perf_counter() - began,
        } | task.timings()
        peak = peak_memory_mb(device)
        losses = {key: value for key, value in (record.rows or [{}])[-1].items() if key.startswith("loss/")}
        summary = losses | timings | {"peak_memory_mb": peak, "status": status}
        record.close(status, losses=losses, timings=timings | {"peak_memory_mb": peak}, wandb=tracker.facts())
        tracker.finish(summary, failed=status != "finished")
    _say(record, tracker, status, timings)
    if status == "interrupted" or (signals and labels.sweep):  # the latter in the last steps of a job
        raise Stopped(*signals[:1])
    if earlier and earlier.key == "rerun":
        say(f"again    {_likeness(folder / 'result.png', earlier.picture)}")
    return summary


def _likeness(result: Path, earlier: Path) -> str:
    """How a picture that was made again compares with the earlier one."""
    if not (result.is_file() and earlier.is_file()):
        return "there is no picture to compare"
    pictures = [load(path) for path in (result, earlier)]
    if pictures[0].shape != pictures[1].shape:
        return f"of another size than {earlier}"
    apart = 255 * float((pictures[0] - pictures[1]).abs().mean())
    return f"{earlier}, {'bit for bit' if apart == 0 else f'but for {apart:.2g} of 255 levels on average'}"


@contextmanager
def _short_of_memory(lighter: str) -> Iterator[None]:
    """What a user can do where memory runs out. lighter: what would take less."""
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        raise InputError(f"out of memory: take {lighter}") from None


@contextmanager
def _stopping_gently(task: Task, received: list[int]) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run at its next stop, with a checkpoint; the second ends it at once.

    received: where their numbers go.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: object) -> None:
        received.append(number)
        if task.stop_requested:
            raise KeyboardInterrupt
        task.stop_requested = True

    for number in handlers:
        signal.signal(number, request)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _trainer(config: Config, alone: bool) -> Trainer:
    """alone: not as a job of a sweep."""
    settings = config.trainer
    several = settings.processes != 1 or settings.machines != 1
    if several and config.mode is not Mode.train:
        raise InputError(f"mode={config.mode.value}: takes one process; only mode=train takes more")
    if settings.precision is not Precision.float32 and config.mode not in OPTIMISING:
        raise InputError(f"mode={config.mode.value}: takes float32; only modes that optimise take others")
    if several and not alone:
        raise InputError("trainer=ddp: not in a sweep, whose jobs take one process each; run them one by one")
    try:
        return Trainer(
            accelerator=settings.accelerator.value,
            devices=settings.processes or "auto",
            num_nodes=settings.machines,
            # what is not trained is the same everywhere from the start
            strategy=DDPStrategy(broadcast_buffers=False) if several else "auto",
            precision="bf16-mixed" if settings.precision is Precision.bfloat16 else "32-true",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        if settings.accelerator is Accelerator.gpu and not torch.cuda.is_available():
            said = "torch sees no GPU on this machine; take trainer=auto or trainer=cpu"
            raise InputError(f"trainer=gpu: {said}") from None
        raise InputError(f"trainer: {one_line(error)}") from None


def _round_products(precision: Precision, device: torch.device) -> None:
    """Let a GPU take convolutions in TF32, or not: torch by itself lets it."""
    if precision is Precision.tf32 and device.type != "cuda":
        raise InputError(f"trainer.precision=tf32: only NVIDIA's GPUs have it, and this run is on a {device.type}")
    torch.backends.cudnn.allow_tf32 = precision is Precision.tf32


def _tracks(config: Config) -> bool:
    return config.tracking.name is TrackerName.wandb and os.environ.get("WANDB_MODE") != "disabled"


def _tracker(
    config: Config,
    resolved: dict[str, Any],
    name: str,
    folder: Path,
    sweep: Path | None,
    before: dict[str, Any] | None,
) -> Tracker:
    """before: what the record of the run that this one goes on with says of its tracker."""
    tracking = config.tracking
    if not _tracks(config):
        return NoTracker()
    return WandbTracker(
        tracking.mode.value,
        sweep or folder,
        project=tracking.project,
        entity=tracking.entity,
        config=resolved,
        name=name,
        job_type=config.mode.value,
        tags=[config.mode.value, config.backbone.name.value, *tracking.tags],
        group=tracking.group or ("_".join(sweep.parts[-2:]) if sweep else None),
        before=before,
    )


def _start(start: Path | str | None, resolved: dict[str, Any], experiment: Experiment) -> Path | None:
    """The checkpoint to start from, given itself or by its run's folder, if it is of this run's config and files."""
    if start is None:
        return None
    path = Path(start).expanduser()
    path = path / CHECKPOINT if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"resume={path}: no such file")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        before, step, made_from = saved["config"], saved["progress"]["step"], saved["made_from"]
    except Exception:
        raise InputError(f"resume={path}: not a checkpoint of nst") from None
    refuse_another(f"resume={path}", before, resolved, (*MAY_DIFFER, *LENGTH))
    refuse_changed(f"resume={path}", made_from, experiment.inputs | experiment.weights)
    steps = experiment.task.stops[-1]
    if step >= steps:
        raise InputError(f"resume={path}: that run had got to step {step}; ask for more than steps={steps}")
    return path


def _say(record: Record, tracker: Tracker, status: str, timings: dict[str, Any]) -> None:
    say(
        f"{status} in {timings['total_seconds']:.1f} s "
        f"(setup {timings['setup_seconds']:.1f} s, {timings['seconds_per_step']:.3g} s/step)"
    )
    for line in (*record.where(), *tracker.how_to_browse()):
        say(line)


def _quieten() -> None:
    """Lightning's tips and its warnings about what is done here on purpose."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*capturable=True")  # of the steps before a CUDA graph is recorded
