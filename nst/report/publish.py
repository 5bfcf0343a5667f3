"""An experiment's folder for readers: the question, the command, the sheet, the table and what was found."""

import re
from pathlib import Path

from nst.errors import InputError
from nst.files import commit_name, write_whole
from nst.report.runs import Run, Sweep, markdown, shortened
from nst.report.sheet import draw, encode
from nst.report.template import fill

SHEET_LIMIT = 300_000
"""Bytes of a published sheet."""
FINDING = "## Finding\n"
TOLD = (
    "mode",
    "content",
    "style",
    "init",
    "content_layers",
    "style_layers",
    "content_weight",
    "style_weight",
    "tv_weight",
    "style_loss.gram",
    "size",
    "levels",
    "steps",
    "seed",
    "backbone.name",
    "optimizer.name",
)
"""Keys that a reader is told the value of, unless they were swept."""


def publish(sweep: Sweep, folder: Path) -> dict[str, Path]:
    """Write README.md, sheet.jpg and runs.csv of a sweep into `folder`, and the README.md of the folder around it.

    What stands under `## Finding` is kept: it is written by hand. Raises InputError, with nothing written, if `folder`
    or the one around it holds the README of something else.
    """
    files = {"readme": folder / "README.md", "sheet": folder / "sheet.jpg", "table": folder / "runs.csv"}
    text = fill(
        "experiment.md",
        sweep=sweep,
        table=markdown(*sweep.table()),
        told=_told(sweep),
        commits=_commits(sweep.runs),
        finding=finding(folder),
    )
    files["all"] = folder.parent / "README.md"
    whole = gather(folder.parent, {folder.name: text})
    write_whole(files["sheet"], encode(draw(sweep), SHEET_LIMIT))
    write_whole(files["table"], sweep.csv().encode())
    write_whole(files["readme"], text.encode())
    write_whole(files["all"], whole.encode())
    return files


def finding(folder: Path) -> str:
    """What was written by hand under `## Finding` in an experiment's folder; empty if it is new.

    Raises InputError if its README is of something else.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else FINDING
    if FINDING not in text:
        raise InputError(f"{readme} has no line '{FINDING.strip()}': it is not the README of an experiment")
    return text.split(FINDING, 1)[1].strip()


def gather(folder: Path, new: dict[str, str]) -> str:
    """The report of all experiments in `folder`, in Markdown, from their READMEs; name → README of `new` ones.

    What stands before the first `## ` is kept, and so is the order of the experiments; a new one comes last.
    """
    path = folder / "README.md"
    before = path.read_text(encoding="utf-8") if path.exists() else "# Experiments\n"
    intro, *sections = re.split(r"^## ", before, flags=re.MULTILINE)
    order = []
    for section in sections:
        link = re.search(r"\]\(([^/)]+)/README\.md\)", section)
        if not link:
            title = section.partition("\n")[0]
            raise InputError(
                f"{path} has a section '{title}', of no experiment; publish into a folder of another folder"
            )
        order.append(link[1])
    published = {each.parent.name: each.read_text(encoding="utf-8") for each in sorted(folder.glob("*/README.md"))}
    published |= new
    names = [name for name in dict.fromkeys([*order, *published]) if FINDING in published.get(name, "")]
    experiments = {name: _parts(published[name]) for name in names}
    return fill("experiments.md", intro=intro.strip(), experiments=experiments)


def _parts(text: str) -> dict[str, str]:
    """Question, command, picture and finding of an experiment's README."""
    question, _, rest = text.removeprefix("# ").partition("\n")
    command = next((line.strip() for line in rest.splitlines() if line.startswith("    ")), "")
    picture = re.search(r"!\[.*?\]\((.+?)\)", rest)
    return {
        "question": question,
        "command": command,
        "picture": picture[1] if picture else "sheet.jpg",
        "finding": rest.split(FINDING, 1)[1].strip(),
    }


def _told(sweep: Sweep) -> list[str]:
    """`size=256` for each telling key that has one value in all runs."""
    told = []
    for key in TOLD:
        values = {str(run.settings[key]) for run in sweep.runs if key in run.settings}
        if key not in sweep.keys and len(values) == 1 and values.isdisjoint({"None", "[]"}):
            run = next(run for run in sweep.runs if key in run.settings)
            told.append(f"{key}={shortened(key, run.value(key))}")
    return told


def _commits(runs: list[Run]) -> list[str]:
    states = [run.record["git"] for run in runs if run.record.get("git")]
    return list(dict.fromkeys(commit_name(state) for state in states))
