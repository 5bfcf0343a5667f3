"""A run that goes wrong is taken back and tried once more; what cannot be helped ends without a picture."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from nst.modes.pixels.task import Pixels
from tests.conftest import SMALL, Door, Result

ADAM = (*SMALL, "optimizer=adam", "tracking.loss_every=2", "content=astronaut")


TRAIN = ("mode=train", "generator.width=4", "generator.blocks=1", "data.size=32", "data.batch=2", "data.workers=0")
WRONG = (*TRAIN, "style_layers=[conv_1]", "content_layers=[conv_2]", "tracking=none", "tracking.loss_every=2")


def ended_without_a_picture(result: Result, said: str) -> None:
    assert result.status == 3, result.err
    assert said in result.err
    assert result.err.count("\n") == 1
    assert result.record["status"] == "diverged"
    assert said in result.record["error"]
    assert not (result.folder / "result.png").exists()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_steps_that_are_too_long_are_taken_back_and_shortened(
    optimizer: str, nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_steps, spoilt = Pixels.take_steps, list[int]()

    def once(task: Pixels, optimizer: object, steps: int) -> torch.Tensor:
        before = take_steps(task, optimizer, steps)
        if task.step == 2 and not spoilt:
            spoilt.append(task.step)
            task.pixels.data.fill_(float("nan"))
        return before

    monkeypatch.setattr(Pixels, "take_steps", once)
    result = nst(*ADAM, f"optimizer={optimizer}")
    assert result.status == 0, result.err
    assert "step 2: the pixels have left all bounds; once more from there" in result.out
    assert [row["step"] for row in result.rows()] == [0, 2, 4, 6]
    assert result.rows()[-1]["loss/total"] < 0.8 * result.rows()[0]["loss/total"]
    assert result.pixels().std() > 20


def test_pixels_without_bounds_end_a_run(nst: Door) -> None:
    ended_without_a_picture(nst(*ADAM, "optimizer.lr=1e30"), "the pixels have left all bounds")


def test_an_image_of_one_color_ends_a_run(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    take_steps = Pixels.take_steps

    def black(task: Pixels, optimizer: object, steps: int) -> torch.Tensor:
        before = take_steps(task, optimizer, steps)
        task.pixels.data.fill_(-3)
        return before

    monkeypatch.setattr(Pixels, "take_steps", black)
    ended_without_a_picture(nst(*ADAM), "the image has become one color")


def test_an_optimizer_that_finds_no_step_ends_a_run(nst: Door) -> None:
    still = nst(*SMALL, "content=astronaut", "optimizer.lr=1e-30", "steps=20")
    ended_without_a_picture(still, "no step lowers the loss")


def test_what_is_of_one_color_or_at_its_best_has_not_diverged(nst: Door) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (90, 20, 20)).save("flat.png")
    flat = nst("mode=reconstruct", "content_layers=[conv_1]", *SMALL[:3], "content=flat.png", "init=noise", "steps=60")
    assert flat.status == 0, flat.err
    assert np.abs(flat.pixels().astype(int) - (90, 20, 20)).mean() < 12
    there = nst("mode=reconstruct", *SMALL[:3], "init=content", "tv_weight=0", "steps=12")
    assert there.status == 0, there.err


def test_a_generator_whose_training_goes_wrong_is_taken_back(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from nst.modes.train.task import Train

    metrics, spoilt = Train.metrics, list[int]()

    def once(task: Train) -> dict[str, float]:
        if task.step == 4 and not spoilt:
            spoilt.append(task.step)
            next(task.generator.parameters()).data.fill_(float("nan"))
        return metrics(task)

    monkeypatch.setattr(Train, "metrics", once)
    result = nst(*WRONG, "steps=6")
    assert result.status == 0, result.err
    assert "step 4: the loss is not finite" in result.out
    assert [row["step"] for row in result.rows()] == [0, 2, 4, 6]
    ended = nst(*WRONG, "steps=6", "optimizer.lr=1e30")
    ended_without_a_picture(ended, "the loss is not finite")


def test_a_training_that_is_stopped_after_it_went_wrong_ends_as_if_nobody_had_stopped_it(
    nst: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint holds what is not finite, and the last state that was."""
    from nst.modes.train.task import Train

    spoilt, stops = list[int](), [False]

    def spoil(task: Train) -> None:
        if task.step == 4 and not spoilt:
            spoilt.append(task.step)
            next(task.generator.parameters()).data.fill_(float("nan"))
            if stops.pop():
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Train, "before_chunk", spoil)
    asked = (*WRONG, "tracking.loss_every=3", "steps=9")
    whole = nst(*asked)
    assert whole.status == 0, whole.err
    assert "step 6: the loss is not finite; once more from step 3" in whole.out
    spoilt.clear()
    stops.append(True)
    stopped = nst(*asked)
    assert stopped.status == 130, stopped.err
    resumed = nst(f"resume={stopped.folder.name}", f"hydra.run.dir={stopped.folder.name}")
    assert resumed.status == 0, resumed.err
    files = [Path(each.folder, "generator.safetensors").read_bytes() for each in (whole, stopped)]
    assert files[0] == files[1]
