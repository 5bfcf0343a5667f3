"""Pages that compare: runs that differ in one key alone, and the Pareto front of content against style."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nst.report.front import front, measured
from nst.report.sweep import read
from tests.report.test_report import CHROMIUM, Page, edit_record, made_up, report

__all__ = ["report"]
Report = Callable[..., tuple[int, str]]


def losses(folder: Path, each: list[tuple[float, float]]) -> None:
    """Give the runs of a sweep distances from the content and from the style."""
    for job, (content, style) in enumerate(each):
        edit_record(folder / str(job), figures={"judge/self_similarity": content, "judge/w2": style})


def test_runs_of_two_sweeps_that_differ_in_one_key_are_side_by_side(tmp_path: Path, report: Report) -> None:
    ours = made_up(tmp_path / "ours", [{"style_weight": each, "style_loss": "gram"} for each in (1.0, 2.0)])
    others = [{"style_weight": each, "style_loss": "moments"} for each in (2.0, 3.0)]
    theirs = made_up(tmp_path / "theirs", others)
    losses(ours, [(0.1, 4.0), (0.2, 3.0)])
    losses(theirs, [(0.25, 2.5), (0.5, 1.0)])
    assert report(ours, theirs, "--by", "style_loss")[0] == 0
    page = Page(ours / "compared.html")
    assert page.html.count('<section class="pair">') == 1  # only the weight 2 has both
    assert page.captions == ["style_lossgram", "style_lossmoments"]
    row = re.findall(r"judge/w2</th><td>(.+?)</td><td>(.+?)</td><td>(.+?)</td>", page.html)
    assert row == [("3", "2.5", "-0.5")]
    assert "style_loss</th><td>gram</td><td>moments</td>" in page.html
    status, said = report(ours, "--by", "seed")
    assert status == 2
    assert "no two of the 2 pictures differ in seed alone" in said
    assert report(ours, "--by", "style_loss", "--best")[0] == 2


def test_several_values_have_no_difference_and_several_comparisons_are_titled(tmp_path: Path, report: Report) -> None:
    values = [{"style_weight": weight, "steps": steps} for steps in (10, 20) for weight in (1.0, 2.0, 3.0)]
    sweep = made_up(tmp_path / "sweep", values)
    assert report(sweep, "--by", "style_weight", "--output", tmp_path / "page.html")[0] == 0
    page = Page(tmp_path / "page.html")
    assert re.findall("<h2>(steps .*?)</h2>", page.html) == ["steps 10", "steps 20"]
    assert "difference</th>" not in page.html
    assert len(page.captions) == 6


def test_repeats_are_no_comparison(tmp_path: Path, report: Report) -> None:
    sweep = made_up(tmp_path / "sweep", [{"init": init, "seed": seed} for init in ("noise", "gray") for seed in (0, 1)])
    assert report(sweep, "--by", "init")[0] == 0
    assert len(Page(sweep / "compared.html").captions) == 2


def test_the_front_is_what_no_other_run_beats(tmp_path: Path, report: Report) -> None:
    sweep = made_up(tmp_path / "sweep", [{"style_weight": float(each)} for each in range(1, 6)])
    losses(sweep, [(0.1, 9.0), (0.2, 5.0), (0.3, 6.0), (0.4, 1.0), (0.2, 5.5)])
    axes, points = measured([read(sweep)])
    assert axes == ("judge/self_similarity", "judge/w2")
    assert [run.folder.name for run in front(points)] == ["0", "1", "3"]
    assert report(sweep, "--best")[0] == 0
    page = Page(sweep / "best.html")
    assert [caption.split(" judge/")[0] for caption in page.captions] == [
        "1style_weight 1",
        "2style_weight 2",
        "3style_weight 4",
    ]
    assert "5 runs; 3 of them are on the front" in " ".join(page.text.split())
    assert page.html.count("<image") == 3  # pictures in the plot


def test_without_a_judge_the_losses_are_compared(tmp_path: Path, report: Report) -> None:
    sweep = made_up(tmp_path / "sweep", [{"style_weight": float(each)} for each in (1, 2)])
    assert report(sweep, "--best")[0] == 2
    for job in range(2):
        edit_record(sweep / str(job), losses={"loss/content": 1.0 + job, "loss/style": 2.0 - job})
    assert report(sweep, "--best")[0] == 0
    assert "loss/content 1, loss/style 2" in Page(sweep / "best.html").text
    record = json.loads((sweep / "0" / "record.json").read_text())
    (sweep / "0" / "record.json").write_text(json.dumps(record | {"status": "failed"}))
    assert report(sweep, "--best")[0] == 2


@pytest.mark.parametrize("flag", ["--by=style_weight", "--best"])
def test_one_kind_of_page_at_a_time(flag: str, tmp_path: Path, report: Report) -> None:
    sweep = made_up(tmp_path / "sweep", [{"style_weight": float(each)} for each in (1, 2)])
    assert report(sweep, flag, "--publish", tmp_path / "published")[0] == 2
    assert not (tmp_path / "published").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_all_pictures_of_a_comparison_are_zoomed_and_moved_at_once(tmp_path: Path, report: Report) -> None:
    sweep = made_up(tmp_path / "sweep", [{"style_weight": float(each)} for each in (1, 2)])
    assert report(sweep, "--by", "style_weight")[0] == 0
    page = sweep / "compared.html"
    script = """<script>
      const zoom = document.querySelector(".pair input"), together = document.querySelector(".together");
      together.setPointerCapture = () => {};
      const point = (kind, x) => together.dispatchEvent(new PointerEvent(kind, {clientX: x, clientY: 0, pointerId: 1}));
      zoom.value = 4; zoom.dispatchEvent(new Event("input"));
      point("pointerdown", 0); point("pointermove", 9999); point("pointerup", 9999); point("pointermove", 0);
      const seen = [...together.querySelectorAll("img")].map(image => image.style.transform);
      document.body.innerText = JSON.stringify(seen);
    </script></body>"""
    page.write_text(page.read_text().replace("</body>", script))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(CHROMIUM), *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    seen = json.loads(re.findall(r"<body>(\[.*?\])\s*</body>", done.stdout, flags=re.DOTALL)[0])
    assert seen == ["scale(4) translate(37.5%, 0%)"] * 2  # not beyond the border
