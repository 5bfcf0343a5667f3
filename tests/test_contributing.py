"""CONTRIBUTING.md: the examples run, the commands compose, and the files that it names exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nst import modes
from nst.cli import arguments
from tests.conftest import ROOT, Door, random_features

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|yaml|sh)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    title: BLOCK.findall(text)
    for title, _, text in (part.partition("\n") for part in re.split(r"^##+ ", GUIDE, flags=re.MULTILINE))
    if BLOCK.search(text)
}
"""Heading → its fenced blocks, (language, text)."""
COMMANDS = sorted({each.strip() for each in re.findall(r"python -m nst\.run(?: [^`#\n]+)?", BLOCK.sub("", GUIDE))})
"""All commands outside of the examples."""


def write(folder: Path, block: str) -> Path:
    """Write a block where its first line, a comment, says."""
    place, _, text = block.partition("\n")
    path = folder / place.removeprefix("# ")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_guide_has_an_example_of_each_kind() -> None:
    assert list(EXAMPLES) == ["A style loss", "A backbone", "A mode", "A tracker"]


RUN_ALL = """
import json, sys
from nst.run import main
for words in json.load(sys.stdin):
    sys.argv = ["nst", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


def test_the_examples_run_together(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("nst", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    blocks = [block for example in EXAMPLES.values() for block in example]
    written = [write(copy, text) for language, text in blocks if language != "sh"]
    commands = [shlex.split(text)[3:] for language, text in blocks if language == "sh"]
    torch.save(random_features("alexnet"), tmp_path / "alexnet.pth")
    # one process for all: importing torch takes most of the time
    asked = [
        [*words, *([] if "tracking=jsonl" in words else ["tracking=none"]), f"hydra.run.dir=run{place}"]
        for place, words in enumerate(commands)
    ]
    done = call("-c", RUN_ALL, given=json.dumps(asked), PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stdout + done.stderr
    for place, words in enumerate(commands):
        record = json.loads((tmp_path / f"run{place}" / "record.json").read_text())
        assert record["status"] == "finished"
        chosen, _, name = words[0].partition("=")
        assert name in (record["config"][chosen], dict_of(record["config"][chosen]).get("name"))
        assert (tmp_path / f"run{place}" / "result.png").exists()
    steps = [json.loads(line)["step"] for line in (tmp_path / "run3" / "metrics.jsonl").read_text().splitlines()]
    assert (steps, record["tracker"]["name"]) == ([0, 2], "jsonl")
    modules = [str(path) for path in written if path.suffix == ".py"]
    for check in (("check",), ("format", "--check")):
        linted = call("-m", "ruff", *check, "--no-cache", *modules)
        assert linted.returncode == 0, linted.stdout + linted.stderr


def call(*arguments: str, given: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def dict_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_composes(command: str, nst: Door) -> None:
    result = nst(*shlex.split(command)[3:], "--cfg", "job")
    assert result.status == 0, result.err
    modes.refuse_unused(modes.get(yaml.safe_load(result.out)["mode"]), arguments.typed_keys())


def test_the_named_files_exist() -> None:
    for name in re.findall(r"\]\(([^)#:]+)\)", GUIDE):
        assert (ROOT / name).exists(), name
    added = {path.partition("\n")[0].removeprefix("# ") for blocks in EXAMPLES.values() for _, path in blocks}
    for name in re.findall(r"`((?:nst|conf|tests|tools)/[\w/.]*)`", GUIDE):
        planned = name in added or re.search(r"test_(power|alexnet|recolor|jsonl)\.py", name)
        assert planned or (ROOT / name).exists(), name
