"""Imports run one way, from the entry point down; `python -m nst.run` is the only way in."""

import ast
import gc
import sys
from functools import cache
from pathlib import Path

import pytest

from nst.imports import uncollected
from tests.conftest import ROOT

LEVELS = [
    {"errors", "imports", "patience", "text"},
    {"devices", "files", "registry", "session", "tensors"},
    {"choices", "metrics"},
    {"config"},
    {"images", "memory"},
    {"backbones", "generators", "losses", "optim", "record", "tracking"},
    {"engine", "judges", "report"},
    {"modes"},
    {"slim", "schema"},
    {"cli", "download"},
    {"compose", "runner"},
    {"api", "run", "sweep_config"},
]
"""A module imports only from levels above its own in this list, or from its own package."""
KNOW_CONFIGS = {"choices", "config", "schema", "tracking", "cli", "compose", "runner", "run", "sweep_config"}
"""Modules and packages that see configs, beside the builders and the declarations of modes."""
MODULES = sorted(path for path in (ROOT / "nst").rglob("*.py") if path != ROOT / "nst" / "__init__.py")
LEVEL = {name: index for index, names in enumerate(LEVELS) for name in names}


def top(path: Path) -> str:
    return path.relative_to(ROOT / "nst").parts[0].removesuffix(".py")


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_run_one_way() -> None:
    for path in MODULES:
        own = top(path)
        assert own in LEVEL, f"put {own} into LEVELS"
        for name in imports(path):
            package, _, inside = name.partition(".")
            other = inside.partition(".")[0]
            if package == "nst" and other and other != own and (ROOT / "nst" / other).exists() | (other in LEVEL):
                assert LEVEL[other] < LEVEL[own], f"{path} imports {name}"


def test_below_the_builders_nobody_sees_a_config() -> None:
    for path in MODULES:
        declares = path.parent.name == "modes" or (top(path), path.name) == ("slim", "config.py")
        if top(path) not in KNOW_CONFIGS and path.name != "build.py" and not declares:
            seen = {name for name in imports(path) if name.startswith(("omegaconf", "hydra", "nst.config"))}
            assert not seen, path


def test_nobody_imports_the_workshop() -> None:
    """Making and measuring slim is a package that nothing else needs; the benchmark is outside of nst."""
    for path in MODULES:
        own = top(path)
        assert own == "slim" or not {name for name in imports(path) if name.startswith("nst.slim")}, path
        assert not {name for name in imports(path) if name.startswith("tools")}, path


def test_few_know_pillow_and_one_knows_wandb() -> None:
    users = {
        library: {path.relative_to(ROOT / "nst").as_posix() for path in MODULES if library in imports(path)}
        for library in ("PIL", "wandb", "lightning_fabric")
    }
    assert {top(ROOT / "nst" / path) for path in users["PIL"]} == {"images", "report", "slim"}
    assert users["wandb"] == {"tracking/wandb_service.py"}
    assert {top(ROOT / "nst" / path) for path in users["lightning_fabric"]} == {"engine", "modes", "runner", "slim"}


def test_a_module_can_be_read_in_one_sitting() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > 260} == {}


def test_more_than_five_parameters_are_a_named_bundle() -> None:
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                assert len([name for name in names if name not in ("self", "cls")]) <= 5, f"{path}:{node.lineno}"


def test_the_garbage_collector_rests_for_the_first_imports_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        with uncollected():
            assert not gc.isenabled()
            raise ImportError

    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "nst.runner", raising=False)
        with pytest.raises(ImportError):
            fails()
    assert gc.isenabled()
    monkeypatch.setitem(sys.modules, "nst.runner", sys)
    with uncollected():
        assert gc.isenabled()
