"""The head in integers: close to the float classifier, and refused where it doesn't belong."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from gatesmith.errors import FormatError, InputError
from gatesmith.fixed import Plan, calibrate
from gatesmith.fixed.head import classes_of, last_steps, scores_of
from gatesmith.fixed.linear import quantise_linear
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.spec import LSTMSpec


def test_the_class_is_that_of_the_float_head() -> None:
    """Where the two largest scores are further apart than the codes' rounding can be."""
    generator = np.random.default_rng(0)
    lstm = LSTM(LSTMSpec(4, 8, 1, "bidirectional"), seed=1)
    head = generator.normal(size=(5, 16)), generator.normal(size=5)
    x, lengths = generator.normal(size=(9, 40, 4)), generator.integers(1, 10, size=40)
    plan = calibrate(lstm, x, lengths, data_width=24, weight_width=18, head=head)
    assert plan.head is not None
    y = last_steps(run_on_device(lstm, x, device="reference", lengths=lengths)[0], lengths)
    scores = y @ head[0].T + head[1]
    given_codes = plan.y_format.quantise(y)
    codes_of_head = quantise_linear(plan.head, *head)
    found = plan.head.y_format.dequantise(scores_of(plan.head, codes_of_head, given_codes))
    assert np.abs(found - scores).max() <= 2e-3
    assert (classes_of(codes_of_head, given_codes) == scores.argmax(axis=1)).mean() >= 0.97
    assert Plan.from_json(plan.to_json()) == plan


def test_a_head_that_does_not_belong_is_refused() -> None:
    lstm, x = LSTM(LSTMSpec(3, 5), seed=1), np.random.default_rng(0).normal(size=(4, 3, 3))
    with pytest.raises(InputError, match=r"the head has shapes \(2, 4\) and \(2,\); expected \(K, 5\) and \(K,\)"):
        calibrate(lstm, x, head=(np.ones((2, 4)), np.ones(2)))
    plan = calibrate(lstm, x, head=(np.ones((2, 5)), np.ones(2)))
    assert plan.head is not None
    with pytest.raises(FormatError, match="the plan of the head reads 4 features in Q0.15; expected 5"):
        replace(plan, head=replace(plan.head, input_size=4)).require(lstm.spec)
    with pytest.raises(FormatError, match="the plan of the head has y_clip 3; expected 0"):
        replace(plan, head=replace(plan.head, y_clip=3)).require(lstm.spec)
    assert set(asdict(plan.head)) == set(plan.to_dict()["head"])
