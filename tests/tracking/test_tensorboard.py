"""tracking=tensorboard: scalars, pictures and the config as text, read back from the event files."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL, Door

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
TRACKED = [argument for argument in SMALL if argument != "tracking=none"] + ["tracking=tensorboard"]


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    read.Reload()
    return read


def test_a_run_is_in_its_folder(nst: Door) -> None:
    result = nst(*TRACKED, "tracking.loss_every=2", "tracking.image_every=3")
    assert result.status == 0, result.err
    assert result.record["tracker"] == {"name": "tensorboard", "folder": str(result.folder / "tensorboard")}
    assert "tensorboard --logdir run/tensorboard" in result.out
    read = events(result.folder / "tensorboard")
    curve = {event.step: event.value for event in read.Scalars("loss/total")}
    assert sorted(curve) == [0, 2, 3, 4, 6]
    assert curve[6] == pytest.approx(result.record["losses"]["loss/total"])
    assert [event.step for event in read.Images("images/result")] == [3, 6]
    assert {"images/content", "images/style"} <= set(read.Tags()["images"])
    text = read.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "style_weight: 1000000.0" in text


def test_a_sweep_has_its_report_there(nst: Door, tmp_path: Path) -> None:
    result = nst("-m", *TRACKED, "style_weight=1e3,1e9", "steps=1", "hydra.sweep.dir=sweep")
    assert result.status == 0, result.err
    read = events(tmp_path / "sweep" / "tensorboard")
    assert read.Images("sheet")[0].width > 100
    table = read.Tensors("runs/text_summary")[0].tensor_proto.string_val[0].decode()
    assert table.count("\n") == 4
    assert "| 1e9 |" in table


def test_it_is_said_what_to_install(nst: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nst.tracking.tensorboard.find_spec", lambda name: None)
    result = nst(*TRACKED)
    assert result.status == 2
    assert "pip install -e '.[tensorboard]'" in result.err
    assert not list(tmp_path.iterdir())


def test_trouble_with_a_tracker_does_not_fail_a_run(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from nst.tracking.tensorboard import TensorBoardTracker

    def broken(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(TensorBoardTracker, "log", broken)
    result = nst(*TRACKED)
    assert result.status == 0, result.err
    assert (result.out + result.err).count("the tracker failed (OSError: no space left)") == 1
    assert result.record["status"] == "finished"
