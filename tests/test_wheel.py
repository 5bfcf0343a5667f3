"""The wheel: conf/ and LICENSE are inside, tests/ and tools/ are not, and it composes a config from any folder."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

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
    with ZipFile(wheel) as file:
        names = file.namelist()
        about = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        assert {name.partition("/")[0] for name in names} == {"nst", about}
        assert {"nst/py.typed", "nst/report/templates/part.html", "nst/conf/experiment/style_weight.yaml"} <= set(names)
        assert file.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert b"\nLicense-Expression: MIT\n" in file.read(f"{about}/METADATA")
    site = tmp_path / "site"
    call(*pip, "install", str(wheel), "--no-deps", "--no-index", "--target", str(site))
    assert call(sys.executable, "-c", "import nst; print(nst.__file__)", PYTHONPATH=str(site)).startswith(str(site))
    composed = call(sys.executable, "-m", "nst.run", "mode=texture", "--cfg", "job", PYTHONPATH=str(site))
    assert "mode: texture" in composed
    assert "content_layers: []" in composed
    script = next(path for path in site.rglob("nst*") if path.parent.name in ("bin", "Scripts"))  # nst.exe on Windows
    # run as a file by Python where it is one
    command = [str(script)] if script.suffix == ".exe" else [sys.executable, str(script)]
    assert "mode: transfer" in call(*command, "--cfg", "job", PYTHONPATH=str(site))
