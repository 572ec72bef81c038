"""What can't be built is refused by name, and nothing is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatesmith import LSTMSpec
from gatesmith.errors import ExportError, UnsupportedError
from gatesmith.fixed import calibrate
from gatesmith.hardware.export import export
from gatesmith.hardware.options import Pipeline
from gatesmith.ops.operator import LSTM


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (LSTMSpec(3, 4, direction="bidirectional"), "a bidirectional direction, which reads whole sequences"),
        (LSTMSpec(3, 4, direction="reverse"), "a reverse direction, which reads whole sequences"),
        (LSTMSpec(3, 4, proj_size=2), "a projection"),
    ],
)
def test_what_can_not_interleave_is_refused_by_name(spec: LSTMSpec, reason: str, tmp_path: Path) -> None:
    lstm = LSTM(spec, seed=0)
    plan = calibrate(lstm.weights, np.random.default_rng(0).normal(size=(4, 2, 3)))
    with pytest.raises(UnsupportedError, match=f"interleave is 2, but the model has {reason}"):
        export(lstm, plan, tmp_path / "out", interleave=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (LSTMSpec(3, 4), "the forward direction alone"),
        (LSTMSpec(3, 4, direction="reverse"), "the reverse direction alone"),
        (LSTMSpec(3, 4, direction="bidirectional", proj_size=2), "a projection"),
    ],
)
def test_directions_that_can_not_share_are_refused_by_name(spec: LSTMSpec, reason: str, tmp_path: Path) -> None:
    lstm = LSTM(spec, seed=0)
    plan = calibrate(lstm.weights, np.random.default_rng(0).normal(size=(4, 2, 3)))
    with pytest.raises(UnsupportedError, match=f"share is 'directions', but the model has {reason}"):
        export(lstm, plan, tmp_path / "out", share="directions")
    assert not list(tmp_path.iterdir())


def test_directions_of_other_formats_are_not_shared(tmp_path: Path) -> None:
    lstm = LSTM(LSTMSpec(3, 4, direction="bidirectional"), seed=0)
    plan = calibrate(lstm.weights, np.random.default_rng(0).normal(size=(4, 2, 3)))
    first, second = plan.cells
    assert first == second  # calibration gives the directions of a layer one plan
    other = replace(plan, cells=(first, replace(second, c_frac=first.c_frac - 1)))
    with pytest.raises(UnsupportedError, match=r"c_frac of l0 is \d+ and of l0_reverse \d+; one engine has one"):
        export(lstm, other, tmp_path / "out", share="directions")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (LSTMSpec(4, 4), r"no two layers of one size \(4 inputs\)"),
        (LSTMSpec(3, 4), r"no two layers of one size \(3 inputs\)"),
        (LSTMSpec(3, 4, 2), r"no two layers of one size \(3 inputs and 4 inputs\)"),
        (LSTMSpec(4, 4, 2, "bidirectional"), "two directions, of which one ends before the next layer begins"),
        (LSTMSpec(4, 4, 2, proj_size=2), "a projection"),
    ],
)
def test_layers_that_can_not_share_are_refused_by_name(spec: LSTMSpec, reason: str, tmp_path: Path) -> None:
    lstm = LSTM(spec, seed=0)
    plan = calibrate(lstm.weights, np.random.default_rng(0).normal(size=(4, 2, spec.input_size)), share="layers")
    with pytest.raises(UnsupportedError, match=f"share is 'layers', but the model has {reason}"):
        export(lstm, plan, tmp_path / "out", share="layers")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        (4, {"interleave": 2}, UnsupportedError, "share is 'layers' and interleave 2; layers or sequences take turns"),
        (
            4,
            {"multipliers": 32, "pipeline": Pipeline(in_elements=2)},
            ExportError,
            "share is 'layers', but link_elements is 1, out_elements is 1, in_elements is 2; one engine has one number",
        ),
        (
            3,
            {"multipliers": 32, "pipeline": Pipeline(out_elements=2)},
            ExportError,
            "link_elements is 1, out_elements is",
        ),
    ],
)
def test_streams_of_shared_layers_are_alike(
    inputs: int, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    lstm = LSTM(LSTMSpec(inputs, 4, 3), seed=0)
    plan = calibrate(lstm.weights, np.random.default_rng(0).normal(size=(4, 2, inputs)), share="layers")
    with pytest.raises(error, match=message):
        export(lstm, plan, tmp_path / "out", share="layers", **options)
    assert not list(tmp_path.iterdir())


def test_layers_of_other_formats_are_not_shared(tmp_path: Path) -> None:
    """A plan that was made without sharing has a format of x for every layer; made with it, one."""
    lstm, x = LSTM(LSTMSpec(4, 4, 3), seed=0), 3 * np.random.default_rng(0).normal(size=(4, 2, 4))
    with pytest.raises(
        UnsupportedError, match=r"x_width of l0 is 16 and of l1 \d+; one engine has one, calibrate with share"
    ):
        export(lstm, calibrate(lstm.weights, x), tmp_path / "out", share="layers")
    assert not list(tmp_path.iterdir())
    plan = calibrate(lstm.weights, x, share="layers")
    assert plan.cells[0] == plan.cells[1] == plan.cells[2]
    export(lstm, plan, tmp_path / "out", share="layers")
