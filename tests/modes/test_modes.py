"""What modes declare: their keys, and what a run decides."""

import json
from pathlib import Path

import pytest

from nst import modes, schema
from nst.config import OPTIMIZERS as SCHEMAS
from tests.conftest import ROOT, SMALL, Door


def test_every_mode_has_a_yaml_file_and_uses_keys_that_exist() -> None:
    known = {key.name.partition(".")[0] for key in schema.all_keys()} | {"layers", "experiment"}
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
    asked = ["-m", "mode=transfer,stylize", "checkpoint=trained", "size=64", "tracking=none", "tile=512"]
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
    result = nst(*SMALL, "scales=3", "size=40", "style_layers=[conv_3]")
    assert result.status == 0, result.err
    assert result.record["config"]["scales"] == 3
    assert result.record["decided"]["scales"] < 3
    assert f"scales   {result.record['decided']['scales']}, not 3: conv3_1 needs images of" in result.out
    assert result.record["decided"]["style_layers"] == ["conv3_1"]
    again = nst(f"rerun={result.folder}", "tracking=none")
    assert again.status == 0, again.err
    assert "bit for bit" in again.out


def test_a_config_is_frozen_once_it_is_resolved() -> None:
    config = schema.resolve(schema.root()(pair=["coffee", "waves"], mode="transfer"), [])
    assert (config.content, config.style) == ("coffee", "waves")
    for change in (lambda: setattr(config, "size", 3), lambda: setattr(config.trainer, "devices", 3)):
        with pytest.raises(AttributeError, match="frozen"):
            change()
