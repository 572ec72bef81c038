"""Prediction and measurement side by side: they agree on the kernel, and say so when there is nothing to compare."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatesmith.analysis import footprint, load_result
from gatesmith.analysis.footprint import AGREEMENT
from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import cpu
from gatesmith.spec import LSTMSpec

SPEC = LSTMSpec(input_size=12, hidden_size=32)
needs_kernel = pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")


@needs_kernel
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("spec", "batch", "steps"),
    [
        (SPEC, 16, 29),
        (SPEC, 1, 29),
        (LSTMSpec(5, 7, num_layers=3, direction="bidirectional"), 33, 20),
        (LSTMSpec(64, 100, num_layers=2), 4, 11),
        (replace(SPEC, peepholes="ifo", gate_clip=3.0), 16, 29),
        (replace(SPEC, num_layers=2, direction="bidirectional", proj_size=20, full_peepholes="o"), 8, 29),
        (replace(SPEC, layer_norm="gates_and_cell", zoneout_c=0.1), 16, 29),
        (replace(SPEC, layer_norm="inputs_and_cell"), 1, 29),
    ],
)
def test_the_kernel_s_memory_is_predicted_within_five_per_cent(
    spec: LSTMSpec, batch: int, steps: int, training: bool
) -> None:
    found = footprint(spec, batch, steps, training=training)
    assert found.not_measured is None
    assert found.peak.disagreement == pytest.approx(0, abs=AGREEMENT)
    assert [line.component for line in found.disagreements] == []


@needs_kernel
def test_recompute_is_measured_to_be_smaller() -> None:
    whole, less = (footprint(SPEC, 8, 400, training=True, recompute=recompute) for recompute in (False, True))
    tapes = [next(line for line in found.lines if line.component == "training tape") for found in (whole, less)]
    assert tapes[1].measured == pytest.approx(tapes[0].measured / 5, rel=0.02)
    assert less.disagreements == ()


@needs_kernel
def test_a_wrong_prediction_is_called_out() -> None:
    found = footprint(SPEC, 16, 29)
    line = found.lines[0]
    wrong = replace(found, lines=(replace(line, predicted=2 * (line.predicted or 0)), *found.lines[1:]))
    assert [line.component for line in wrong.disagreements] == ["weights"]


def test_the_reference_is_measured_in_float64() -> None:
    found = footprint(SPEC, 3, 10, np.float64, training=True, device="reference")
    lines = {line.component: line for line in found.lines}
    assert lines["input sequence x"].measured == 10 * 3 * 12 * 8
    assert lines["gradients of the weights"].measured == SPEC.parameter_count() * 8
    assert lines["training tape"].predicted is None
    assert (lines["training tape"].measured or 0) > 10 * 3 * 5 * 32 * 8
    assert found.peak.measured > sum(line.measured or 0 for line in found.lines[:5])


def test_the_result_carries_the_sum_of_one_step(tmp_path: Path) -> None:
    found = footprint(SPEC, 4, 5, measure=False)
    assert found.to_dict()["one_step_bytes"] == 4 * (12 + 6 * 32) * 4
    json.dumps(found.to_dict(), allow_nan=False)
    found.save(tmp_path / "footprint.json", title="t")
    assert load_result(tmp_path / "footprint.json").data == found.to_dict()


def test_a_spec_too_large_to_measure_is_predicted_only() -> None:
    found = footprint(LSTMSpec(1 << 20, 1 << 20), 1 << 12, 1 << 12)
    assert found.peak.measured is None
    assert found.not_measured is not None
    assert "predicted only" in found.not_measured
    assert found.peak.predicted > 1 << 45


def test_a_run_that_a_device_refuses_is_predicted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedError("device 'cpu' can't run this")

    monkeypatch.setitem(sys.modules["gatesmith.analysis.footprint"].__dict__, "weigh", refuse)
    found = footprint(SPEC, 2, 3)
    assert found.not_measured == "device 'cpu' can't run this"
    assert found.peak.predicted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": -1}, "batch is -1"),
        ({"dtype": np.float16}, "dtype is float16"),
        ({"dtype": np.float64}, "device 'cpu' computes in float32"),
        ({"device": "abacus"}, "device is 'abacus'"),
        ({"optimiser": "magic"}, "optimiser is 'magic'; expected one of none, sgd, momentum, adam"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        footprint(SPEC, **arguments)  # type: ignore[arg-type]


def test_a_gpu_is_predicted_only_and_says_so() -> None:
    found = footprint(SPEC, 4, 5, training=True, device="cuda")
    assert found.not_measured is not None
    assert found.not_measured.startswith("predicted only: PyTorch's allocator")
    assert found.peak.predicted is None
    assert all(line.measured is None and line.predicted is not None for line in found.lines)
    assert found.to_dict()["one_step_bytes"] == 4 * (SPEC.input_size + 6 * SPEC.hidden_size) * 4
