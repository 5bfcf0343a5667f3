"""Nothing that a user is handed runs code or writes outside the run's folder: each test has an attack in it."""

import json
import struct
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file

from nst.tensors import read_tensors
from tests.cli.test_bad_input import Malice
from tests.cli.test_sweeps import stop_at
from tests.conftest import SMALL, Door
from tools.soak.mutate import held_twice, with_attributes
from tools.soak.processes import Command


@pytest.fixture(autouse=True)
def _unharmed(tmp_path: Path) -> object:
    yield
    assert not list(tmp_path.rglob("PWNED"))


def theirs(name: str, text: str) -> None:
    """Write an experiment into the folder of configs that somebody else has given."""
    path = Path("theirs") / "experiment" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# @package _global_\n{text}\n")


ATTACKS = {
    "callback": ("hydra: {callbacks: {x: {_target_: os.system, command: touch PWNED}}}", "a config cannot name code"),
    "launcher": ("hydra: {launcher: {_target_: os.system}}", "a config cannot name code"),
    "sweeper": ("hydra: {mode: MULTIRUN, sweeper: {_target_: subprocess.call}}", "a config cannot name code"),
    "anywhere": ("hydra: {env: {x: {_target_: os.system}}}", ""),
    "log file": (
        "hydra: {job_logging: {handlers: {x: {class: logging.FileHandler, filename: PWNED}}}}",
        "logs can only go to the terminal",
    ),
    "log factory": (
        "hydra: {hydra_logging: {handlers: {x: {(): os.system, command: touch PWNED}}}}",
        "logs can only go to",
    ),
    "log stream": (
        "hydra: {hydra_logging: {handlers: {console: {stream: ext://antigravity}}}}",
        "logs can only go to",
    ),
    "log by way of another key": (
        "hydra: {job_logging: {handlers: {x: '${hydra.help}'}}}",
        "cannot refer to other keys",
    ),
    "resolvers": (
        "hydra: {callbacks: {x: '${oc.create:{_target_: os.system, command: touch PWNED}}'}}",
        "cannot refer to other keys",
    ),
    "logs from another node": (
        "hydra: {env: {version: 1, handlers: {x: {class: logging.FileHandler, filename: PWNED}}}, "
        "job_logging: '${hydra.env}'}",
        "",
    ),
    "where files go": ("hydra: {run: {dir: PWNED}}", "only the command line can choose where files go"),
    "where files go, by way of another key": (
        "{question: ../PWNED, hydra: {mode: MULTIRUN, sweep: {subdir: '${question}'}}}",
        "cannot refer to other keys",
    ),
    "config files": ("hydra: {output_subdir: ../PWNED}", "leave it null"),
    "forged command line": (
        "hydra: {overrides: {hydra: ['hydra.sweep.subdir=x']}, sweep: {subdir: ../PWNED}}",
        "must be a folder inside the sweep's",
    ),
    "environment": ("hydra: {job: {env_set: {LD_PRELOAD: ./evil.so}}}", "cannot set the environment"),
    "folder": ("hydra: {mode: MULTIRUN, sweep: {subdir: ../../PWNED}}", "must be a folder inside the sweep's"),
    "folder by way of the time": (
        "hydra: {mode: MULTIRUN, sweep: {subdir: '${now:/}PWNED'}}",
        "must be a folder inside the sweep's",
    ),
    "folder by way of the job's name": (
        "hydra: {mode: MULTIRUN, job: {name: ../../PWNED}, sweep: {subdir: '${hydra.job.name}'}}",
        "must be a folder inside the sweep's",
    ),
    "code of Hydra's own": (
        "hydra: {callbacks: {x: {_target_: hydra._internal.core_plugins.basic_launcher.configure_log}}}",
        "a config cannot name code",
    ),
    "secret": ("question: ${oc.env:HOME}", "Unsupported interpolation type oc.env"),
    "yaml tag": ("question: !!python/object/apply:os.system [touch PWNED]", "not YAML"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_config(attack: str, nst: Door) -> None:
    text, said = ATTACKS[attack]
    theirs("evil", text)
    result = nst("--config-dir=theirs", "experiment=evil", *SMALL, "steps=1")
    assert result.status == 2, result.out
    assert said in result.err
    assert result.err.count("\n") == 1


def test_a_shell_script_of_a_launcher(nst: Door) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="submitit is not installed")
    defaults = "defaults: [{override /hydra/launcher: submitit_slurm}]"
    for evil in ("setup: [touch PWNED]", 'partition: "a\\ntouch PWNED #"', "submitit_folder: PWNED"):
        theirs("evil", f"{defaults}\nhydra: {{launcher: {{{evil}}}}}")
        result = nst("-m", "--config-dir=theirs", "experiment=evil", *SMALL)
        assert result.status == 2
        assert "the command line" in result.err
    typed = nst("hydra/launcher=submitit_slurm", "hydra.launcher.setup=[module load x]", "--cfg", "hydra")
    assert typed.status == 0, typed.err


def test_a_config_that_only_a_launcher_s_process_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="joblib is not installed")
    monkeypatch.setenv("NST_SECRET", "hunter2hunter2")
    theirs("secret", "question: ${oc.env:NST_SECRET}")
    log = "hydra: {job_logging: {handlers: {x: {class: logging.FileHandler, filename: PWNED}}, root: {handlers: [x]}}}"
    theirs("log", log)
    asked = ["-m", "--config-dir=theirs", "experiment=secret,log", *SMALL, "steps=1"]
    assert Command(*asked, "hydra/launcher=joblib", "hydra.sweep.dir=sweep").end().status != 0
    assert not [path for path in tmp_path.rglob("*.json") if "hunter2" in path.read_text()]


