"""Imports run one way, from the door down; `python -m nst.run` is the only way in."""

import ast
from pathlib import Path

from tests.conftest import ROOT

LEVELS = [
    {"errors", "text", "clock"},
    {"files"},
    {"layers", "losses", "lbfgs", "replay", "strips", "imagefile", "config", "image", "tracking"},
    {"samples", "backbones", "photos", "generator", "report"},
    {"tiles", "onnx"},
    {"objective", "memory"},
    {"distillation"},
    {"fidelity"},
    {"tasks"},
    {"record", "progress"},
    {"builders", "commandline", "usage", "earlier"},
    {"execute", "sweep", "foreign"},
    {"run"},
    {"bench"},
]
"""A module imports from levels above its own in this list only, or from its own package."""
KNOW_CONFIGS = {"config", "commandline", "usage", "earlier", "foreign", "builders", "execute", "sweep", "run"}


def top(path: Path) -> str:
    return path.relative_to(ROOT / "nst").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = sorted(path for path in (ROOT / "nst").rglob("*.py") if path != ROOT / "nst" / "__init__.py")


def test_imports_run_one_way() -> None:
    level = {name: index for index, names in enumerate(LEVELS) for name in names}
    for path in MODULES:
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "nst" and len(parts) > 1 and parts[1] in level and parts[1] != top(path):
                assert level[parts[1]] < level[top(path)], f"{top(path)} imports {parts[1]}"


def test_below_the_builders_nobody_sees_a_config() -> None:
    for path in MODULES:
        if top(path) not in KNOW_CONFIGS:
            assert not {name for name in imports(path) if name.startswith(("omegaconf", "hydra", "nst.config"))}, path


def test_few_know_pillow_and_one_knows_wandb() -> None:
    users = {library: {top(path) for path in MODULES if library in imports(path)} for library in ("PIL", "wandb")}
    assert users == {"PIL": {"imagefile", "samples", "report"}, "wandb": {"tracking"}}  # samples and report draw
