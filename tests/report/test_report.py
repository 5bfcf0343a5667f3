"""The report of a sweep: its grid, its files, how it shows failed jobs, and what is published."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from nst.generators.files import encode
from nst.generators.networks import Generator
from nst.report.__main__ import main
from nst.text import number
from tests.conftest import ROOT, SMALL, Door, exit_status, pixels

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """The parts of a report that tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.columns: list[str] = []
        self.cells = 0
        self.captions: list[str] = []
        self.said: dict[str, str] = {}
        self.best: list[str] = []
        self.addresses: list[str] = []
        self.configs = 0
        self.text = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.addresses += [found[name] or "" for name in ("src", "href", "data") if found.get(name)]
        self.configs += found.get("class") == "config"
        inside_grid = any(each.get("class") == "grid" for _, each in self._open)
        if inside_grid:
            self.cells += tag == "td"
            {"row": self.rows, "col": self.columns}.get(found.get("scope") or "", []).append("")
        if tag == "figcaption":
            self.captions.append("")
        if tag not in ("img", "meta", "input", "br"):
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag == "mark" for tag, _ in self._open):
            self.best += self.captions[-1:]
        elif any(each.get("class") == "said" for _, each in self._open):
            self.said[self.captions[-1]] = data
        elif any(tag == "figcaption" for tag, _ in self._open):
            self.captions[-1] += data.strip()
        elif any(each.get("class") == "grid" for _, each in self._open):
            for scope, heads in (("row", self.rows), ("col", self.columns)):
                if any(each.get("scope") == scope for _, each in self._open):
                    heads[-1] += data.strip()


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`report(folder, …)` is `python -m nst.report folder …`: its exit status and its output."""

    def door(*arguments: Path | str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        capfd.readouterr()
        status = exit_status(main)
        captured = capfd.readouterr()
        return status, captured.out + captured.err

    return door


ROLES = {"content": ["content"], "style": ["style"], "init": ["init"]}
"""In a record: key whose values are images → roles."""


def made_up(folder: Path, settings: list[dict[str, Any]], **facts: Any) -> Path:
    """A sweep's folder, as runs that differ in `settings` would leave it.

    A run has the content cat.jpg and no style, unless its settings say otherwise. facts: more of each record.
    """
    for job, each in enumerate(settings):
        run = folder / str(job)
        content = str(each.get("content", "cat.jpg"))
        inputs = {"content": [content], "style": list(each.get("style", []))}
        (run / "inputs").mkdir(parents=True)
        for role, names in inputs.items():
            for place, name in enumerate(names, 1):
                color = (37 * sum(map(ord, name)) % 256, 90, 90)  # JPEG keeps them apart
                file = f"{role}.jpg" if place == 1 else f"{role}_{place}.jpg"
                Image.new("RGB", (32, 24), color).save(run / "inputs" / file)
        Image.new("RGB", (32, 24), (job, 40, 200)).save(run / "result.png")
        rows = "".join(f"{step},{step / 10},{9 / (step + 1)},{1 / (step + 1)}\n" for step in range(4))
        (run / "losses.csv").write_text("step,seconds,loss/total,loss/content\n" + rows)
        record = {
            "status": "finished",
            "command": "python -m nst.run -m",
            "overrides": [f"{key}={_written(value)}" for key, value in each.items()],
            "config": {"question": None, "content": content, "style_weight": 1.0} | each,
            "decided": {},
            "inputs": {role: [{"path": name, "sha256": "0"} for name in names] for role, names in inputs.items()},
            "roles": ROLES,
            "losses": {"loss/total": 2.25, "loss/content": 0.25},
            "timings": {"seconds_per_step": 0.05, "total_seconds": 15.04, "peak_memory_mb": 1000.0},
        }
        (run / "record.json").write_text(json.dumps(record | facts))
    return folder


def _written(value: Any) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value)


def edit_record(run: Path, **facts: Any) -> None:
    """Change a run's record.json; None removes a key."""
    record = json.loads((run / "record.json").read_text()) | facts
    record = {name: fact for name, fact in record.items() if fact is not None}
    (run / "record.json").write_text(json.dumps(record))


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of runs.csv."""
    return list(csv.DictReader(io.StringIO((folder / "runs.csv").read_text())))


def test_a_sweep_ends_with_a_report_whose_grid_is_of_the_swept_keys(nst: Door, tmp_path: Path) -> None:
    result = nst("-m", *SMALL, "content=chelsea,coffee", "style=swirl,mosaic,waves", "hydra.sweep.dir=sweep")
    assert result.status == 0, result.err
    assert "sweep/report.html" in result.out
    page = Page(tmp_path / "sweep" / "report.html")
    assert (page.rows, page.columns, page.cells) == (["chelsea", "coffee"], ["swirl", "mosaic", "waves"], 6)
    assert page.configs == 6
    assert "python -m nst.run -m size=64" in page.text
    assert "style_weight: 1000000.0" in page.text  # from the config
    assert page.html.count("data:image/jpeg;base64,") == 6 + 5  # results, and an original for each head

    with Image.open(tmp_path / "sweep" / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 64
        assert sheet.height > 3 * 40
    rows = table(tmp_path / "sweep")
    assert [(row["content"], row["style"]) for row in rows[:2]] == [("chelsea", "swirl"), ("chelsea", "mosaic")]
    record = json.loads((tmp_path / "sweep" / "1" / "record.json").read_text())
    assert float(rows[1]["loss/style"]) == record["losses"]["loss/style"]
    assert float(rows[1]["seconds_per_step"]) == record["timings"]["seconds_per_step"]


def test_the_command_beside_a_picture_repeats_it_alone(nst: Door, tmp_path: Path) -> None:
    arguments = ("steps=2", "size=64", "tracking=none")
    assert nst("experiment=texture_noise", *arguments, "hydra.sweep.dir=sweep").status == 0
    commands = re.findall('<pre class="command">(.*?)</pre>', Page(tmp_path / "sweep" / "report.html").html)
    program, *alone = shlex.split(unescape(commands[-1]))[2:]
    assert program == "nst.run"
    again = nst(*alone)
    assert again.status == 0, again.err
    assert np.array_equal(again.pixels(), pixels(tmp_path / "sweep" / "1" / "result.png"))


@pytest.mark.parametrize("count", [1, 8, 200])
@pytest.mark.parametrize("keys", [1, 2, 3])
def test_any_number_of_runs_and_up_to_three_keys(
    count: int, keys: int, report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    inner = {1: 1, 8: 2, 200: 10}[count] if keys > 1 else count
    outer = 2 if keys > 2 and count > 1 else 1
    values = [
        {"init": ["noise", "content"][a], "seed": b, "style_weight": 10.0**c}
        for a in range(outer)
        for b in range(count // inner // outer if keys > 1 else 1)
        for c in range(inner)
    ]
    assert len(values) == count
    folder = made_up(tmp_path / "sweep", [dict(list(each.items())[3 - keys :]) for each in values])
    status, said = report(folder)
    assert status == 0, said
    page = Page(folder / "report.html")
    assert page.configs == count
    assert page.html.count('id="picture-') == count
    assert len((folder / "runs.csv").read_text().splitlines()) == count + 1
    assert (folder / "sheet.jpg").stat().st_size > 1000
    if count == 1 or keys == 1:
        assert page.cells == 0
        assert len([caption for caption in page.captions if caption != "content cat"]) == count
    else:
        assert page.cells == count
        assert page.columns[:2] == ["1", "10"]
        assert page.rows[:2] == ["0", "1"]
        assert len(re.findall("<h3>init (noise|content)</h3>", page.html)) == (2 if keys == 3 else 0)


def test_values_that_look_alike_when_short_are_told_apart(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    values = [
        {"content": f"{place}/cat.png", "style_weight": weight} for place in "ab" for weight in (1.00001, 1.00002)
    ]
    folder = made_up(tmp_path / "sweep", values)
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert (page.rows, page.columns) == (["a/cat.png", "b/cat.png"], ["1.00001", "1.00002"])
    assert [row["content"] for row in table(folder)] == ["a/cat.png", "a/cat.png", "b/cat.png", "b/cat.png"]


def test_several_images_of_a_role_are_all_shown(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    both = ["art/swirl.jpg", "art/waves.jpg"]
    folder = made_up(tmp_path / "shared", [{"style": both, "seed": seed} for seed in range(2)])
    assert report(folder)[0] == 0
    captions = Page(folder / "report.html").captions
    assert captions[:3] == ["content cat", "style swirl", "style waves"]
    assert captions.count("style waves") == 1  # both runs used it

    folder = made_up(tmp_path / "own", [{"style": both}, {"style": both[:1]}])
    assert report(folder)[0] == 0
    assert Page(folder / "report.html").captions == (
        ["content cat", "style swirl, waves", "style swirl", "style waves", "style swirl", "style swirl"]
    )
    assert [row["style"] for row in table(folder)] == ["art/swirl.jpg, art/waves.jpg", "art/swirl.jpg"]

    values = [{"style": style, "seed": seed} for style in (both, both[:1]) for seed in range(2)]
    folder = made_up(tmp_path / "grid", values)
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert page.rows == ["swirl, waves", "swirl"]
    assert page.html.count("data:image/jpeg;base64,") == 4 + 1 + 2 + 1  # results, the content, each row's styles

    values = [{**each, "lr": lr} for each in values for lr in (1, 2)]
    folder = made_up(tmp_path / "sections", values)
    assert report(folder)[0] == 0
    captions = Page(folder / "report.html").captions
    assert [caption for caption in captions if "style" in caption] == ["style swirl", "style waves", "style swirl"]


def test_the_record_says_which_images_a_key_stands_for(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    values = [{"scene": f"photos/{scene}.jpg", "seed": seed} for scene in ("a", "b") for seed in range(2)]
    folder = made_up(tmp_path / "sweep", values, roles={"scene": ["content"]})
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert page.rows == ["a", "b"]  # the names of images, not paths
    assert page.html.count("data:image/jpeg;base64,") == 4 + 1 + 2


def test_what_a_run_decided_is_reported_as_its_settings(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    folder = made_up(tmp_path / "sweep", [{"seed": seed} for seed in range(2)], decided={"scales": 2, "steps": 30})
    edit_record(folder / "0", decided={"scales": 2, "steps": 40})
    assert report(folder, "--publish", tmp_path / "published")[0] == 0
    text = (tmp_path / "published" / "README.md").read_text()
    assert "`scales=2`" in text
    assert "`steps=" not in text  # not the same in both
    assert report(folder)[0] == 0
    assert "# decided by the run" in Page(folder / "report.html").text


def test_records_of_older_versions_are_reported_too(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    values = [{"content": f"photos/{name}.jpg", "seed": seed} for name in ("a", "b") for seed in range(2)]
    folder = made_up(tmp_path / "sweep", values)
    for run, value in zip(sorted(folder.iterdir()), values, strict=True):
        edit_record(run, inputs={"content": {"path": value["content"], "sha256": "0"}}, roles=None, decided=None)
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert (page.rows, page.columns) == (["a", "b"], ["0", "1"])
    assert page.html.count("data:image/jpeg;base64,") == 4 + 2


def test_losses_that_are_zero_everywhere_have_no_column(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    losses = {"loss/total": 2.25, "loss/tv": 0.0}
    folder = made_up(tmp_path / "sweep", [{"seed": seed} for seed in range(2)], losses=losses)
    assert report(folder)[0] == 0
    times = ["seconds_per_step", "total_seconds", "peak_memory_mb"]
    assert list(table(folder)[0]) == ["folder", "seed", "loss/total", *times, "error"]
    edit_record(folder / "1", losses=losses | {"loss/tv": 1.0}, status="failed", timings={"images_per_second": 9.0})
    assert report(folder)[0] == 0
    columns = ["folder", "seed", "status", "loss/total", "loss/tv", "images_per_second", *times, "error"]
    assert list(table(folder)[0]) == columns


def test_a_list_of_pairs_is_no_grid(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    values = [{"content": f"photo{each}.jpg", "style_weight": float(each)} for each in range(6)]
    folder = made_up(tmp_path / "sweep", values)
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert page.cells == 0
    assert "content photo3, style_weight 3" in page.captions


def test_the_page_is_self_contained_and_escapes_what_it_is_given(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    attack = '"><img src=x onerror=alert(1)><script>alert(2)'
    values = [{"content": attack + str(each), "style_weight": each} for each in (1, 2)]
    folder = made_up(tmp_path / "a sweep & more", values, error=attack, name=attack, command=attack)
    losses, git = {f"loss/{attack}": 1.0}, {"commit": attack, "changed": True}
    edit_record(folder / "0", status=attack, losses=losses, git=git)
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    assert attack in page.text
    assert "<img src=x" not in page.html
    assert page.html.count("<script") == 1
    assert {address.partition(",")[0] for address in page.addresses} <= {
        "data:image/jpeg;base64",
        "0/result.png",
        "1/result.png",
    }


@pytest.mark.parametrize("kind", ["link", "eps", "bomb", "gif", "folder", "text"])
def test_no_file_of_a_stranger_is_opened_but_a_picture_of_a_run(
    kind: str, report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder = made_up(tmp_path / "sweep", [{"seed": 1}, {"seed": 2}])
    Image.new("RGB", (32, 24), (1, 2, 3)).save(tmp_path / "private.png")
    for path in (folder / "0" / "result.png", folder / "0" / "inputs" / "content.jpg"):
        path.unlink()
        if kind == "link":
            path.symlink_to(tmp_path / "private.png")
        elif kind == "folder":
            path.mkdir()
        elif kind == "bomb":  # the header of a PNG file says 60,000 × 60,000 pixels
            head = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
            chunk = b"IHDR" + head
            path.write_bytes(
                b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
            )
        elif kind == "text":
            path.write_text("no picture")
        else:
            Image.new("RGB", (32, 24)).save(path, format=kind.upper())
    status, said = report(folder)
    assert status == 0, said
    page = Page(folder / "report.html")
    assert page.text.count("no picture") == 1
    assert page.html.count('id="picture-') == 1


def test_no_folder_of_a_stranger_is_looked_into_by_a_link(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    elsewhere = made_up(tmp_path / "elsewhere", [{"content": "secret.jpg", "seed": 3}])
    folder = made_up(tmp_path / "sweep", [{"seed": 1}, {"seed": 2}])
    shutil.rmtree(folder / "0" / "inputs")
    (folder / "0" / "inputs").symlink_to(elsewhere / "0" / "inputs")
    (folder / "2").symlink_to(elsewhere / "0")
    status, said = report(folder)
    assert status == 0, said
    page = Page(folder / "report.html")
    assert "secret" not in page.text
    assert "content cat" in page.captions  # of the other run
    assert page.html.count('id="picture-') == 2


def test_files_and_words_of_another_form_cost_a_report_nothing(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder = made_up(tmp_path / "sweep", [{"seed": 1}, {"seed": 2}])
    record = json.loads((folder / "0" / "record.json").read_text())
    edit_record(folder / "0", config=record["config"] | {"labels": "content", "captions": "$x$", "title": {"a": 1}})
    for run in (folder / "0", folder / "1"):
        (run / "progress").mkdir()
        for name in ("step_000001.jpg", "step_abc.jpg", "step_²².jpg"):
            shutil.copy(run / "inputs" / "content.jpg", run / "progress" / name)
        if sys.platform == "linux":
            shutil.copy(run / "inputs" / "content.jpg", run / "inputs" / os.fsdecode(b"st\xff.jpg"))
    for each in (folder, folder / "0"):
        status, said = report(each)
        assert status == 0, said


def test_a_spreadsheet_and_a_page_compute_nothing(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    values = ["=1+1", "@SUM(1)", "-1", "-inf", "+3e5", "-2+3+cmd|' /C calc'!A0", "<img src=x>"]
    folder = made_up(tmp_path / "sweep", [{"question": "x", "content": each} for each in values], error="+cmd|x")
    assert report(folder)[0] == 0
    assert [row["content"] for row in table(folder)] == [
        *("'=1+1", "'@SUM(1)", "-1", "-inf", "+3e5", "'-2+3+cmd|' /C calc'!A0", "<img src=x>")
    ]
    assert {row["error"] for row in table(folder)} == {"'+cmd|x"}
    assert "&lt;img src=x>" in (folder / "runs.md").read_text()
    assert "<img" not in (folder / "runs.md").read_text()


def test_one_failing_job_of_eight_is_marked_and_costs_nothing_else(nst: Door, photo: Path, tmp_path: Path) -> None:
    contents = [photo.with_name(f"photo{index}.png") for index in range(8)]
    for content in contents:
        shutil.copy(photo, content)
    contents[5].write_bytes(b"no picture")
    result = nst("-m", *SMALL, f"content={','.join(map(str, contents))}", "steps=1", "hydra.sweep.dir=sweep")
    assert result.status == 2
    page = Page(tmp_path / "sweep" / "report.html")
    assert "1 not finished" in page.text
    marked = [caption for caption in page.captions if "refused" in caption]
    assert len(marked) == 1
    assert marked[0].startswith("content photo5")
    assert "photo5.png" in marked[0]
    statuses = [json.loads((tmp_path / "sweep" / str(job) / "record.json").read_text())["status"] for job in range(8)]
    assert statuses == ["finished"] * 5 + ["refused"] + ["finished"] * 2
    assert len(list((tmp_path / "sweep").glob("*/result.png"))) == 7
    assert "refused" in (tmp_path / "sweep" / "runs.csv").read_text()


def test_a_job_that_breaks_leaves_its_traceback_and_the_others(
    nst: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nst.modes.pixels.task import Pixels

    def broken(task: Pixels) -> None:
        if task.objective.terms["style"].weight == 7:
            raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Pixels, "before_chunk", broken)
    result = nst("-m", *SMALL, "style_weight=6,7,8", "hydra.sweep.dir=sweep")
    assert result.status == 1
    assert "Traceback" in result.err
    records = [json.loads((tmp_path / "sweep" / str(job) / "record.json").read_text()) for job in range(3)]
    assert [record["status"] for record in records] == ["finished", "failed", "finished"]
    assert records[1]["error"] == "RuntimeError: the disk is on fire"
    assert "the disk is on fire" in Page(tmp_path / "sweep" / "report.html").text


def test_a_single_run_has_a_report_too(nst: Door, report: Callable[..., tuple[int, str]]) -> None:
    result = nst(*SMALL)
    status, said = report(result.folder)
    assert status == 0, said
    page = Page(result.folder / "report.html")
    assert {"content chelsea", "style swirl"} < set(page.captions)
    assert "result.png" in page.addresses
    assert "<svg" in page.html


def test_a_folder_without_runs_is_refused_in_one_line(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    for folder, expected in ((tmp_path, "holds no run"), (tmp_path / "missing", "no such folder")):
        status, said = report(folder)
        assert status == 2
        assert expected in said
        assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_publishing_writes_the_numbers_and_keeps_the_finding(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    values = [{"style_weight": 10.0**power} for power in range(3)]
    folder = made_up(tmp_path / "sweep", values)
    experiments = tmp_path / "experiments"
    for name in ("a", "b"):
        assert report(folder, "--publish", experiments / name)[0] == 0
    readme = experiments / "a" / "README.md"
    text = readme.read_text()
    assert "python -m nst.run -m" in text
    assert "| 100 | 2.25 | 0.25 | 0.05 | 15 | 1000 |" in text
    assert "![3 runs, style_weight](sheet.jpg)" in text
    assert pixels(experiments / "a" / "sheet.jpg").size > 0

    readme.write_text(text.replace("| 0.25 |", "| 9999 |") + "\nWhat the [picture](own.jpg) shows.\n")
    everything = experiments / "README.md"
    sections = everything.read_text().split("\n## ")
    everything.write_text("\n## ".join(["# All of it\n\nAn introduction.\n", sections[2], sections[1]]))
    assert report(folder, "--publish", experiments / "a")[0] == 0
    again = readme.read_text()
    assert "9999" not in again
    assert again.endswith("## Finding\n\nWhat the [picture](own.jpg) shows.\n")
    whole = everything.read_text()
    assert whole.startswith("# All of it\n\nAn introduction.\n")
    assert "What the [picture](a/own.jpg) shows." in whole
    assert whole.index("(b/sheet.jpg)") < whole.index("(a/sheet.jpg)")  # keeps the order

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("mine")
    status, said = report(folder, "--publish", tmp_path / "other")
    assert status == 2
    assert "not the README of an experiment" in said
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["README.md"]
    project = tmp_path / "README.md"
    project.write_text("# A project\n\n## How to use it\n")
    status, said = report(folder, "--publish", tmp_path / "mine")
    assert status == 2
    assert "has a section 'How to use it', of no experiment" in said
    assert said.count("\n") == 1
    assert project.read_text() == "# A project\n\n## How to use it\n"
    assert not (tmp_path / "mine").exists()


def test_a_published_sheet_is_small_enough_for_a_document(
    report: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder = made_up(tmp_path / "sweep", [{"seed": seed} for seed in range(12)])
    for run in folder.glob("*/result.png"):
        Image.effect_noise((400, 400), 200).convert("RGB").save(run)
    assert report(folder, "--publish", tmp_path / "published")[0] == 0
    assert 100_000 < (tmp_path / "published" / "sheet.jpg").stat().st_size <= 300_000


@pytest.mark.parametrize(
    ("text", "written"),
    [("1000000.0", "1e6"), ("1000.0", "1e3"), ("0.02", "0.02"), ("1e-08", "1e-8"), ("384", "384"), ("noise", "noise")],
)
def test_numbers_are_as_people_write_them(text: str, written: str) -> None:
    assert number(text) == written


def test_the_command_is_there_for_users(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "nst.report", "nowhere"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "nst: nowhere: no such folder\n"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_it_compares_and_opens_a_config(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    values = [{"content": f"photo{a}.jpg", "style_weight": 10.0**b} for a in range(2) for b in range(4)]
    folder = made_up(tmp_path / "sweep", values)
    assert report(folder)[0] == 0
    # a phone's width in a frame: a headless window has a minimum width
    probe = """
    <iframe src="report.html" width="WIDTH" height="900"></iframe>
    <script>
      document.querySelector("iframe").onload = ({target: {contentDocument: page}}) => {
        const input = page.querySelector(".slider input");
        input.value = 20;
        input.dispatchEvent(new Event("input"));
        const right = page.querySelector("#right");
        right.value = [...right.options].find(each => each.text == "content photo1, style_weight 10").value;
        right.dispatchEvent(new Event("change"));
        page.querySelector("#picture-5").closest("button").click();
        const shown = page.querySelector("#run-5");
        document.body.textContent = JSON.stringify({
          wider: page.documentElement.scrollWidth - page.documentElement.clientWidth,
          pictures: [...page.images].filter(each => each.src && each.naturalWidth).length,
          broken: [...page.images].filter(each => each.src && !each.naturalWidth).length,
          choices: page.querySelectorAll("#left option").length,
          right: page.querySelectorAll(".slider img")[1].src == page.querySelector("#picture-5").src,
          at: page.querySelector(".slider").style.getPropertyValue("--at"),
          open: shown.matches(":popover-open") && shown.innerText.includes("style_weight: 10.0"),
        });
      };
    </script>"""
    for width in (1280, 390):
        (folder / "probe.html").write_text(f"<!doctype html><body>{probe.replace('WIDTH', str(width))}</body>")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
        options += ["--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}"]
        address = (folder / "probe.html").as_uri()
        command = [str(CHROMIUM), *options, address]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        found = json.loads(re.findall(r"<body>({.*?})</body>", done.stdout, flags=re.DOTALL)[0])
        shown = {"wider": 0, "pictures": 8 + 2 + 3, "broken": 0, "choices": 10}
        assert found == shown | {"right": True, "at": "20%", "open": True}


EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
LAYERS = ["conv_1", "conv_2", "conv_3", "conv_4", "conv_5"]
PAIRS = [
    "chelsea + facets",
    "astronaut + mosaic",
    "coffee + waves",
    "rocket + swirl",
    "chelsea + ihc",
    "coffee + tessellation",
]
GRIDS = {
    "gram_normalization": (["chw", "none"], ["1e-12", "1e6"]),
    "feedforward_pictures": (["chelsea", "astronaut", "coffee", "rocket"], ["transfer", "stylize"]),
    "grid": (["chelsea", "astronaut"], ["swirl", "mosaic"]),
    "calibration": (["wasserstein", "gram"], ["1", "1e6", "1e9"]),
    "style_losses": (["chelsea + swirl", "rocket + ihc"], ["wasserstein", "gram"]),
    "init": (["classroom", "shallow"], ["noise", "content"]),
    "mixing": (["chelsea", "coffee"], ["1, 0", "0.5, 0.5"]),
    "colors": (["chelsea + swirl", "astronaut + mosaic", "coffee + waves"], ["style", "content", "matched"]),
    "regions": (
        [
            "{mask:coffee_mask, style:mosaic}",
            "{mask:coffee_mask, style:mosaic}, {mask:rest, style:waves}",
            "{from:coffee_parts, red:swirl, blue:mosaic, rest:facets}",
        ],
        ["resample", "inside"],
    ),
    "structure": (["features", "self_similarity"], ["0", "30", "300"]),
    "strokes": (["chelsea + mosaic", "astronaut + swirl"], ["fine", "medium", "large"]),
}
ROWS = {
    "cat": ("style", ["swirl", "facets", "waves", "tessellation", "mosaic", "ihc", "retina", "hubble"]),
    "content_layers": ("content_layers", LAYERS),
    "content_noise": ("seed", ["0", "1"]),
    "favorites": ("content + style", PAIRS),
    "init_time": ("init", ["noise", "content"]),
    "style_weight": ("style weight β", ["1", "1e3", "1e4", "1e5", "5e5", "1e6", "1e7", "1e9"]),
    "texture_layers": ("style_layers", LAYERS),
    "texture_noise": ("seed", ["0", "1"]),
}
"""What each experiment's report shows: rows and columns of its grid, or the only swept key and its values."""

