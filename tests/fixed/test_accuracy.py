"""The accuracy report against a computation of its own."""

import json

import numpy as np
import pytest

from gatesmith.fixed import calibrate
from gatesmith.fixed.accuracy import measure_accuracy
from gatesmith.fixed.tables import build_table, worst_case_error
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

X = np.random.default_rng(0).normal(size=(9, 6, 3))
LENGTHS = [9, 4, 0, 1, 9, 5]


def test_figures_are_those_of_the_two_devices() -> None:
    lstm = LSTM(LSTMSpec(3, 5, 2), seed=1)
    plan = calibrate(lstm, X, LENGTHS)
    report = measure_accuracy(lstm, plan, X, LENGTHS)
    fixed, _ = run_on_device(lstm, X, device="fixed", lengths=LENGTHS, plan=plan)
    real, _ = run_on_device(lstm, X, device="reference", lengths=LENGTHS)
    valid = np.arange(9)[:, None] < np.array(LENGTHS)
    error = (fixed - real)[valid]
    assert report.max_error == np.abs(error).max()
    assert report.rms_error == pytest.approx(np.sqrt((error**2).mean()))
    assert report.sqnr_db == pytest.approx(10 * np.log10((real[valid] ** 2).sum() / (error**2).sum()))
    assert report.sequences == 6
    assert report.table_errors == {
        name: worst_case_error(build_table(name, z_width=16, a_width=18, table_bits=8)) for name in ("sigmoid", "tanh")
    }
    assert report.saturated_sequences == {"z": 0, "c": 0, "h": 0}
    json.dumps(report.to_dict(), allow_nan=False)


def test_wider_formats_are_measurably_better() -> None:
    lstm = LSTM(LSTMSpec(3, 16), seed=1)
    widths = [(8, 4), (12, 8), (16, 12), (24, 18)]
    figures = [
        measure_accuracy(lstm, calibrate(lstm, X, data_width=data, weight_width=weight), X).sqnr_db or 0.0
        for data, weight in widths
    ]
    print([f"{value:.1f}" for value in figures])
    assert figures == sorted(figures)
    assert figures[-1] > figures[0] + 30


def test_data_beyond_calibration_is_counted_as_saturated() -> None:
    lstm = LSTM(LSTMSpec(3, 5), seed=1)
    larger = LSTM(Weights(lstm.spec, {**lstm.weights, "weight_ih_l0": lstm.weights["weight_ih_l0"] * 40}))
    report = measure_accuracy(larger, calibrate(larger, X), X)
    assert report.saturated_sequences["z"] > 0


def test_no_data_and_no_error() -> None:
    lstm = LSTM(LSTMSpec(3, 5), seed=1)
    report = measure_accuracy(lstm, calibrate(lstm, X), X[:, :0])
    assert (report.sqnr_db, report.max_error, report.rms_error, report.sequences) == (None, 0.0, 0.0, 0)
