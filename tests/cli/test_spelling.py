"""What people type is understood as they mean it, or answered with what would be right."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nst import __version__
from nst.cli.spelling import respelled
from nst.images import samples
from tests.conftest import ROOT, SMALL, Door, pixels

NAMES = ("my pic (1).png", "a=b,c.png", "it's {new}.png", "plain.png", "日本.jpg", "a${b}.png", 'say "cheese".png')


@pytest.fixture
def files(photo: Path) -> list[str]:
    for name in NAMES:
        shutil.copy(photo, name)
    photo.unlink()
    return list(NAMES)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("content=my pic (1).png", "content='my pic (1).png'"),
        ("content=a=b,c.png", "content='a=b,c.png'"),
        ("style=it's {new}.png", r"style='it\'s {new}.png'"),
        ("content=日本.jpg", "content='日本.jpg'"),
        ("content=a${b}.png", r"content='a\${b}.png'"),
        ("content=plain.png", "content=plain.png"),
        ("content=my pic (1).png,a=b,c.png, chelsea", "content='my pic (1).png','a=b,c.png',chelsea"),
        ("style=[my pic (1).png,waves]", "style=['my pic (1).png',waves]"),
        (
            "style=[a=b,c.png,waves],[plain.png,it's {new}.png]",
            r"style=['a=b,c.png',waves],[plain.png,'it\'s {new}.png']",
        ),
        ("content='my pic (1).png',chelsea", "content='my pic (1).png',chelsea"),  # already in Hydra's grammar
        ("seed=range(1,3)", "seed=range(1,3)"),
        ("style_layers=[conv_1,conv_2]", "style_layers=[conv_1,conv_2]"),
        ("content=p*.png", "content=plain.png"),
    ],
)
def test_names_of_files_need_no_quotes_of_hydra_s(files: list[str], typed: str, understood: str) -> None:
    assert respelled([typed]) == [understood]


def test_a_sweep_over_own_files_in_the_natural_spelling(nst: Door, files: list[str]) -> None:
    (folder := Path("my photos")).mkdir()
    for name in files[:3]:
        shutil.move(name, folder / name)
    sweep = ("hydra.sweep.dir=sweep", "steps=1", "-m")  # the flag may be anywhere
    assert nst(*SMALL, *sweep, f"content={folder}/{files[0]},{folder}/{files[1]}").status == 0
    assert Path("sweep/1/result.png").exists()
    assert not Path("sweep/2").exists()
    for content in (folder, f"{folder}/*"):
        shutil.rmtree("sweep")
        assert nst(*SMALL, *sweep, f"content={content}").status == 0
        assert Path("sweep/2/result.png").exists()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["style_weight=1e3,1e4"], "style_weight=1e3,1e4: several values are a sweep: nst -m …"),
        (["style_layers=conv_1,conv_2"], "one run with a list is style_layers=[conv_1,conv_2]"),
        (["content=missing (1).png"], "there is no file 'missing (1).png'"),
        (["content=no*.png"], "content=no*.png: no file matches"),
        (["-m", "content=empty"], "content=empty: no image among its 0 files"),
        (["photo.jpg"], "an argument is key=value, such as content=photo.jpg"),
        (["layers=a (b)"], """as one text it is 'layers='"'"'a (b)'"'"''"""),
        (["--steps", "5"], "--steps: no such flag; keys have no dashes: steps=5"),
        (["--cfg", "all of it"], "invalid choice"),
        (["lr=0.1"], "no key 'lr': use optimizer.lr="),
        (["iterations=5"], "no key 'iterations': use steps="),
        (["device=cuda"], "use trainer=gpu, trainer=cpu or trainer=mps"),
        (["gpu=1"], "use trainer=gpu, trainer=cpu or trainer=mps"),
        (["output_dir=here"], "use hydra.run.dir=FOLDER"),
        (["backbone=VGG19"], "did you mean 'vgg19'?"),
        (["style_loss.gram=hw"], "use style_loss.normalize="),
        (["hydra/launcher=joblib"], "hydra/launcher=joblib: launchers run the jobs of a sweep; add -m"),
        (["experiment=no.yaml"], "experiment=no.yaml: No such file"),
        (["experiment=broken.yaml"], "experiment=broken.yaml: not YAML"),
        (["experiment=empty.yaml"], "experiment=empty.yaml: holds no keys"),
        (["--config-dir=mine", "experiment=bare"], "must begin with the line `# @package _global_`"),
        (["output=picture.gif"], "output=picture.gif: must end in .png, .jpg, .jpeg, .webp"),
        (["output=no/picture.png"], "output=no/picture.png: cannot be written"),
        (["output=photo.png", "content=photo.png"], "output=photo.png: would overwrite the content"),
        (["experiment=where.yaml"], "only the command line can choose where files go"),
    ],
)
def test_what_is_meant_is_said_in_one_line(nst: Door, photo: Path, typed: list[str], answer: str) -> None:
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/bare.yaml").write_text("steps: 3\n")
    Path("broken.yaml").write_text("steps: [")
    Path("empty.yaml").touch()
    Path("where.yaml").write_text("output: /tmp/mine.png\n")
    Path("empty").mkdir()
    before = sorted(Path().rglob("*"))
    done = nst(*typed, "tracking=none", "hydra.run.dir=run")
    assert done.status == 2
    assert answer in done.err
    assert done.err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.skipif(shutil.which("srun") is not None, reason="this machine has Slurm")
def test_slurm_where_there_is_none(nst: Door) -> None:
    done = nst("-m", "hydra/launcher=submitit_slurm", "tracking=none")
    assert done.status == 2
    assert "this machine has no Slurm (no srun)" in done.err


def test_an_experiment_of_one_s_own_by_its_file(nst: Door) -> None:
    Path("my files").mkdir()
    Path("my files/seeds.yaml").write_text(
        "question: Does the seed matter?\ninit: noise\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n"
    )
    assert nst(*SMALL, "experiment=my files/seeds.yaml", "hydra.sweep.dir=sweep").status == 0
    assert "Does the seed matter?" in Path("sweep/report.html").read_text()
    Path("sweep/1/result.png").unlink()
    Path("sweep/1/record.json").unlink()
    assert nst("resume=sweep").status == 0  # finds the file again
    assert Path("sweep/1/result.png").exists()


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "picture.webp"])
def test_the_picture_where_one_wants_it(nst: Door, name: str) -> None:
    done = nst(*SMALL, "steps=1", f"output={name}")
    assert f"picture  {name}" in done.out
    assert abs(pixels(Path(name)).astype(float) - done.pixels()).mean() < 8
    if name == "picture.png":
        assert nst(f"rerun={name}", "tracking=none").status == 0


def test_a_phone_s_picture(nst: Door) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(__import__("PIL.Image").Image.open(samples.find("style", "waves"))).save("phone.HEIC")
    assert nst(*SMALL, "content=phone.HEIC", "steps=1").status == 0


def test_a_phone_s_picture_without_the_extra(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setattr("nst.images.files.find_spec", lambda name: None)
    monkeypatch.setattr("nst.images.files._formats", lambda: ("PNG",))
    assert "pip install -e '.[heic]'" in nst(*SMALL, "content=phone.heic").err


def test_version_and_hydra_s_help(nst: Door) -> None:
    assert nst("--version").out == f"nst {__version__}\n"
    assert "--multirun" in nst("--hydra-help").out


def test_the_first_help_is_one_screen(nst: Door) -> None:
    lines = nst("--help").out.splitlines()
    assert len(lines) <= 40
    assert "--help all" in "\n".join(lines)


def test_an_option_in_an_own_file_is_answered_with_the_list_it_belongs_to(nst: Door) -> None:
    Path("mine.yaml").write_text("# @package _global_\noptimizer: adam\n")
    result = nst("experiment=mine.yaml")
    assert result.status == 2
    expected = "nst: mine.yaml: adam: a file chooses it in a list named defaults, as `- override /optimizer: adam`\n"
    assert result.err == expected
    Path("mine.yaml").write_text("# @package _global_\noptimizer: " + "x" * 300)
    assert nst("experiment=mine.yaml").err.endswith("as `- override /GROUP: " + "x" * 300 + "`\n")


def test_a_python_without_our_packages_is_told_which_has_them(tmp_path: Path) -> None:
    bare = subprocess.run(
        [sys.executable, "-S", "-m", "nst.run"], cwd=ROOT, env={"PYTHONPATH": ""}, capture_output=True, text=True
    )
    assert bare.returncode == 2
    assert "its packages are not installed for" in bare.stderr
    assert bare.stderr.count("\n") == 1


def test_first_total_that_cannot_be_balanced(nst: Door) -> None:
    asked = (*SMALL, "mode=transfer", "steps=1")
    assert (
        "nearly all of it style: the content will hardly show; try style_weight="
        in nst(*asked, "style_weight=1e12").out
    )
    assert "hint" not in nst(*asked).out


def test_a_finished_run_goes_on_if_it_is_given_more_steps(nst: Door) -> None:
    done = nst(*SMALL, "init=noise", "hydra.run.dir=short")
    assert done.status == 0
    there = "hydra.run.dir=short"
    assert "steps=12 beside resume= lets it go on" in nst("resume=short", there).err
    first, *_, last = (line.split(",") for line in Path("short/losses.csv").read_text().splitlines()[1:])
    assert nst("resume=short", "steps=20", there).status == 0
    rows = [line.split(",") for line in Path("short/losses.csv").read_text().splitlines()]
    assert [row[0] for row in rows[1:]] == ["0", "10", "20"]
    assert rows[1] == first
    assert float(rows[3][2]) < float(last[2])
    assert nst("resume=short", "steps=20", there).status == 2


def test_weights_are_fetched_before_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nst import download

    monkeypatch.setattr(sys, "argv", ["nst.download", "slim"])
    download.main()
    assert capsys.readouterr().out.endswith("slim.safetensors\n")
    monkeypatch.setattr(sys, "argv", ["nst.download", "vgg20"])
    with pytest.raises(SystemExit, match="2"):
        download.main()
    assert "did you mean 'vgg19'?" in capsys.readouterr().err
