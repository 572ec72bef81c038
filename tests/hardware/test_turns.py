"""Which sequences and cells take turns, in which order their steps come, and what of it the user sees."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatesmith
from gatesmith import LSTMSpec
from gatesmith.fixed import calibrate
from gatesmith.fixed.model import step
from gatesmith.fixed.weights import quantise_weights
from gatesmith.hardware.export import export, read_export_weights
from gatesmith.hardware.simulate import simulate
from gatesmith.hardware.turns import groups, job_in_turn
from gatesmith.hardware.verify import verify
from gatesmith.ops.operator import LSTM


def test_sequences_of_one_length_go_together() -> None:
    lengths = np.array([3, 0, 9, 1, 9, 4])
    assert groups(lengths, 2) == [[2, 4], [5, 0], [3]]
    assert groups(lengths, 1) == [[0], [2], [3], [4], [5]]


def test_steps_come_in_turn() -> None:
    """Sequence 2 of three steps, sequence 0 of one; the third context has none."""
    x = np.arange(3 * 3).reshape(3, 3, 1)  # [T, N, D]
    h0, c0 = np.arange(3 * 2).reshape(1, 3, 2), np.arange(3).reshape(1, 3, 1)
    job = job_in_turn(x, np.array([1, 0, 3]), [2, 0], h0, c0, 4)
    assert job.x[:, 0].tolist() == [2, 0, 5, 8]
    assert job.h0[:, 0].tolist() == [[4, 5], [0, 1], [0, 0], [0, 0]]
    assert job.c0[:, 0, 0].tolist() == [2, 0, 0, 0]
    contexts, ends = job.steps()
    assert contexts.tolist() == [0, 1, 0, 0]
    assert ends.tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("layers", "output", "interleave"),
    [(2, "last", 4), pytest.param(1, "class", 2, marks=pytest.mark.nightly)],
)
def test_an_export_interleaves(layers: int, output: str, interleave: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lstm = LSTM(LSTMSpec(3, 4, layers), seed=0)
    x, lengths = generator.normal(size=(6, 7, 3)), np.array([6, 2, 0, 5, 6, 1, 3])
    head = (generator.normal(size=(3, 4)), generator.normal(size=3)) if output == "class" else None
    plan = calibrate(lstm.weights, x, lengths, head=head)
    fast, slow = (
        export(lstm, plan, tmp_path / str(n), multipliers=16, pipeline="middle", output=output, interleave=n, head=head)
        for n in (interleave, 1)
    )
    found = verify(fast.folder, x, lengths)
    assert found.mismatched_elements == 0
    assert found.steps == 23
    assert found.cycles < 0.7 * verify(slow.folder, x, lengths).cycles


@pytest.mark.parametrize(
    ("layers", "variant", "output"),
    [
        (1, {"peepholes": "ifo", "cell_clip": 1.0}, "sequence"),
        pytest.param(2, {"coupled_gates": "f=1-i", "gate_clip": 2.0, "bias": False}, "last", marks=pytest.mark.nightly),
        pytest.param(1, {}, "class", marks=pytest.mark.nightly),
    ],
)
def test_an_export_shares_directions(layers: int, variant: dict[str, Any], output: str, tmp_path: Path) -> None:
    """Half of the engines, bit for bit the same results, and each cell alone is still there to be simulated."""
    generator = np.random.default_rng(0)
    lstm = LSTM(LSTMSpec(3, 4, layers, "bidirectional", **variant), seed=0)
    x, lengths = generator.normal(size=(6, 7, 3)), np.array([6, 2, 0, 5, 6, 1, 3])
    head = (generator.normal(size=(3, 8)), generator.normal(size=3)) if output == "class" else None
    plan = calibrate(lstm.weights, x, lengths, head=head)
    exported = export(
        lstm, plan, tmp_path / "out", multipliers=7, pipeline="middle", output=output, share="directions", head=head
    )
    assert list(exported.engines) == [f"l{layer}_in_turn" for layer in range(layers)]
    weights = read_export_weights(exported.folder)
    for given, wanted in zip(weights, quantise_weights(lstm.weights, plan), strict=True):
        np.testing.assert_array_equal(given.w_hh, wanted.w_hh)
        np.testing.assert_array_equal(given.b, wanted.b)
    found = verify(exported.folder, x, lengths)
    assert found.mismatched_elements == 0
    assert found.steps == 23

    x_codes = plan.x_format.quantise(x)
    h0 = generator.integers(-99, 99, size=(2, 7, 4))
    reverse = simulate(exported.folder, x_codes, lengths, h0[0], h0[1], cell=1)
    for n, length in enumerate(lengths):
        h, c = h0[0, n][None], h0[1, n][None]
        for t in range(length):
            now = step(plan.cells[1], weights[1], x_codes[t, n][None], h, c)
            h, c = now.h, now.c
            np.testing.assert_array_equal(reverse.y[t, n], h[0])


@pytest.mark.parametrize(
    ("inputs", "layers", "direction", "variant", "output"),
    [
        (3, 4, "forward", {"peepholes": "ifo", "cell_clip": 1.0}, "sequence"),
        pytest.param(4, 2, "reverse", {"coupled_gates": "f=1-i"}, "last", marks=pytest.mark.nightly),
        pytest.param(4, 3, "forward", {}, "class", marks=pytest.mark.nightly),
    ],
)
def test_an_export_shares_layers(
    inputs: int, layers: int, direction: Any, variant: dict[str, Any], output: str, tmp_path: Path
) -> None:
    """One engine for all layers of one size, with the weights of each; each alone is still there to be simulated."""
    generator = np.random.default_rng(0)
    lstm = LSTM(LSTMSpec(inputs, 4, layers, direction, **variant), seed=0)
    x, lengths = generator.normal(size=(6, 7, inputs)), np.array([6, 2, 0, 5, 6, 1, 3])
    head = (generator.normal(size=(3, 4)), generator.normal(size=3)) if output == "class" else None
    plan = calibrate(lstm.weights, x, lengths, head=head, share="layers")
    exported = export(
        lstm, plan, tmp_path / "out", multipliers=7, pipeline="middle", output=output, share="layers", head=head
    )
    assert list(exported.engines) == (["l0_in_turn"] if inputs == 4 else ["l0", "l1_in_turn"])
    weights = read_export_weights(exported.folder)
    for given, wanted in zip(weights, quantise_weights(lstm.weights, plan), strict=True):
        np.testing.assert_array_equal(given.w_hh, wanted.w_hh)
        np.testing.assert_array_equal(given.b, wanted.b)
    found = verify(exported.folder, x, lengths)
    assert found.mismatched_elements == 0
    assert found.steps == 23

    x_codes = plan.cells[-1].x_format.quantise(generator.normal(size=(6, 7, 4)) / 3)
    h0 = generator.integers(-99, 99, size=(2, 7, 4))
    last = simulate(exported.folder, x_codes, lengths, h0[0], h0[1], cell=layers - 1)
    for n, length in enumerate(lengths):
        h, c = h0[0, n][None], h0[1, n][None]
        for t in range(length):
            now = step(plan.cells[-1], weights[-1], x_codes[t, n][None], h, c)
            h, c = now.h, now.c
            np.testing.assert_array_equal(last.y[t, n], h[0])


@pytest.mark.parametrize(
    ("share", "spec"),
    [("directions", LSTMSpec(3, 4, direction="bidirectional")), ("layers", LSTMSpec(4, 4, 2))],
)
def test_the_operator_shares(share: str, spec: LSTMSpec) -> None:
    generator = np.random.default_rng(0)
    lstm = gatesmith.LSTM(spec, seed=0)
    x = generator.normal(size=(5, 4, spec.input_size)).astype(np.float32)
    state = tuple(generator.normal(size=(2, 4, 4)).astype(np.float32) * 0.3 for _ in "hc")
    lengths = [5, 0, 2, 1]
    y, (h_n, c_n) = gatesmith.run_on_device(
        lstm, x, state, device="rtl", lengths=lengths, multipliers=5, share=share, pipeline="middle"
    )
    expected, (h_expected, c_expected) = gatesmith.run_on_device(
        lstm, x, state, device="fixed", lengths=lengths, share=share
    )
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(h_n, h_expected)
    np.testing.assert_array_equal(c_n, c_expected)


def test_the_operator_interleaves_a_batch() -> None:
    generator = np.random.default_rng(0)
    lstm = gatesmith.LSTM(LSTMSpec(3, 4), seed=0)
    x = generator.normal(size=(5, 5, 3)).astype(np.float32)
    state = tuple(generator.normal(size=(1, 5, 4)).astype(np.float32) * 0.3 for _ in "hc")
    lengths = [5, 0, 2, 1, 4]
    y, (h_n, c_n) = gatesmith.run_on_device(
        lstm, x, state, device="rtl", lengths=lengths, multipliers=5, interleave=2, pipeline="middle"
    )
    expected, (h_expected, c_expected) = gatesmith.run_on_device(lstm, x, state, device="fixed", lengths=lengths)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(h_n, h_expected)
    np.testing.assert_array_equal(c_n, c_expected)
