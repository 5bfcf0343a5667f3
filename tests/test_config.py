"""What can be composed, and how what cannot is answered."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from nst import config
from nst.commandline import quote_path
from nst.config import all_keys
from tests.conftest import ROOT, SMALL, Door

GROUPS = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in (ROOT / "conf").iterdir()}


def test_every_key_has_a_meaning() -> None:
    keys = {key.name: key.meaning for key in all_keys()}
    assert {"style_weight", "backbone.pooling", "optimizer.history", "optimizer.beta1", "distill.photos"} <= set(keys)
    assert all(keys.values())


@pytest.mark.parametrize("choice", [f"{group}={name}" for group, names in GROUPS.items() for name in names])
def test_every_option_composes(choice: str, nst: Door) -> None:
    result = nst(choice, "--cfg", "job")
    assert result.status == 0, result.err
    composed = yaml.safe_load(result.out)
    assert set(composed) == {item.name for item in fields(config.Config)}


def test_the_defaults_are_the_course_s(nst: Door) -> None:
    composed = yaml.safe_load(nst("--cfg", "job").out)
    assert (composed["content"], composed["mode"], composed["init"]) == ("chelsea", "transfer", "content")
    assert composed["content_layers"] == ["conv_4"]
    assert composed["style_layers"] == [f"conv_{block}" for block in range(1, 6)]
    assert (composed["content_weight"], composed["style_weight"]) == (1, 1e6)


REFUSED = [
    ("styl_weight=1", "did you mean 'style_weight'?"),
    ("+style_wight=1", "did you mean 'style_weight'?"),
    ("backbone.weigths=x", "did you mean 'backbone.weights'?"),
    ("layerz=gatys", "did you mean 'layers'?"),
    ("optimizer.beta1=0.5", "belongs to another choice of optimizer"),
    ("style_weight=abc", "style_weight: 'abc' is not a number"),
    ("style_weight=-1", "must be at least 0"),
    ("style_weight=nan", "must be a finite number"),
    ("steps=0", "must be at least 1"),
    ("steps=2.5", "not a whole number"),
    ("optimizer.lr=0", "must be above 0"),
    (
        "mode=transfr",
        "did you mean 'transfer'?; the options are distill, export, fidelity, reconstruct, stylize, texture, train, "
        "transfer",
    ),
    ("mode=null", "takes the name of an option"),
    ("backbone=vgg11", "slim, squeezenet, vgg16, vgg19"),
    ("style_loss.gram=wh", "expected one of [chw, hw, none]"),
    ("tracking.mode=onlin", "expected one of [auto, online, offline]"),
    ("style_layers=conv_1", "write [conv_1,conv_2]"),
    ("style_layers=[]", "needs style_layers"),
    ("style_layers=[conv_6]", "can be read two ways"),
    ("style_layers=[conv1_9]", "the layers of slim are conv1_1"),
    ("content=chelsa", "did you mean 'chelsea'?"),
    ("content=null", "mode=transfer needs content="),
    ("content=.", "that is a folder"),
    ("content=", "no such file or sample"),
    ("content=" + "x" * 300, "no such file or sample"),
    ("steps=2000000000", "must be at most 1e+06"),
    ("backbone.name=vgg11", "expected one of [slim, vgg19, vgg16, squeezenet]"),
    ("optimizer.name=adam", "chosen with optimizer=NAME"),
    ("layers=johnson", "take backbone=vgg19 or vgg16"),
    ("content=a (1.png", "takes quotes inside quotes"),
    ("init=nois", "neither noise, content, style nor an image file"),
    ("size=20", "conv5_1 needs 32 a side: raise size"),
    ("style_size=20", "raise style_size"),
    ("alpha=whit", "not a colour"),
    ("resume=nowhere", "no such file"),
    ("hydra.run.dir=/dev/null/x", "cannot write to /dev/null/x"),
    ("experiment=nothing", "no such option"),
]


@pytest.mark.parametrize(("argument", "expected"), REFUSED, ids=[argument for argument, _ in REFUSED])
def test_bad_input_gets_one_line_and_leaves_nothing(argument: str, expected: str, nst: Door, tmp_path: Path) -> None:
    result = nst(argument, "tracking=none", *([] if "run.dir" in argument else ["hydra.run.dir=a/b"]))
    assert result.status == 2
    assert expected in result.err
    assert result.err.startswith("nst: ")
    assert result.err.count("\n") == 1
    assert result.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_contradiction_of_mode_and_layers_is_refused(nst: Door) -> None:
    assert "uses no style_layers" in nst("mode=reconstruct", "style_layers=[conv_1]", "tracking=none").err


def test_typos_and_wrong_values_inside_yaml_files_are_refused(nst: Door, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    for name, line in (("typo", "style_wieght: 3"), ("value", "style_weight: heavy"), ("broken", "steps: [")):
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{line}\n")
    directory = f"--config-dir={tmp_path / 'mine'}"
    assert (
        "experiment/typo.yaml: no key 'style_wieght'; did you mean 'style_weight'?"
        in nst(directory, "experiment=typo").err
    )
    assert "experiment/value.yaml: style_weight: 'heavy' is not a number" in nst(directory, "experiment=value").err
    broken = nst(directory, "experiment=broken")
    assert broken.status == 2
    assert "broken.yaml" in broken.err


def test_paths_with_any_character_need_no_quotes_of_hydra_s(tmp_path: Path) -> None:
    for name in ("my pic (1).png", "a=b,c.png", "it's {new}.png", "plain.png", "日本.jpg", "a${b}.png"):
        (tmp_path / name).touch()
    assert quote_path("content=my pic (1).png") == "content='my pic (1).png'"
    assert quote_path("content=a=b,c.png") == "content='a=b,c.png'"
    assert quote_path("style=it's {new}.png") == r"style='it\'s {new}.png'"
    assert quote_path("content=日本.jpg") == "content='日本.jpg'"
    assert quote_path("content=a${b}.png") == r"content='a\${b}.png'"
    assert quote_path("content=plain.png") == "content=plain.png"
    assert quote_path("style_layers=[" + "conv_1," * 100 + "]").endswith(",]")
    assert quote_path("content=missing (1).png") == "content=missing (1).png"
    assert quote_path("style_layers=[conv_1,conv_2]") == "style_layers=[conv_1,conv_2]"


def test_help_tells_every_group_and_what_every_key_means() -> None:
    done = subprocess.run([sys.executable, "-m", "nst.run", "--help"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "  style_weight=1e6        factor of the style loss" in lines
    assert "  optimizer.beta1=0.9     of adam: decay of the mean of gradients" in lines
    assert "  fidelity.teachers.NAME.pad=0" in lines
    for group, options in GROUPS.items():
        if options:
            first = lines.index("Groups") + 1
            told = " ".join(" ".join(lines[first : lines.index("", first)]).split())
            assert f" {group} {', '.join(options)}" in f" {told}"


@pytest.mark.parametrize("argument", ["styl_weight=1", "style_weight=-1", "--help"])
def test_a_refusal_answers_before_torch_is_imported(argument: str) -> None:
    code = (
        "import atexit, os, sys; from nst.run import main; "
        "atexit.register(lambda: os._exit(9 if {'torch', 'wandb'} & set(sys.modules) else 4)); main()"
    )
    done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, check=False)
    assert done.returncode == 4


def test_tf32_is_for_gpus(nst: Door) -> None:
    assert "only NVIDIA's GPUs have it" in nst(*SMALL, "trainer.precision=tf32", "trainer=cpu").err
