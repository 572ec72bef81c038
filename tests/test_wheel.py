"""The wheel and the source distribution: built, installed alone into a fresh environment, and run from there."""

import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parent.parent
PORTABLE = "cmake.define.GATESMITH_ALL_TARGETS=OFF"  # the same source in a fraction of the time

CALLS = """
import json
import numpy as np
import gatesmith

lstm = gatesmith.LSTM(gatesmith.LSTMSpec(input_size=3, hidden_size=5), seed=0)
x = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
outputs = {name: gatesmith.run_on_device(lstm, x, device=name)[0] for name in ("reference", "cpu", "fixed")}
errors = {name: float(np.abs(y - outputs["reference"]).max()) for name, y in outputs.items()}
lstm.weights.save("model.safetensors")
np.save("x.npy", x)
print(json.dumps({"package": gatesmith.__file__, "errors": errors}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, folder: Path) -> Path:
    """The wheel of a source folder or archive, by pip and without a network."""
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "-C", PORTABLE, "-C", f"build-dir={folder / 'cmake'}", "-w", folder, source, cwd=folder)
    return next(folder.glob("gatesmith-*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """A fresh environment with that wheel, and the dependencies of this one beside it; returns its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", purelib, wheel, cwd=folder)
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (purelib / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return python


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    source = f"import scikit_build_core.build as build; build.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", source, cwd=ROOT)
    return next(folder.glob("gatesmith-*.tar.gz"))


@pytest.fixture(scope="module")
def python(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has nothing of this checkout but the wheel, built from the source distribution."""
    folder = tmp_path_factory.mktemp("installed")
    return install(build(archive, folder), folder / "venv")


def test_the_archive_holds_what_a_build_needs_and_no_results(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert {"CMakeLists.txt", "LICENSE", "csrc/gatesmith.h", "rtl/lstm.sv", "src/gatesmith/__init__.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc")) or name.startswith(("build/", ".venv"))]


def test_every_device_that_needs_no_tool_runs(python: Path, tmp_path: Path) -> None:
    result = json.loads(run(python, "-c", CALLS, cwd=tmp_path))
    assert result["package"].startswith(str(python.parent.parent))
    assert result["errors"]["reference"] == 0
    assert result["errors"]["cpu"] < 2e-6
    assert result["errors"]["fixed"] < 0.05


def test_the_command_line_exports_hardware(python: Path, tmp_path: Path) -> None:
    run(python, "-c", CALLS, cwd=tmp_path)
    command = (python, "-m", "gatesmith")
    run(*command, "quantize", "model.safetensors", "--data", "x.npy", "--out", "plan.json", cwd=tmp_path)
    run(*command, "export", "model.safetensors", "--plan", "plan.json", "--out", "design", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "design").rglob("*.sv")} >= {"lstm.sv"}
