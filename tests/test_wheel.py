"""The wheel: conf/ travels inside, and it composes from anywhere."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def call(*command: str, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_wheel_composes_a_config_elsewhere(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    call(*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path))
    wheel = next(tmp_path.glob("nst-*.whl"))
    assert wheel.stat().st_size < 5_000_000
    site = tmp_path / "site"
    call(*pip, "install", str(wheel), "--no-deps", "--no-index", "--target", str(site))
    assert call(sys.executable, "-c", "import nst; print(nst.__file__)", PYTHONPATH=str(site)).startswith(str(site))
    composed = call(sys.executable, "-m", "nst.run", "mode=texture", "--cfg", "job", PYTHONPATH=str(site))
    assert "mode: texture" in composed
    assert "content_layers: []" in composed
    script = next(path for path in site.rglob("nst") if path.parent.name == "bin")
    assert "mode: transfer" in call(sys.executable, str(script), "--cfg", "job", PYTHONPATH=str(site))
