"""W&B's own sweeps: the YAML file that their agents work from, and what an agent then starts."""

import sys

import pytest
import yaml

from nst import sweep_config
from tests.conftest import SMALL, Door, exit_status


def written(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sweep_config", *words])
    status = exit_status(sweep_config.main)
    said = capfd.readouterr()
    return status, said.out, said.err


def test_an_agent_runs_each_combination(
    nst: Door, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["style_weight=1e3,1e6", "style_layers=[conv_1],[conv_1,conv_2]", "repeats=2", "init=noise"]
    status, out, _ = written(asked, monkeypatch, capfd)
    assert status == 0
    sweep = yaml.safe_load(out)
    assert sweep["method"] == "grid"
    assert sweep["metric"] == {"name": "optimized_metric", "goal": "minimize"}
    assert sweep["parameters"] == {
        "style_weight": {"values": [1e3, 1e6]},
        "style_layers": {"values": ["[conv_1]", "[conv_1,conv_2]"]},
        "seed": {"values": [0, 1]},
    }
    # what an agent puts in the place of ${args_no_hyphens}
    chosen = [f"{key}={parameter['values'][-1]}" for key, parameter in sweep["parameters"].items()]
    assert sweep["command"][:4] == ["${env}", "${interpreter}", "-m", "nst.run"]
    assert sweep["command"][-1] == "${args_no_hyphens}"
    result = nst(*SMALL, *sweep["command"][4:-1], *chosen)
    assert result.status == 0, result.err
    config = result.record["config"]
    assert (config["style_weight"], config["style_layers"], config["seed"]) == (1e6, ["conv_1", "conv_2"], 1)
    assert config["init"] == "noise"


def test_an_experiment_keeps_its_settings(
    nst: Door, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = written(["experiment=style_weight"], monkeypatch, capfd)
    sweep = yaml.safe_load(out)
    assert [float(value) for value in sweep["parameters"]["style_weight"]["values"]][-1] == 1e9
    result = nst(*sweep["command"][4:-1], "style_weight=7.0", *SMALL, "steps=1", "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert result.record["config"]["style_weight"] == 7
    assert result.record["config"]["scales"] == 1


def test_a_search_has_intervals(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="the extra optuna is not installed")
    sweep = yaml.safe_load(written(["experiment=adam_search"], monkeypatch, capfd)[1])
    assert sweep["method"] == "bayes"
    assert sweep["parameters"]["optimizer.lr"] == {"distribution": "log_uniform_values", "min": 0.001, "max": 0.3}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["size=64"], "nothing is swept"),
        (["experiment=favorites"], "W&B's sweeps know only products"),
        (["experiment=nope"], "experiment=nope: no such option"),
        (["style_weight=heavy,1"], ""),
    ],
)
def test_what_cannot_be_swept_is_said_in_one_line(
    asked: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = written(asked, monkeypatch, capfd)
    if said:
        assert status == 2
        assert said in err
        assert err.count("\n") == 1
    else:  # the agent's run refuses it
        assert yaml.safe_load(out)["parameters"]["style_weight"]["values"] == ["heavy", 1]
