"""Reports to hand in: the author's words, the best run, several folders, tables for documents, paper, watching."""

import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from nst.report.watch import server
from tests.conftest import SMALL, Door
from tests.report.test_report import CHROMIUM, Page, edit_record, made_up, report

__all__ = ["report"]
Report = Callable[..., tuple[int, str]]
WORDS = {
    "question": "Which weight?",
    "title": "My weights",
    "finding": "The second.",
    "labels": {"style_weight": "style weight β", "loss/content": "loss of the content", "seed": "drawn"},
    "captions": {"style_weight=2": "as strong & clear"},
}


def configured(folder: Path, **words: object) -> Path:
    """Give the runs of a sweep the author's words."""
    for run in folder.iterdir():
        record = json.loads((run / "record.json").read_text())
        edit_record(run, config=record["config"] | words)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return configured(made_up(tmp_path / "weights", [{"style_weight": each} for each in (1, 2, 3)]), **WORDS)


def test_the_words_of_the_author(weights: Path, report: Report) -> None:
    assert report(weights)[0] == 0
    page = Page(weights / "report.html")
    for text in ("My weights", "Which weight?", "The second.", "style weight β", "loss of the content"):
        assert text in page.text
    assert page.captions == ["content cat", "style weight β 1", "style weight β 2", "style weight β 3"]
    assert page.said == {"style weight β 2": "as strong & clear"}
    assert report(weights, "--title", "Another")[0] == 0
    assert "<title>Another</title>" in (weights / "report.html").read_text()


def test_tables_for_documents(weights: Path, report: Report) -> None:
    configured(weights, **WORDS | {"labels": {"style_weight": "50% of_all & |more|"}})
    assert report(weights)[0] == 0
    head, rule, first, *others = (weights / "runs.md").read_text().splitlines()
    assert head.startswith("| 50% of_all & \\|more\\| | ")
    assert rule.startswith("| --- | ")
    assert first.startswith("| 1 | 2.25 | 0.25 |")
    assert len(others) == 2
    latex = (weights / "runs.tex").read_text()
    assert "50\\% of\\_all \\& |more| & " in latex
    assert "1 & 2.25 & 0.25 & " in latex
    assert latex.count("\\\\") == 4


def test_the_best_run_is_marked_where_runs_can_be_compared(tmp_path: Path, report: Report) -> None:
    seeds = configured(made_up(tmp_path / "seeds", [{"seed": each} for each in range(3)]), optimized_metric="total")
    edit_record(seeds / "1", losses={"loss/total": 1.5, "loss/content": 0.25})
    assert report(seeds)[0] == 0
    assert Page(seeds / "report.html").best == ["seed 1"]
    # totals of different weights are of different things
    mixed = configured(
        made_up(tmp_path / "mixed", [{"style_weight": each} for each in (1, 2)]), optimized_metric="total"
    )
    assert report(mixed)[0] == 0
    assert Page(mixed / "report.html").best == []


@pytest.mark.parametrize(
    ("metric", "best", "said"),
    [
        ("ssim", "2", "judge/ssim"),
        ("w2", "1", "judge/w2"),
        ({"w2": 1, "ssim": 10}, "2", "judge/w2 + 10 judge/ssim"),
        ({"beauty": 1}, None, None),
    ],
)
def test_the_best_run_is_that_of_the_chosen_figure(
    metric: object, best: str | None, said: str | None, tmp_path: Path, report: Report
) -> None:
    sweep = configured(
        made_up(tmp_path / "judged", [{"style_weight": each} for each in (1, 2, 3)]), optimized_metric=metric
    )
    for job, (ssim, w2) in enumerate([(0.3, 1.0), (0.9, 2.0), (0.5, 3.0)]):
        edit_record(sweep / str(job), figures={"judge/ssim": ssim, "judge/w2": w2})
    assert report(sweep)[0] == 0
    page = Page(sweep / "report.html")
    assert page.best == ([f"style_weight {best}"] if best else [])
    assert said is None or said in page.text
    assert "| judge/ssim | judge/w2 |" in (sweep / "runs.md").read_text()


def test_a_search_shows_the_best(tmp_path: Path, report: Report) -> None:
    search = configured(made_up(tmp_path / "found", [{"seed": each} for each in range(4)]), optimized_metric="w2")
    for job, w2 in enumerate([3.0, 1.0, 4.0, 2.0]):
        edit_record(search / str(job), figures={"judge/w2": w2})
    assert report(search, "--top", "2")[0] == 0
    page = Page(search / "report.html")
    assert [caption for caption in page.captions if "seed" in caption] == ["seed 1", "seed 3"]
    assert len((search / "runs.md").read_text().splitlines()) == 6  # the table has all
    assert report(search, "--top", "0")[0] == 2


