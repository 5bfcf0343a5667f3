"""Whatever a record or a checkpoint holds, it is read, or refused in one line."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nst.cli import previous
from nst.errors import InputError
from nst.record.schema import check_checkpoint
from nst.report.sweep import read
from nst.report.table import to_csv
from nst.schema import CONF
from tests.conftest import SMALL, Door

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**400, 10**401)
    | st.floats()
    | st.text(max_size=8)
    | st.just("x" * 5000)
    | st.sampled_from(["../out", "~nobody/x", "a\0b", "${oc.env:HOME}", "\udcff"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
FUZZ = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
)


def changed(whole: Any, data: st.DataObject) -> Any:
    """A copy with one value, at any depth, replaced by anything, or removed."""
    again = copy.deepcopy(whole)
    inside = again
    while True:
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        deeper = inside[key]
        if not isinstance(deeper, dict | list) or not deeper or data.draw(st.booleans()):
            break
        inside = deeper
    if data.draw(st.booleans()):
        inside[key] = data.draw(ANYTHING)
    else:
        del inside[key]
    return again


def test_any_record_is_reported_on_and_found_or_refused(nst: Door, tmp_path: Path) -> None:
    record = nst(*SMALL, "steps=2").record
    place = tmp_path / "sweep" / "0"
    place.mkdir(parents=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", ["mode=transfer"])

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        (place / "record.json").write_text(json.dumps(changed(record, data)))
        sweep = read(place.parent)
        assert to_csv(sweep).count(b"\n") >= 2
        for run in sweep.runs:
            assert isinstance(run.settings, dict)
            assert run.originals == []
        said = ""
        try:
            found = previous.find("rerun", str(place))
            said = " ".join(found.differences(record))
            found.refuse_missing_inputs(found.config(composed, [], previous.MACHINE))
        except InputError as error:
            said = str(error)
        assert "\n" not in said

    holds()


def test_any_checkpoint_has_its_form_or_is_refused() -> None:
    facts = {"path": "a.png", "sha256": "0" * 64}
    whole = {
        "version": 1,
        "task": {"pixels": [0.0], "slowed": False},
        "optimizer": {"state": {}, "param_groups": []},
        "progress": {"step": 3, "seconds": 0.5},
        "rows": [{"step": 0, "seconds": 0.0, "loss/total": 1.0}],
        "config": {"mode": "transfer", "steps": 6, "style_layers": ["conv1_1"]},
        "made_from": {"inputs": {"content": [facts]}, "weights": {"slim": facts}},
    }
    check_checkpoint(whole, "it")
    for name in ("step", "seconds", "loss/total"):
        with pytest.raises(InputError, match=rf"it: no checkpoint of this version of nst: rows\.0\.{name}: .*a number"):
            check_checkpoint(
                whole | {"rows": [{"step": 0, "seconds": 0.0, name: torch.ones(1, requires_grad=True)}]}, "it"
            )
    refused = 0

    @FUZZ
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        nonlocal refused
        given, said = changed(whole, data), ""
        try:
            check_checkpoint(given, "it")
        except InputError as error:
            said = str(error)
        if said:
            refused += 1
            assert said.startswith("it: ")
        else:
            assert given["progress"]["step"] >= 0
            assert all(isinstance(row["seconds"], float | int) for row in given["rows"])

    holds()
    assert refused > 10
