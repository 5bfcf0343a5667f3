"""The kinds that mutate a file, or a value, and use it through the door."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from nst import schema
from nst.errors import REFUSED
from tools.soak import structures
from tools.soak.case import NEW_RUN, REPORT, Case, Counts, Failure, differing, state
from tools.soak.mutate import DEEP, DIGITS, PLAIN, as_text, mutate_file
from tools.soak.stock import FORMATS, SMALL, TINY, TRAIN, VGG

NEW = f"hydra.run.dir={NEW_RUN}"
"""A folder that a refused run must not leave; but see REFUSED_LATE."""
LONGER = {"run": ["steps=9"], "training": ["steps=6", "data.workers=0"]}
"""Run of the stock → what lets it go on."""
NOT_TRIED = (
    *("trainer.devices", "trainer.num_nodes", "data.workers"),  # start as many processes as they say
    *("output", "resume", "rerun", "tracking.name", "steps", "epochs", "scales", "size", "style_size", "style_scale"),
)
"""Keys whose wrong values have kinds of their own, or whose large ones take their time."""

Mutation = Callable[[Case], Counts]
Structure = Callable[[Path, Random], str]


def _mutate(case: Case, path: Path, structure: Structure | None = None) -> None:
    case.notes.append(mutate_file(path, case.outside, case.draw, structure))


def _resumed(name: str, file: str, structure: Structure) -> Mutation:
    """A run whose record or checkpoint is mutated goes on."""

    def use(case: Case) -> Counts:
        folder = case.take(name)
        _mutate(case, folder / file, structure)
        return case.use(f"resume={name}", *LONGER[name])

    return use


def record_rerun(case: Case) -> Counts:
    """A run is made again from a mutated record."""
    _mutate(case, case.take("run") / "record.json", structures.record)
    return case.use("rerun=run", "steps=2", "size=48", NEW)


def picture_rerun(case: Case) -> Counts:
    """A run is made again from a picture whose record, or file, is mutated."""
    case.take("run")
    (case.here / "run" / "result.png").rename(case.here / "it.png")
    _mutate(case, case.here / "it.png", structures.picture)
    return case.use("rerun=it.png", "steps=2", "size=48", NEW)


def checkpoint_alone(case: Case) -> Counts:
    """A run begins at a mutated checkpoint of another one."""
    _mutate(case, case.take("run/checkpoint.ckpt", "it.ckpt"), structures.pickled)
    return case.use(*SMALL, "steps=9", "resume=it.ckpt", NEW)


def sweep_resume(case: Case) -> Counts:
    """A sweep with one mutated record is completed, and the runs beside it are kept as they are."""
    sweep = case.take("runs")
    _mutate(case, sweep / "1" / "record.json", structures.record)
    others = {name: state(sweep / name) for name in "02"}
    counts = case.use("resume=runs", sweep=True)
    for name, before in others.items():
        if changed := differing(before, state(sweep / name)):
            raise Failure(f"changed {changed} of {name}, a run that had finished")
    if (sweep / "1" / "error.log").exists():
        raise Failure("left an error.log")
    return counts


def report(case: Case) -> Counts:
    """A folder with one mutated record, picture or table of losses is reported on, and the good runs are shown."""
    sweep = case.take("runs")
    for path in sweep.glob("report.html"):
        path.unlink()
    files = ["record.json", "record.json", "record.json", "result.png", "losses.csv", "inputs/style.jpg"]
    name = case.draw.choice([*files, "multirun.yaml"])
    path = sweep / name if name == "multirun.yaml" else sweep / "1" / name
    _mutate(case, path, structures.record if name == "record.json" else None)
    beside = {name: state(sweep / name) for name in "012"}
    more = case.draw.choice([[], [], ["--publish", "made"], ["--by", "seed"], ["--best"]])
    case.notes.append(f"nst.report {' '.join(more)}")
    counts = case.use("runs", *more, module=REPORT, allowed=[0] if not more else [0, REFUSED])
    if changed := [name for name, before in beside.items() if differing(before, state(sweep / name))]:
        raise Failure(f"changed a file of run {changed[0]}")
    if not more:
        text = (sweep / "report.html").read_text(encoding="utf-8")
        if missing := [name for name in "02" if f"{name}/result.png" not in text]:
            raise Failure(f"does not show run {missing[0]}, whose record is good")
    return counts


def image(case: Case) -> Counts:
    """A run takes a mutated image."""
    name = f"photo.{case.draw.choice(FORMATS)}"
    role = case.draw.choice(["content", "content", "style", "init", "mask", "regions"])
    _mutate(case, case.take(name))
    given = (
        f"regions=[{{mask:{name},style:waves}},{{mask:rest,style:swirl}}]" if role == "regions" else f"{role}={name}"
    )
    case.notes.append(f"as {role}")
    return case.use(*TINY, "steps=2", given, NEW)


def weights(case: Case) -> Counts:
    """A run takes mutated weights of its backbone, or of its judge."""
    name = case.draw.choice(["vgg.pth", "vgg.safetensors"])
    _mutate(case, case.take(name), structures.pickled if name.endswith("pth") else structures.header)
    return case.use(*VGG, "judge=none", f"backbone.weights={name}", NEW)


def generator(case: Case) -> Counts:
    """A mutated generator paints, is exported, or is taken from the checkpoint of its training."""
    photo = f"content={case.take('photo.png').name}"
    name = case.draw.choice(["generator.safetensors", "generator.safetensors", "training/checkpoint.ckpt"])
    path = case.take(name, name.replace("/", "-"))
    _mutate(case, path, structures.header if path.suffix == ".safetensors" else structures.pickled)
    modes = [["mode=stylize", photo, "size=48", "judge=none"]] * 5 + [["mode=export"]]
    return case.use(*case.draw.choice(modes), f"checkpoint={path.name}", "tracking=none", NEW)


def onnx(case: Case) -> Counts:
    """A mutated ONNX model paints."""
    photo = f"content={case.take('photo.png').name}"
    _mutate(case, case.take("generator.onnx"), structures.model)
    stylize = ("mode=stylize", photo, "size=48", "tracking=none", "judge=none")
    return case.use(*stylize, "checkpoint=generator.onnx", NEW)


def experiment(case: Case) -> Counts:
    """A mutated file of an experiment."""
    case.take("photo.png")
    _mutate(case, case.take("experiment.yaml"), structures.experiment)
    return case.use("experiment=experiment.yaml", "steps=2", "size=48", "tracking=none", "judge=none", NEW)


def values(case: Case) -> Counts:
    """One to three keys of the command line have values that they should not have."""
    draw = case.draw
    keys = [each.name for each in schema.all_keys() if each.name not in NOT_TRIED and ".NAME" not in each.name]
    case.take("photo.png")
    mode = draw.choice([SMALL, SMALL, (*SMALL, "optimizer=adam"), TRAIN])
    texts = [str(each) if draw.random() < 0.5 else as_text(each) for each in PLAIN if each not in (*DEEP, DIGITS)]
    texts = [each.replace("\0", "") for each in texts if "\ud800" not in each and len(each) < 10_000]
    given = [f"{draw.choice(keys)}={draw.choice(texts)}" for _ in range(draw.choice([1, 1, 2, 3]))]
    case.notes.extend(ascii(each)[:80] for each in given)
    return case.use(*mode, "steps=2", *given, NEW)


MUTATIONS: dict[str, Mutation] = {
    "record-resume": _resumed("run", "record.json", structures.record),
    "training-record": _resumed("training", "record.json", structures.record),
    "record-rerun": record_rerun,
    "picture-rerun": picture_rerun,
    "checkpoint-resume": _resumed("run", "checkpoint.ckpt", structures.pickled),
    "checkpoint-alone": checkpoint_alone,
    "training-checkpoint": _resumed("training", "checkpoint.ckpt", structures.pickled),
    "sweep-resume": sweep_resume,
    "report": report,
    "image": image,
    "weights": weights,
    "generator": generator,
    "onnx": onnx,
    "experiment": experiment,
    "values": values,
}
"""Kind → what it does with a case."""
