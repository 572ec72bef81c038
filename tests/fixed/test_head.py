"""The head in integers against plain fractions, at the edges of its formats, and close to the float classifier."""

from dataclasses import asdict, replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, codes

from gatesmith.errors import FormatError, InputError
from gatesmith.fixed import Plan, calibrate
from gatesmith.fixed.head import HeadPlan, HeadWeights, classes_of, last_steps, quantise_head, scores_of
from gatesmith.ops.operator import LSTM, run_on_device
from gatesmith.spec import LSTMSpec

PLAIN = HeadPlan(input_size=5, classes=3, x_width=16, x_frac=15, w_width=8, w_frac=6, b_width=22, y_width=16, y_frac=12)


@st.composite
def heads(draw: st.DrawFn) -> HeadPlan:
    """Any legal plan of a head."""

    def integers(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    return HeadPlan(
        input_size=integers(1, 6),
        classes=integers(1, 6),
        x_width=integers(4, 24),
        x_frac=integers(0, 23),
        w_width=integers(2, 18),
        w_frac=integers(-4, 12),
        b_width=integers(2, 30),
        y_width=integers(4, 24),
        y_frac=integers(-4, 20),
    )


@settings(derandomize=True, deadline=None, max_examples=200)
@given(plan=heads(), kind=st.sampled_from([RANDOM, RAILS]), seed=st.integers(0, 2**32))
def test_equals_plain_fractions(plan: HeadPlan, kind: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = HeadWeights(
        w=codes(generator, plan.w_format, (plan.classes, plan.input_size), kind),
        b=codes(generator, plan.b_format, (plan.classes,), kind),
    )
    x = codes(generator, plan.x_format, (4, plan.input_size), kind)
    scores, classes = scores_of(plan, weights, x), classes_of(weights, x)
    low, high = -(2 ** (plan.y_width - 1)), 2 ** (plan.y_width - 1) - 1
    for n, row in enumerate(x.tolist()):
        exact = [
            Fraction(sum(w * value for w, value in zip(line, row, strict=True)) + b)
            for line, b in zip(weights.w.tolist(), weights.b.tolist(), strict=True)
        ]
        unit = Fraction(2) ** (plan.y_frac - plan.acc_frac)
        assert scores[n].tolist() == [min(max(floor(value * unit + Fraction(1, 2)), low), high) for value in exact]
        assert classes[n] == exact.index(max(exact))
        assert all(-(2 ** (plan.acc_width - 1)) <= value < 2 ** (plan.acc_width - 1) for value in exact)


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
    codes_of_head = quantise_head(plan.head, *head)
    found = plan.head.y_format.dequantise(scores_of(plan.head, codes_of_head, given_codes))
    assert np.abs(found - scores).max() <= 2e-3
    assert (classes_of(codes_of_head, given_codes) == scores.argmax(axis=1)).mean() >= 0.97
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 0}, "head.classes is 0; expected an integer from 1"),
        ({"w_width": 19}, "head.w_width is 19"),
        ({"y_frac": 48, "x_frac": 0}, "the head's sum needs"),
    ],
)
def test_impossible_heads_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(PLAIN, **changes)


def test_a_head_that_does_not_belong_is_refused() -> None:
    lstm, x = LSTM(LSTMSpec(3, 5), seed=1), np.random.default_rng(0).normal(size=(4, 3, 3))
    with pytest.raises(InputError, match=r"the head has shapes \(2, 4\) and \(2,\); expected \(K, 5\) and \(K,\)"):
        calibrate(lstm, x, head=(np.ones((2, 4)), np.ones(2)))
    plan = calibrate(lstm, x, head=(np.ones((2, 5)), np.ones(2)))
    assert plan.head is not None
    with pytest.raises(FormatError, match=r"have shapes \(\(3, 5\), \(3,\)\); the plan expects"):
        quantise_head(plan.head, np.ones((3, 5)), np.ones(3))
    with pytest.raises(FormatError, match="the plan of the head reads 4 features in Q0.15; expected 5"):
        replace(plan, head=replace(plan.head, input_size=4)).require(lstm.spec)
    assert set(asdict(plan.head)) == set(plan.to_dict()["head"])