@pytest.mark.parametrize("key", ["backbone.weights", "resume"])
def test_a_pickle(key: str, nst: Door) -> None:
    torch.save({"config": Malice(), "features.0.weight": Malice()}, "evil.pth")
    result = nst("backbone=vgg19", *SMALL, "style_layers=[conv1_1]", "content_layers=[conv1_1]", f"{key}=evil.pth")
    assert result.status == 2


ENDLESS = b"})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
"""A pickle: a dictionary whose name is a pair of a pair of a pair …, sixty deep, and both in a pair are the same one.

q keeps a value, h fetches it once more, and \x86 makes a pair of two.
"""
READERS = (
    ["resume=it.pth"],
    ["backbone=vgg19", "backbone.weights=it.pth"],
    ["mode=stylize", "checkpoint=it.pth", "content=chelsea"],
)


def as_zip(pickle: bytes) -> bytes:
    """A file of torch.save with another pickle in it."""
    torch.save({}, empty := BytesIO())
    with ZipFile(empty) as whole, ZipFile(made := BytesIO(), "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, pickle if name.endswith("data.pkl") else whole.read(name))
    return made.getvalue()


@pytest.mark.parametrize("form", ["zip", "old", "bare", "zip after it"])
def test_a_pickle_without_an_end(form: str, nst: Door) -> None:
    torch.save({}, old := BytesIO(), _use_new_zipfile_serialization=False)
    dictionary = b"}q\x00."
    assert old.getvalue().count(dictionary) == 1
    Path("it.pth").write_bytes(
        {
            "zip": as_zip(ENDLESS),
            "old": old.getvalue().replace(dictionary, ENDLESS),
            "bare": b"\x80\x02" + ENDLESS,
            "zip after it": b"\x80\x02" + ENDLESS + as_zip(ENDLESS),
        }[form]
    )
    for keys in READERS:
        result = nst(*keys, "tracking=none")
        assert result.status == 2
        assert result.err.count("\n") == 1
        assert "it.pth: " in result.err
        assert not result.folder.exists()


LOOP: list[object] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "evil", [held_twice(60), LOOP, torch.zeros(1).expand(10**6, 10**6)], ids=["list", "loop", "tensor"]
)
def test_a_file_that_holds_the_same_again_and_again(evil: object, nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst.tensors.MOST_VALUES", 100_000)  # who counts to ten million takes seconds
    first = nst(*SMALL, "steps=1")
    saved = torch.load(first.folder / "checkpoint.ckpt", weights_only=True)
    trained = {"mode": "train", "style": evil, "generator": {"name": evil, "width": 4, "blocks": 1}}
    files: list[tuple[dict[str, object], ...]] = [
        (saved | {"optimizer": {"state": {0: {"func_evals": evil}}, "param_groups": []}}, saved | {"rows": evil}),
        ({"features.0.weight": evil},),
        ({"config": {"mode": evil}}, {"config": trained, "task": {"generator": {}}}),
    ]
    for keys, contents in zip(READERS, files, strict=True):
        for each in contents:
            torch.save(each, "it.pth")
            result = nst(*keys, *(SMALL if keys[0].startswith("resume") else ["tracking=none"]), "steps=2")
            assert result.status == 2
            assert result.err.count("\n") == 1
            assert not result.folder.exists()


SAME_HASH = 2**61 - 1
"""Whole numbers that differ by a multiple of it have the same hash, and a dictionary looks through all of them."""
FOREIGN: dict[str, tuple[object, str]] = {
    "an array of zeros": (bytearray(9), "calls __builtin__ bytearray"),
    "a set": ({1, 2}, "calls __builtin__ set"),
    "a type that cannot be tested": (torch.zeros(2).to(torch.float8_e4m3fn), "calls torch"),
    "a tensor with its own methods": (with_attributes(torch.zeros(2), isfinite=1), "calls torch._tensor"),
    "complex numbers": (torch.zeros(2, dtype=torch.complex64), "calls torch ComplexFloatStorage"),
    "tuples as names": ({(1, 2): torch.zeros(2)}, "a name that is no text and no number"),
    "long numbers as names": ({SAME_HASH * each: 1 for each in range(8, 20)}, "more than 64 bits"),
    "a large tuple": (tuple(range(2000)), "a large tuple"),
    "a list again and again": (held_twice(60), "again and again"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_in_no_file_of_plain_tensors(kind: str, nst: Door) -> None:
    value, said = FOREIGN[kind]
    torch.save({"it": value}, "it.pth")
    result = nst(*READERS[1], "tracking=none")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert said in result.err
    assert not result.folder.exists()


MADE = {
    "of a list of pairs": b"ccollections\nOrderedDict\n](K\x01K\x02\x86K\x03\x86e\x85R",
    "of another one": b"}q\x02ccollections\nOrderedDict\nh\x02\x85R\x86",
    "of arguments in a list": b"ccollections\nOrderedDict\n]]aR",
    "with attributes from a list": b"ccollections\nOrderedDict\n)R](K\x01K\x02\x86eb",
    "with attributes of another one": b"}q\x02ccollections\nOrderedDict\n)Rh\x02b\x86",
}
"""Pickles of ordered dictionaries, as torch.save writes none."""


@pytest.mark.parametrize("kind", MADE)
def test_a_dictionary_is_made_of_nothing(kind: str) -> None:
    Path("it.pth").write_bytes(as_zip(b"\x80\x02" + MADE[kind] + b"."))
    with pytest.raises(ValueError, match=r"a dictionary that is made of|attributes that are held"):
        read_tensors(Path("it.pth"))


@pytest.mark.parametrize("is_zip", [True, False])
def test_honest_files_are_read(is_zip: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    shared = torch.rand(9)
    for optimizer in (torch.optim.Adam(network.parameters()), torch.optim.LBFGS(network.parameters())):
        optimizer.step(lambda: network(torch.rand(1, 3, 5, 5)).square().sum())  # type: ignore[no-untyped-call]
        honest = {
            "network": network.state_dict(),
            "parameters": OrderedDict(network.named_parameters()),
            "half": [each.detach().half() for each in network.parameters()],
            "parts": {
                "scalar": torch.tensor(3.0),
                "view": torch.arange(12.0).view(3, 4).t(),
                "none": torch.zeros(0, 3),
            },
            "shared": [shared, shared, (shared, 1, "two", None, True)],
            "optimizer": optimizer.state_dict(),
        }
        torch.save(honest, "st\udcff.pth", _use_new_zipfile_serialization=is_zip)
        read = read_tensors(Path("st\udcff.pth"))
        assert str(read) == str(honest)


def test_one_entry_that_a_zip_file_lists_again_and_again() -> None:
    torch.save({}, "it.pth")
    with ZipFile("it.pth", "a") as file:
        file.writestr("it/large", bytes(2**20))
        file.filelist += [file.filelist[-1]] * 60_000
    with pytest.raises(ValueError, match="damaged"):
        read_tensors(Path("it.pth"))


def test_a_zip_file_that_is_another_one_for_torch() -> None:
    """Python takes the directory just before the end, torch that which the end names: here, of packed entries."""
    torch.save({}, plain := BytesIO())
    parts = []
    for packed in (True, False):
        with ZipFile(plain) as whole, ZipFile(made := BytesIO(), "w") as changed:
            for name in whole.namelist():
                more = bytes(2**24) if packed and name.endswith("data.pkl") else b""
                changed.writestr(name, whole.read(name) + more, ZIP_DEFLATED if packed else ZIP_STORED)
        data = made.getvalue()
        end = data.rfind(b"PK\5\6")
        size, at = struct.unpack("<II", data[end + 12 : end + 20])
        parts.append((data[:at], bytearray(data[at : at + size]), data[end:]))
    (entries, directory, end_of_all), (others, second, _) = parts
    place = 0
    while place < len(second):  # Python adds to each offset how far the directory is from where the end says
        lengths = struct.unpack("<HHH", second[place + 28 : place + 34])
        (offset,) = struct.unpack("<I", second[place + 42 : place + 46])
        second[place + 42 : place + 46] = struct.pack("<I", offset + len(entries) - len(others))
        place += 46 + sum(lengths)
    Path("it.pth").write_bytes(entries + directory + others + second + end_of_all)
    with ZipFile("it.pth") as seen:
        assert {entry.compress_type for entry in seen.infolist()} == {ZIP_STORED}
        assert seen.testzip() is None
    with pytest.raises(ValueError, match="more bytes than the file has"):
        read_tensors(Path("it.pth"))


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="only Linux has files without an end")
def test_a_file_without_an_end_is_no_input_of_a_record(nst: Door) -> None:
    first = nst(*SMALL, "steps=1")
    record = first.record | {"working_folder": "/proc/self"}
    record["config"]["content"] = "pagemap"
    (first.folder / "record.json").write_text(json.dumps(record))
    for key in ("rerun", "resume"):
        result = nst(f"{key}={first.folder}", "tracking=none")
        assert result.status == 2
        assert result.err.count("\n") == 1


def test_configs_in_a_folder_that_hydra_reads(nst: Door) -> None:
    lists = "\n".join(f"  k{each}: &a{each} [{','.join([f'*a{each - 1}'] * 10)}]" for each in range(1, 12))
    theirs("bomb", f"labels:\n  x: &a0 [x]\n{lists}")
    theirs("deep", f"labels: {'[' * 30}{']' * 30}")
    theirs("large", f"labels: {{{', '.join(f'{each}: x' for each in range(20_000))}}}")
    theirs("loop", "defaults: [/experiment@x: loop, _self_]")
    for name in ("bomb", "deep", "large", "loop"):
        result = nst("--config-dir=theirs", f"experiment={name}", *SMALL, "steps=1")
        assert result.status == 2
        assert result.err.count("\n") == 1
        assert ("cannot be composed" if name == "loop" else "not YAML of a config") in result.err


def test_values_that_bring_their_own_methods(teacher: Path, nst: Door) -> None:
    torch.save(with_attributes(OrderedDict(load_file(teacher)), values=1, get=1), "it.pth")
    vgg = ("backbone=vgg19", "size=32", "steps=1", "style_layers=[conv1_1]", "content_layers=[conv1_1]", "judge=none")
    result = nst(*vgg, "backbone.weights=it.pth", "tracking=none")
    assert result.status == 0, result.err


def test_a_generator(nst: Door) -> None:
    torch.save({"config": {"mode": "train"}, "state_dict": Malice()}, "checkpoint.ckpt")
    assert nst("mode=stylize", "checkpoint=checkpoint.ckpt", "content=chelsea", "tracking=none").status == 2


def test_an_image_that_is_a_program(nst: Door) -> None:
    Path("evil.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(PWNED) (w) file closefile\n")
    assert nst(*SMALL, "content=evil.png").status == 2


def evil_picture(config: dict[str, object]) -> None:
    chunk = PngInfo()
    chunk.add_text("nst", json.dumps({"config": config, "inputs": {}, "weights": {}}))
    Image.new("RGB", (8, 8)).save("evil.png", pnginfo=chunk)


def test_the_text_of_a_picture(nst: Door, tmp_path: Path) -> None:
    first = nst(*SMALL, "steps=1")
    config = first.record["config"]
    for key, value in (("question", "${oc.env:HOME}"), ("question", "${now:%Y}"), ("style", "a${hydra:run.dir}")):
        evil_picture(config | {key: value})
        again = nst("rerun=evil.png", "tracking=none", *(["style=swirl"] if key == "style" else []))
        assert again.status == 0, again.err
        assert again.record["config"][key] == (value if key == "question" else "swirl")  # and nothing is looked up
    evil_picture(config | {"tracking": {"name": "wandb", "entity": "theirs"}, "hydra": {"run": {"dir": "PWNED"}}})
    assert nst("rerun=evil.png", "tracking=none").status == 2
    evil_picture(config | {"tracking": {"name": "wandb", "entity": "theirs"}})
    assert "entity" not in nst("rerun=evil.png", "tracking=none").record["config"]["tracking"]


def test_a_sweep_that_is_taken_up(nst: Door, tmp_path: Path) -> None:
    (tmp_path / "theirs" / "0").mkdir(parents=True)
    command = (
        "python -m nst.run -m seed=0,1 '+hydra.callbacks.x._target_=os.system' '+hydra.callbacks.x.command=touch PWNED'"
    )
    (tmp_path / "theirs" / "0" / "record.json").write_text(json.dumps({"status": "failed", "command": command}))
    assert nst("resume=theirs", *SMALL, "steps=1").status == 0  # without what it says to Hydra


def test_links_in_a_folder_that_is_taken_up(nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stop_at(2, monkeypatch)
    asked = (*SMALL, "tracking.loss_every=2", "hydra.run.dir=theirs")
    assert nst(*asked, "trainer.checkpoint_seconds=1e-6").status == 130
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "theirs" / ".losses.csv.part").symlink_to(tmp_path / "mine")
    result = nst("resume=theirs", "hydra.run.dir=theirs")
    assert result.status == 2
    assert ".losses.csv.part: a link" in result.err
    assert (tmp_path / "mine").read_text() == "mine"


def test_records_of_another_shape(nst: Door) -> None:
    first = nst(*SMALL, "steps=1")
    shapes: list[dict[str, object]] = [
        {"versions": "x"},
        {"git": "x"},
        {"git": {"commit": 3, "changed": False}},
        {"inputs": {"content": {}}},
        {"weights": {"slim": "x"}},
        {"device": ["x"]},
        {"config": {"optimizer": []}},
        {"config": first.record["config"] | {"tracking": {"name": {"from": "x"}}}},
    ]
    record = first.record
    for shape in shapes:
        (first.folder / "record.json").write_text(json.dumps(record | shape))
        result = nst(f"rerun={first.folder}")
        assert result.status == 2, shape
        assert result.err.count("\n") == 1, result.err


def test_a_report(nst: Door, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    assert (
        nst("-m", *SMALL, "steps=1", "seed=0,1", f"'question=\"{evil}\"'".strip("'"), "hydra.sweep.dir=sweep").status
        == 0
    )
    record = json.loads((tmp_path / "sweep" / "1" / "record.json").read_text())
    record |= {"name": evil, "overrides": [f"seed={evil}"], "status": evil, "error": evil, "command": evil}
    record["config"]["seed"] = evil
    (tmp_path / "sweep" / "1" / "record.json").write_text(json.dumps(record))
    from nst.report import write_report
    from nst.report.sweep import read

    for path in write_report(read(tmp_path / "sweep")).values():
        if path.suffix in (".html", ".svg"):
            assert evil not in path.read_text()


def test_a_record_tells_nothing_of_the_environment(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_SECRET", "hunter2hunter2")
    result = nst(*SMALL, "steps=1")
    for path in result.folder.rglob("*"):
        if path.is_file():
            assert b"hunter2hunter2" not in path.read_bytes()
