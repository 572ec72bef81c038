"""The benchmark runs, checks its contestants and writes what it promises; its figures are nobody's business here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
def test_quick_mode(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cpu", "--quick", "--threads", "1", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "cpu.json").read_text())
    assert len(report["points"]) == 6
    assert {row["mode"] for row in report["points"]} == {"inference", "training"}
    assert all(row["seconds"]["gatesmith"] > 0 and "PyTorch" in row["seconds"] for row in report["points"])
    assert "<svg" in (tmp_path / "cpu.svg").read_text()
