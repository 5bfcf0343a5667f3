"""README.md and docs/: every command and every block of Python runs, small; links lead somewhere; keys.md is fresh."""

import json
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from nst import api, download, run, sweep_config
from nst.compose import configured
from nst.config import Config
from nst.report import __main__ as report
from tests.conftest import ROOT, exit_status, random_features
from tools import keys

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```\n", re.MULTILINE | re.DOTALL)
MAKE = ("python", "-m", "nst.run", "mode=transfer", "style_weight=1e6")
"""What `make transfer` runs."""
NO_RUN = ("source ", "make test", "#", "pip ", "if ", "else", "fi", "folder=", "wandb ")
PICTURE = ("size=48", "steps=2", "judge=none")
TRAINING = ("steps=2", "data.size=32", "data.batch=2", "data.workers=0", "generator.width=4", "generator.blocks=1")
FEW = {
    mode: dict(each.split("=") for each in keys)
    for mode, keys in {"transfer": PICTURE, "texture": PICTURE, "train": TRAINING, "stylize": ()}.items()
}
"""The same as arguments of nst's functions, by mode."""
COMPOSED = re.compile(r"launcher=|num_nodes|experiment=(?!my/)|mode=export|=vgg19(?!.*\.pth)")
"""Of commands that are only composed: other tests run launchers, exports, large networks and the experiments of conf/,
or they need machines."""
EXTRAS = {
    "launcher=ray": "hydra_plugins.hydra_ray_launcher",
    "launcher=submitit": "hydra_plugins.hydra_submitit_launcher",
    "launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "adam_search": "optuna",
}
"""What a command contains → the module that it needs."""
RUN, SWEEP = Path("outputs/DATE/TIME"), Path("multirun/DATE/TIME")
MAINS = {
    "nst.run": run.main,
    "nst.report": report.main,
    "nst.download": download.main,
    "nst.sweep_config": sweep_config.main,
}


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> Iterator[str]:
    """The command lines of a page: of its shell blocks, its tables and its sentences."""
    for _, language, block in BLOCK.findall(text(page)):
        if language in ("sh", "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = re.sub(r"\s[#>].*", "", line.strip().removeprefix("srun ")).replace(
                    "$folder", "outputs/DATE/TIME"
                )
                if words and not words.startswith(NO_RUN):
                    yield words
    plain = BLOCK.sub("", text(page))
    yield from re.findall(r"`((?:python -m nst\.|nst )[^`]+)`", plain)
    yield from (f"python -m nst.run {keys}" for keys in re.findall(r"^\| !\[.*`(.+)` \|$", plain, re.MULTILINE))


def paint(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:48, 0:64]
    Image.fromarray(np.stack([x * 4, y * 5, (x * y) % 256], axis=-1).astype(np.uint8)).save(path)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the pages name."""
    for name in ("photo.jpg", "painting.jpg", "other (1).jpg", "sky.png", "paintings/a.jpg", "paintings/b.jpg"):
        paint(tmp_path / "my" / name)
    for place in range(4):
        paint(tmp_path / "my" / "photos" / f"{place}.jpg")
    for _, language, block in BLOCK.findall(text("docs/experiments.md")):
        if language == "yaml":
            place, _, content = block.partition("\n")
            (tmp_path / place.removeprefix("# ")).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files with the names of official weights."""
    folder, made = tmp_path_factory.mktemp("weights"), []
    for name, depth in (("vgg19", 29), ("vgg16", 1), ("squeezenet1_0", None)):
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        made.append(folder / url.rsplit("/", 1)[-1])
        torch.save(random_features(name, depth), made[-1])
    return made


@pytest.fixture
def official_weights(random_weights: list[Path], desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights where the downloaded ones are kept, and vgg19.pth."""
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    hub.mkdir(parents=True)
    for path in random_weights:
        (hub / path.name).symlink_to(path)
    (desk / "vgg19.pth").symlink_to(random_weights[0])
    published = re.compile(r"-([0-9a-f]{8})\.")
    monkeypatch.setattr("nst.backbones.weights.sha256", lambda path: (*published.findall(path.name), "")[0] + "0" * 56)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[str, list[str]], str]:
    """Call a module's `main` as typed; returns what it printed."""

    def calling(module: str, words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["nst", *words])
        status = exit_status(MAINS[module])
        said = "".join(capfd.readouterr())
        assert status == 0, f"{module} {' '.join(words)}\n{said}"
        return said

    return calling


def prepare(words: list[str], call: Callable[[str, list[str]], str]) -> None:
    """Make the run and the sweep that a command names."""
    asked = " ".join(words)
    shutil.rmtree(RUN, ignore_errors=True)
    shutil.rmtree(SWEEP, ignore_errors=True)

    def made(place: Path, *keys: str) -> None:
        """Run nst into a folder, or copy what the same keys made there before."""
        kept = Path("kept") / str(abs(hash(keys)))
        if not kept.exists():
            call("nst.run", [*keys, "tracking=none", f"hydra.{'sweep' if place == SWEEP else 'run'}.dir={kept}"])
        shutil.copytree(kept, place)

    if f"checkpoint={RUN}" in asked:
        made(RUN, "mode=train", "style=mosaic", *TRAINING)
    elif f"={RUN}" in asked.replace("hydra.run.dir=", "") or "rerun=" in asked or words[:1] == [str(SWEEP)]:
        made(RUN, "content=my/photo.jpg", *PICTURE)
        shutil.copy(RUN / "result.png", "result.png")
        if "steps=" not in asked:  # as if it had been killed before its last file was written
            record = json.loads((RUN / "record.json").read_text())
            (RUN / "record.json").write_text(json.dumps(record | {"status": "running"}))
    if str(SWEEP) in asked:
        made(SWEEP, "-m", "style_weight=1,2", *PICTURE)
        if "resume=" in asked:
            shutil.rmtree(SWEEP / "1")


def given(words: list[str], starts: tuple[str, ...]) -> bool:
    return any(word.startswith(starts) for word in words)


def is_installed(name: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of an old optuna
        return find_spec(name) is not None and import_module(name) is not None


def small(words: list[str]) -> list[str]:
    """Keys that make a command a matter of a second."""
    if given(words, ("--",)):
        return []
    if given(words, ("resume=", "rerun=")):
        return ["steps=3"] if given(words, ("steps=",)) else []
    sizes = {"mode=train": TRAINING, "mode=stylize": (), "mode=export": ()}
    added = next((keys for mode, keys in sizes.items() if mode in words), PICTURE)
    if given(words, ("judge=", "optimized_metric=")):
        added = tuple(word for word in added if word != "judge=none")
    fewer = ["repeats=2"] if given(words, ("repeats=",)) else []
    return [*added, *fewer, *(["trainer=cpu"] if "trainer=gpu" in words else []), "tracking=none"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("desk", "official_weights")
def test_the_commands_of_a_page_run(
    page: str, call: Callable[[str, list[str]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "watch", lambda *asked: None)  # it goes on until Ctrl-C
    for place, command in enumerate(dict.fromkeys(commands(page))):
        words = shlex.split(re.sub("^nst ", "python -m nst.run ", command))
        if words[0] == "make":
            words = [*MAKE, *shlex.split("".join(words[2:]).removeprefix("ARGS="))]
        module, typed = words[2], words[3:]
        if module.startswith("tools."):
            assert find_spec(module), command
            continue
        if all(is_installed(name) for part, name in EXTRAS.items() if part in command):
            if not (module == "nst.report" and SWEEP.exists() and RUN.exists()):  # a report changes no run
                prepare(typed, call)
            composed = ["--cfg", "job"] if COMPOSED.search(command) else []
            folder = [] if given(typed, ("-", "resume=", "hydra.run.dir=")) else [f"hydra.run.dir=outputs/{place}"]
            call(module, [*typed, *([*small(typed), *composed, *folder] if module == "nst.run" else [])])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("desk")
def test_the_python_of_a_page_runs(
    page: str, call: Callable[[str, list[str]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(mode: str, given: Mapping[str, Any]) -> Config:
        return configured(mode, {**given, **FEW[mode]})

    monkeypatch.setattr(api, "configured", tiny)
    if page == "docs/generators.md":
        api.train("mosaic", folder="trained")
        call("nst.run", ["mode=export", "checkpoint=trained", "tracking=none", "hydra.run.dir=."])
    for _, language, block in BLOCK.findall(text(page)):
        if language == "python":
            exec(compile(block, page, "exec"), {})


def test_the_page_of_keys_is_fresh() -> None:
    assert text("docs/keys.md") == keys.page(), "python -m tools.keys writes it"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for name in re.findall(r"\]\(([^)#:]+)\)", text(page)):
        assert (ROOT / page).parent.joinpath(name).exists(), name
    for name in re.findall(r"`((?:nst|conf|tests|tools)/[\w/.]*)`", text(page)):
        assert (ROOT / name).exists(), name


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) <= 120


@pytest.mark.skipif(find_spec("nbclient") is None, reason="nbclient is not installed")
def test_the_notebook_runs_and_shows_its_pictures(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "docs" / "first_steps.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    tiny = f"api.configured = lambda mode, keys: compose.configured(mode, keys | {FEW}[mode])"
    first = nbformat.v4.new_code_cell(f"from nst import api, compose; {tiny}")  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, first)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [kind for cell in notebook.cells for each in cell.get("outputs", ()) for kind in each.get("data", ())]
    assert kinds.count("image/png") == 5
    said = "".join(str(each.get("text")) for cell in notebook.cells for each in cell.get("outputs", ()))
    assert "/2 steps" in said  # the bar
    assert (tmp_path / "painted.png").exists()