def test_several_folders_are_parts_of_one_page(tmp_path: Path, weights: Path, report: Report) -> None:
    seeds = made_up(tmp_path / "seeds", [{"seed": each} for each in range(2)])
    assert report(weights, seeds)[0] == 2
    output = tmp_path / "pages" / "both.html"
    output.parent.mkdir()
    status, _ = report(weights, seeds, seeds / "1", "--title", "All <of> it", "--output", output)
    assert status == 0
    page = Page(output)
    assert page.configs == 6
    assert "All <of> it" in page.text
    assert "All <of> it" not in page.html
    ids = [part.split('"')[0] for part in page.html.split(' id="picture-')[1:]]
    assert ids == [str(number) for number in range(6)]
    links = [address for address in page.addresses if address.endswith("result.png")]
    assert len(links) == 6
    assert all((output.parent / link).exists() for link in links)


def test_single_runs_in_one_folder(tmp_path: Path, report: Report) -> None:
    """Only the keys that differ are shown, each run has a picture and a name of its own, also one made twice."""
    folder = made_up(tmp_path / "outputs", [{"seed": 1}, {"seed": 2}, {"seed": 2}, {"seed": 2, "style_weight": 5}])
    for place, run in enumerate(sorted(folder.iterdir())):
        edit_record(run, command=f"python -m nst.run {place}")
        run.rename(folder / f"12-00-0{place}")
    assert report(folder)[0] == 0
    page = Page(folder / "report.html")
    results = [caption for caption in page.captions if "seed" in caption]
    assert len(results) == len(set(results)) == 4
    assert "no picture" not in page.text
    assert page.cells == 0  # no grid, so no empty cell


def test_the_page_of_a_run_shows_the_way(nst: Door, report: Report) -> None:
    run = nst(*SMALL, "tracking.image_every=2", "mode=transfer").folder
    assert report(run)[0] == 0
    page = Page(run / "report.html")
    assert page.captions[:2] == ["content chelsea", "style swirl"]
    assert [caption for caption in page.captions if caption.startswith("step ")] == [
        "step 2", "step 4", "step 6"
    ]  # fmt: skip
    assert 'type="range"' in page.html
    assert "decided by the run" in page.text
    assert page.html.count("<svg") == 1


@pytest.mark.skipif(CHROMIUM is None or shutil.which("pdftoppm") is None, reason="needs Chromium and pdftoppm")
def test_on_paper_nothing_is_cut_and_nothing_is_there_to_click(weights: Path, report: Report, tmp_path: Path) -> None:
    assert report(weights)[0] == 0
    printed = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--print-to-pdf=page.pdf"]
    subprocess.run([str(CHROMIUM), *printed, (weights / "report.html").as_uri()], check=True, capture_output=True)
    text = subprocess.run(["pdftotext", "-layout", "page.pdf", "-"], check=True, capture_output=True, text=True).stdout
    for word in ("My weights", "The second.", "as strong & clear", "peak_memory_mb"):
        assert word in text
    assert "click" not in text
    assert "Repeat this run alone" not in text
    subprocess.run(["pdftoppm", "-r", "40", "-png", "page.pdf", "page"], check=True)
    for page in tmp_path.glob("page-*.png"):
        with Image.open(page) as image:
            edge = image.convert("L").crop((image.width - 8, 0, image.width, image.height))
            assert edge.getextrema() == (255, 255)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of the page of a watched folder."""
    with server([folder]) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def watched(weights: Path) -> Iterator[tuple[Path, str]]:
    with serving(weights) as address:
        yield weights, address


def fetch(address: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
        return answer.read().decode()


def test_watching_shows_what_is_new(watched: tuple[Path, str]) -> None:
    folder, address = watched
    before, version = fetch(address + "/"), fetch(address + "/version")
    assert f'"{version}"' in before
    assert "3 runs" in before
    assert fetch(address + "/") == before
    shutil.copytree(folder / "2", folder / "3")
    edit_record(folder / "3", config={"style_weight": 9})
    assert fetch(address + "/version") != version
    assert "4 runs" in fetch(address + "/")


@pytest.mark.parametrize("path", ["/0/record.json", "/../secret", "/x"])
def test_watching_serves_only_the_page(path: str, watched: tuple[Path, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(watched[1] + path)


def test_watching_answers_only_this_machine(watched: tuple[Path, str]) -> None:
    """A page elsewhere whose name leads to 127.0.0.1 is refused."""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(watched[1] + "/", Host="elsewhere.example")


def test_watching_begins_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(tmp_path / "empty") as address:
        assert "Waiting for the first run" in fetch(address + "/")
