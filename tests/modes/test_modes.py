"""What modes declare: their keys, and what a run decides."""

import json
from pathlib import Path

import pytest

from nst import modes, schema
from nst.cli.messages import GROUPS
from nst.config import OPTIMIZERS as SCHEMAS
from tests.conftest import ROOT, SMALL, Door


def test_every_mode_has_a_yaml_file_and_uses_keys_that_exist() -> None:
    known = {key.name.partition(".")[0] for key in schema.all_keys()} | set(GROUPS)
    files = {path.stem for path in (ROOT / "conf" / "mode").glob("*.yaml")}
    assert files == set(modes.all_modes())
    for mode in modes.all_modes().values():
        assert mode.keys <= known, mode.name
        assert set(mode.roles) <= mode.keys, mode.name


def test_every_key_is_used_by_a_mode() -> None:
    for key in schema.all_keys():
        assert any(mode.uses(key.name) for mode in modes.all_modes().values()), key.name


def test_the_optimizers_are_those_of_the_schema() -> None:
    from nst.optim import OPTIMIZERS

    assert set(OPTIMIZERS) == set(SCHEMAS) == {path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml")}


def test_a_sweep_over_modes_takes_the_keys_of_each(nst: Door, tmp_path: Path) -> None:
    small = ("generator.width=4", "generator.blocks=0", "data.size=32", "data.workers=0", "tracking=none")
    trained = nst("mode=train", *small, "steps=1", "style_layers=[conv_1]", "hydra.run.dir=trained")
    assert trained.status == 0, trained.err
    asked = ["-m", "mode=transfer,stylize", "checkpoint=trained", *SMALL, "tile=512"]
    swept = nst(*asked, "hydra.sweep.dir=sweep")
    assert swept.status == 0, swept.err
    by_file = nst(
        "experiment=feedforward_pictures", "checkpoint=trained", "tracking=none", "hydra.sweep.dir=x", "--cfg", "job"
    )
    assert by_file.status == 0, by_file.err
    records = [json.loads((tmp_path / "sweep" / job / "record.json").read_text()) for job in "01"]
    assert [record["config"]["mode"] for record in records] == ["transfer", "stylize"]
    alone = nst("mode=transfer", "checkpoint=trained", "tracking=none")
    assert alone.err == "nst: checkpoint: mode=transfer does not use it; used by mode=export, mode=stylize\n"


def test_what_was_asked_for_and_what_was_decided_are_both_recorded(nst: Door) -> None:
    result = nst(*SMALL, "smallest_scale=16", "style_layers=[conv_1,conv_3]")
    assert result.status == 0, result.err
    assert result.record["config"]["scales"] is None
    assert result.record["decided"]["scales"] == 3
    assert result.record["decided"]["style_layers"] == ["conv1_1", "conv3_1"]
    assert result.record["config"]["style_layer_weights"] == "positions"
    assert result.record["decided"]["style_layer_weights"] == [1, 1 / 16]
    again = nst(f"rerun={result.folder}", "tracking=none")
    assert again.status == 0, again.err
    assert "bit for bit" in again.out


def test_a_config_is_frozen_once_it_is_resolved() -> None:
    config = schema.resolve(schema.root()(mode="transfer"), [])
    with pytest.raises(AttributeError, match="frozen"):
        config.size = 3
    with pytest.raises(AttributeError, match="frozen"):
        config.trainer.devices = 3


def test_a_key_of_the_user_s_own_group_is_no_business_of_a_mode(nst: Door, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "palette"
    folder.mkdir(parents=True)
    (folder / "soft.yaml").write_text("# @package _global_\ntv_weight: 9\n")
    result = nst("--config-dir=mine", "+palette=soft", *SMALL, "steps=1", "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert result.record["config"]["tv_weight"] == 9


def test_an_image_that_only_the_start_could_use_is_refused_where_it_does_not(nst: Door) -> None:
    unused = nst("mode=reconstruct", "style=swirl", "size=64", "tracking=none")
    assert unused.err == "nst: style=swirl: mode=reconstruct uses it only with init=style\n"
    assert nst("mode=reconstruct", "style=swirl", "init=style", "size=64", "steps=1", "tracking=none").status == 0
    assert (
        "neither noise, content, style, style_statistics, gray nor an image file"
        in nst("init=init", "tracking=none").err
    )


@pytest.mark.parametrize("swept", ["mode=glob(te*)", "mode='texture','reconstruct'"])
def test_modes_are_swept_in_any_notation(swept: str, nst: Door) -> None:
    assert nst("-m", swept, "size=64", "steps=1", "tracking=none", "hydra.sweep.dir=sweep").status == 0


def test_a_style_loss_must_be_chosen(nst: Door) -> None:
    result = nst("~style_loss", *SMALL)
    assert result.status == 2
    assert "choose one with style_loss=NAME; there are gram, gram_moments, moments" in result.err


def test_several_styles_are_one_statistic_and_listed_everywhere(nst: Door) -> None:
    several = nst(*SMALL, "style=[swirl,waves]")
    assert several.status == 0, several.err
    assert [Path(file["path"]).stem for file in several.record["inputs"]["style"]] == ["swirl", "waves"]
    assert {path.name for path in (several.folder / "inputs").iterdir()} == {"content.jpg", "style.jpg", "style_2.jpg"}
    losses = [nst(*SMALL, f"style={style}", "steps=1").rows()[0]["loss/style"] for style in ("swirl", "waves")]
    assert several.rows()[0]["loss/style"] not in losses
    twice = nst(*SMALL, "style=[swirl,swirl]", "steps=1")  # an image twice has the statistic of the image
    assert twice.rows()[0]["loss/style"] == pytest.approx(losses[0], rel=1e-4)
    again = nst(f"rerun={several.folder}", "tracking=none")
    assert "bit for bit" in again.out
    assert "must be an image, or a list of images" in nst(*SMALL, "style=[]").err
    assert "content: " in nst(*SMALL, "content=[chelsea,coffee]").err
