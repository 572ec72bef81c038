"""The simulator is driven right, and whatever goes wrong outside is one specific error with nothing left behind."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fixed.plans import RANDOM, codes
from tests.rtl.bench import plain_plan

from gatesmith.errors import ExportError, InputError
from gatesmith.fixed.model import CodeInputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.weights import quantise_weights
from gatesmith.hardware import verilator
from gatesmith.hardware.export import export
from gatesmith.hardware.jobs import Stimulus
from gatesmith.hardware.simulate import missing, simulate, simulate_model
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

SPEC = LSTMSpec(3, 5)
PLAN = Plan(cells=(plain_plan(3, 5),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(LSTM(SPEC, seed=0), PLAN, tmp_path_factory.mktemp("an export") / "out", multipliers=7).folder


def inputs(lengths: list[int]) -> CodeInputs:
    generator, cell, batch = np.random.default_rng(0), PLAN.cells[0], len(lengths)
    return CodeInputs(
        x=codes(generator, cell.x_format, (max(lengths), batch, 3), RANDOM),
        h0=codes(generator, cell.h_format, (1, batch, 5), RANDOM),
        c0=codes(generator, cell.c_format, (1, batch, 5), RANDOM),
        lengths=np.array(lengths),
    )


def test_a_batch_equals_the_model(folder: Path) -> None:
    """Sequences of any length; one of length 0 never enters the hardware."""
    given = inputs([4, 0, 1, 6])
    expected = run(SPEC, PLAN, quantise_weights(LSTM(SPEC, seed=0).weights, PLAN), given)
    told: list[tuple[int, int, str]] = []
    result = simulate(
        folder, given.x, given.lengths, given.h0[0], given.c0[0], progress=lambda *seen: told.append(seen)
    )
    valid = np.arange(6)[:, None] < given.lengths
    np.testing.assert_array_equal(result.y[valid], expected.y[valid])
    np.testing.assert_array_equal(result.y[~valid], 0)
    np.testing.assert_array_equal(result.h_n, expected.h_n[0])
    np.testing.assert_array_equal(result.c_n, expected.c_n[0])
    np.testing.assert_array_equal(result.saturated, expected.saturated[0])
    assert result.steps == 11
    assert told[-1] == (11, 11, "time steps")


def test_wrong_shapes_are_refused(folder: Path) -> None:
    given = inputs([2, 2])
    with pytest.raises(InputError, match=r"h0 has shape \(5,\); the hardware expects \(2, 5\)"):
        simulate(folder, given.x, given.lengths, given.h0[0, 0], given.c0[0])


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_what_a_reverse_direction_cannot_do_is_refused(direction: str, tmp_path: Path) -> None:
    spec = LSTMSpec(3, 5, 1, direction)  # type: ignore[arg-type]
    plan = Plan(cells=PLAN.cells * spec.num_directions)
    export(LSTM(spec, seed=0), plan, tmp_path / "out", max_steps=2)
    states = np.zeros((spec.num_directions, 1, 5), np.int64)
    given = replace(inputs([3]), h0=states, c0=states)
    with pytest.raises(InputError, match=f"states can't be kept in a {direction} model"):
        simulate_model(tmp_path / "out", given, stimulus=Stimulus(keep=True))
    with pytest.raises(InputError, match="a sequence has 3 steps; the reverse direction of this design .* at most 2"):
        simulate_model(tmp_path / "out", given)


def test_a_changed_weight_file_is_refused(folder: Path, tmp_path: Path) -> None:
    given = inputs([2])
    shutil.copytree(folder, tmp_path / "copy")
    weights = tmp_path / "copy" / "weights" / "l0_forward_weight.hex"
    weights.write_text(weights.read_text().replace("0", "1", 1))
    with pytest.raises(ExportError, match="has changed since it was exported"):
        simulate(tmp_path / "copy", given.x, given.lengths, given.h0[0], given.c0[0])


def test_missing_verilator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "PACKAGE", "no_such_package")
    assert "gatesmith[rtl]" in str(missing())


@pytest.mark.nightly
def test_ten_thousand_sequences(folder: Path) -> None:
    generator = np.random.default_rng(1)
    given = inputs([int(length) for length in generator.integers(1, 30, 10_000)])
    expected = run(SPEC, PLAN, quantise_weights(LSTM(SPEC, seed=0).weights, PLAN), given)
    result = simulate(folder, given.x, given.lengths, given.h0[0], given.c0[0])
    np.testing.assert_array_equal(result.c_n, expected.c_n[0])
    valid = np.arange(len(given.x))[:, None] < given.lengths
    np.testing.assert_array_equal(result.y[valid], expected.y[valid])