SEARCHES, TRIALS = ("adam_search", "find_weights"), 3
FEWER = {
    "gram_normalization": ["style_loss.normalize=chw,none", "style_weight=1e-12,1e6"],
    "calibration": ["style_loss=wasserstein,gram"],
    "style_losses": ["style_loss=wasserstein,gram", "zip={content:[chelsea,rocket],style:[swirl,ihc]}"],
    "feedforward_pictures": ["checkpoint=generator.safetensors"],
    "mixing": ["style_mix=[1,0],[0.5,0.5]"],
    "structure": ["style=swirl"],
    "init_time": ["repeats=2"],
    "adam_search": [f"hydra.sweeper.n_trials={TRIALS}"],
    "find_weights": [f"hydra.sweeper.n_trials={TRIALS}", "optimized_metric=style"],
}
"""What a test asks of an experiment, besides its name."""

TRAINED = ("feedforward", "johnson")


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in TRAINED])
def test_every_sweep_runs_to_its_report(name: str, nst: Door, tmp_path: Path) -> None:
    if name in SEARCHES:
        pytest.importorskip("optuna", reason="the extra optuna is not installed")
    (tmp_path / "generator.safetensors").write_bytes(encode(Generator("johnson", 4, 1), {}))
    result = nst(
        f"experiment={name}",
        *FEWER.get(name, []),
        "steps=1",
        "size=64",
        "tracking=none",
        "judge=none",
        "hydra.sweep.dir=sweep",
    )
    assert result.status == 0, result.err
    page = Page(tmp_path / "sweep" / "report.html")
    assert f"<h1>{question(name)}</h1>" in page.html
    results = page.html.count('id="picture-')
    if name in GRIDS:
        assert (page.rows, page.columns) == GRIDS[name]
        assert page.cells == results == len(page.rows) * len(page.columns)
    elif name in ROWS:
        key, values = ROWS[name]
        known = {f"{key} {value}" for value in values}
        captions = [caption for each in page.captions if (caption := each.removesuffix("one of 2")) in known]
        assert list(dict.fromkeys(captions)) == [f"{key} {value}" for value in values]
        assert results == len(values)
    else:
        assert name in SEARCHES
        assert results == TRIALS


@pytest.mark.parametrize("name", TRAINED)
def test_every_training_runs_to_its_report(name: str, nst: Door, report: Callable[..., tuple[int, str]]) -> None:
    small = ("data.size=32", "data.workers=0", "generator.width=4", "epochs=null", "steps=2")
    result = nst(f"experiment={name}", *small, "tracking=none")
    assert result.status == 0, result.err
    assert (result.folder / "generator.safetensors").exists()
    assert report(result.folder)[0] == 0
    page = Page(result.folder / "report.html")
    assert f"<h1>{question(name)}</h1>" in page.html
    assert "images_per_second" in page.text
    assert {"content", "style swirl"} < set(page.captions)


def question(name: str) -> str:
    return yaml.safe_load((ROOT / "conf" / "experiment" / f"{name}.yaml").read_text())["question"]
