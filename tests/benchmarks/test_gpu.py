"""The GPU benchmark goes through all it does, in Triton's interpreter; its figures there are nobody's business."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.gpu_points import POINTS, floor_of

from benchmarks import gpu

ROOT = Path(__file__).parents[2]


def benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "rows"),
    [(("--only", "ragged", "--dtypes", "bfloat16"), 4), pytest.param((), 72, marks=pytest.mark.nightly)],
)
def test_dry_run(tmp_path: Path, options: tuple[str, ...], rows: int) -> None:
    done = benchmark("--dry-run", "--out", str(tmp_path), *options)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["failures"] == {}
    assert len(report["rows"]) == rows
    assert all(row["ours"] > 0 and row["cudnn"] > 0 and row["floor"] > 0 for row in report["rows"])
    assert "ragged: geometric mean" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 3
    assert "no GPU is here, so nothing was measured" in capsys.readouterr().err


def test_a_point_that_fails_is_written_down_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(point: Any, dtype: str, _: Any) -> list[dict[str, Any]]:
        if point is POINTS[0] and dtype == "float32":
            raise RuntimeError("out of memory")
        times = {"ours": 1e-3, "cudnn": 2e-3, "ratio": 2.0, "floor": 1e-4}
        return [{"point": point.name, "dtype": dtype, "mode": "forward", "class": point.kind(dtype), **times}]

    monkeypatch.setattr(gpu, "measure", measure)
    assert gpu.run(list(POINTS[:2]), ["float32", "float16"], torch.device("cpu"), tmp_path) == 1
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["failures"] == {f"{POINTS[0].name} in float32": "RuntimeError: out of memory"}
    assert len(report["rows"]) == 3
    assert report["means"] == {"home": pytest.approx(2.0), "outside": pytest.approx(2.0)}
    assert report["published"]["FlashRNN, fused CUDA, forward"] == pytest.approx(4.87)
    assert "out of memory" in capsys.readouterr().out


def test_contestants_that_differ_are_not_timed() -> None:
    same, other = (lambda: torch.ones(2)), (lambda: torch.full((2,), 1.2))
    gradients = lambda: (torch.ones(2), torch.ones(2))  # noqa: E731
    gpu.require_equal(POINTS[0], "bfloat16", same, same, gradients, gradients)
    with pytest.raises(RuntimeError, match="the outputs differ by 1.67e-01; nothing was timed"):
        gpu.require_equal(POINTS[0], "bfloat16", same, other, gradients, gradients)
    with pytest.raises(RuntimeError, match="dx differ"):
        gpu.require_equal(POINTS[0], "bfloat16", same, same, gradients, lambda: (torch.zeros(2), torch.ones(2)))


def test_a_wave_has_half_the_barriers_of_two_layers() -> None:
    layers = next(point for point in POINTS if point.layers == 2 and point.directions == 1)
    assert layers.runs_as_wave("bfloat16")
    assert not layers.runs_as_wave("float32")
    wave, apart = (floor_of(layers, dtype, "forward").barriers for dtype in ("bfloat16", "float32"))
    assert wave == pytest.approx(apart * 501 / 1000)
