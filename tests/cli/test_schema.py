"""What can be composed, and how what cannot is answered."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest
import yaml

from nst import schema
from nst.config import Adam, Lbfgs
from nst.schema import all_keys
from tests.conftest import ROOT, Door

GROUPS = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in (ROOT / "conf").iterdir()}


def test_every_key_has_a_meaning() -> None:
    keys = {key.name: key.meaning for key in all_keys()}
    assert {"style_weight", "backbone.pooling", "optimizer.history_size", "optimizer.beta1", "distill.photos"} <= set(
        keys
    )
    assert all(keys.values())


def test_every_number_has_bounds() -> None:
    """Without one, a slip of the finger takes all memory."""

    def unbounded(section: type) -> Iterator[str]:
        for item in fields(section):
            kinds = {item.type, *get_args(item.type)}
            for inside in filter(is_dataclass, kinds):
                assert isinstance(inside, type)
                yield from unbounded(inside)
            if kinds & {int, float} and not math.isfinite(item.metadata["at_most"]):
                yield f"{section.__name__}.{item.name}"

    assert [name for each in (schema.root(), Lbfgs, Adam) for name in unbounded(each)] == []


@pytest.mark.parametrize("choice", [f"{group}={name}" for group, names in GROUPS.items() for name in names])
def test_every_option_composes(choice: str, nst: Door) -> None:
    result = nst(choice, "--cfg", "job")
    assert result.status == 0, result.err
    composed = yaml.safe_load(result.out)
    assert set(composed) == {item.name for item in fields(schema.root())}


def test_the_default_is_a_transfer_and_the_course_s_experiments_keep_gram_matrices(nst: Door) -> None:
    composed = yaml.safe_load(nst("--cfg", "job").out)
    assert (composed["content"], composed["mode"], composed["init"]) == ("chelsea", "transfer", "content")
    assert composed["content_layers"] == ["conv_3"]
    assert composed["style_layers"] == [f"conv_{block}" for block in range(1, 6)]
    assert (composed["content_weight"], composed["style_weight"]) == (1, 1e6)
    assert (composed["style_loss"]["name"], composed["style_layer_weights"]) == ("wasserstein", "positions")
    course = yaml.safe_load(nst("experiment=style_weight", "--cfg", "job").out)
    assert (course["style_loss"]["name"], course["content_layers"], course["scales"]) == ("gram", ["conv_4"], 1)
    equal = yaml.safe_load(nst("style_loss=neighbors", "--cfg", "job").out)
    assert (equal["style_loss"]["name"], equal["style_layer_weights"]) == ("neighbors", None)


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


def test_help_of_a_mode_tells_its_own_keys() -> None:
    command = [sys.executable, "-m", "nst.run", "mode=fidelity", "--help"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "  fidelity.content=relu4_1" in lines
    assert not [line for line in lines if line.startswith(("  distill.", "  colors", "  checkpoint"))]


def test_help_tells_every_group_and_what_every_key_means() -> None:
    command = [sys.executable, "-m", "nst.run", "--help", "all"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # examples begin with `python`
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PATH": path})
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "  style_weight=1e6        factor of the style loss" in lines
    assert "  optimizer.beta1=0.9     of adam: decay of the mean of gradients" in lines
    assert "  style_loss.normalize=chw" in lines
    assert not [line for line in lines if line.startswith("  fidelity.")]  # keys of one mode alone
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
