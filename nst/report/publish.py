"""Publishing an experiment: a folder with its question, command, contact sheet, table and finding."""

import re
from pathlib import Path

from nst.errors import InputError
from nst.files import write_whole
from nst.record.files import commit_name
from nst.report.records import Run
from nst.report.sheet import draw, encode
from nst.report.sweep import Sweep
from nst.report.table import build, markdown, to_csv
from nst.report.template import fill

SHEET_LIMIT = 300_000
"""Most bytes of a published sheet."""
FINDING = "## Finding\n"
"""The heading of the part that is written by hand."""
METHOD = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight")
SETTINGS = ("size", "scales", "steps", "seed", "backbone.name", "optimizer.name")
"""Keys whose values the README shows if they are the same in all runs, beside the mode, images and style loss."""


def publish(sweep: Sweep, folder: Path) -> dict[str, Path]:
    """Write README.md, sheet.jpg and runs.csv of a sweep into `folder`, and README.md of its parent folder.

    The text under `## Finding` is kept: it is written by hand. Returns the paths by name: readme, sheet, table and all.
    Raises InputError, with nothing written, if `folder` or its parent holds the README of something else.
    """
    files = {"readme": folder / "README.md", "sheet": folder / "sheet.jpg", "table": folder / "runs.csv"}
    text = fill(
        "experiment.md",
        sweep=sweep,
        table=markdown(*build(sweep)),
        same=_same(sweep),
        commits=_commits(sweep.runs),
        finding=finding(folder) or sweep.finding,
    )
    files["all"] = folder.parent / "README.md"
    whole = gather(folder.parent, {folder.name: text})
    write_whole(files["sheet"], encode(draw(sweep), SHEET_LIMIT))
    write_whole(files["table"], to_csv(sweep))
    write_whole(files["readme"], text.encode())
    write_whole(files["all"], whole.encode())
    return files


def finding(folder: Path) -> str:
    """The text under `## Finding` in the README of an experiment's folder; empty for a new folder.

    Raises InputError if the README is not that of an experiment.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else FINDING
    if FINDING not in text:
        raise InputError(f"{readme} has no line '{FINDING.strip()}': it is not the README of an experiment")
    return text.split(FINDING, 1)[1].strip()


def gather(folder: Path, new: dict[str, str]) -> str:
    """The README of a folder of experiments, in Markdown, made from the experiments' READMEs.

    new: name of an experiment → its README, in place of the one on disk. The text before the first `## ` and the order
    of the experiments are kept; new ones are added at the end. Raises InputError if the present README has a section
    that is no experiment.
    """
    path = folder / "README.md"
    before = path.read_text(encoding="utf-8") if path.exists() else "# Experiments\n"
    intro, *sections = re.split(r"^## ", before, flags=re.MULTILINE)
    order = []
    for section in sections:
        link = re.search(r"\]\(([^/)]+)/README\.md\)", section)
        if not link:
            title = section.partition("\n")[0]
            raise InputError(f"{path} has a section '{title}', of no experiment; choose a folder inside another folder")
        order.append(link[1])
    published = {each.parent.name: each.read_text(encoding="utf-8") for each in sorted(folder.glob("*/README.md"))}
    published |= new
    names = [name for name in dict.fromkeys([*order, *published]) if FINDING in published.get(name, "")]
    experiments = {name: _parts(name, published[name]) for name in names}
    return fill("experiments.md", intro=intro.strip(), experiments=experiments)


def _seen_from_above(name: str, text: str) -> str:
    """The text with links to files of its own folder as they are from the folder around it."""
    return re.sub(r"\]\(([^/():#]+)\)", rf"]({name}/\1)", text)


def _parts(name: str, text: str) -> dict[str, str]:
    """Question, command, picture and finding in the README of an experiment's folder."""
    question, _, rest = text.removeprefix("# ").partition("\n")
    command = next((line.strip() for line in rest.splitlines() if line.startswith("    ")), "")
    picture = re.search(r"!\[.*?\]\((.+?)\)", rest)
    return {
        "question": question,
        "command": command,
        "picture": picture[1] if picture else "sheet.jpg",
        "finding": _seen_from_above(name, rest.split(FINDING, 1)[1].strip()),
    }


def _same(sweep: Sweep) -> list[str]:
    """`size=256` for each key of REPORTED that was not swept and has the same value in all runs."""
    same = []
    style_loss = dict.fromkeys(key for run in sweep.runs for key in run.settings if key.startswith("style_loss."))
    for key in ("mode", *sweep.roles, *METHOD, *style_loss, *SETTINGS):
        values = {str(run.settings[key]) for run in sweep.runs if key in run.settings}
        if key not in sweep.keys and len(values) == 1 and values.isdisjoint({"None", "[]"}):
            run = next(run for run in sweep.runs if key in run.settings)
            same.append(f"{key}={sweep.shortened(key, run.value(key))}")
    return same


def _commits(runs: list[Run]) -> list[str]:
    states = [run.record["git"] for run in runs if run.record.get("git")]
    return list(dict.fromkeys(commit_name(state) for state in states))
