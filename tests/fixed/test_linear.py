"""Linear maps in integers against plain fractions, and at the edges of their formats."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import RAILS, RANDOM, codes, linear_plans

from gatesmith.errors import FormatError
from gatesmith.fixed.head import classes_of, scores_of
from gatesmith.fixed.linear import LinearPlan, LinearWeights, quantise_linear

PLAIN = LinearPlan(
    input_size=5, output_size=3, x_width=16, x_frac=15, w_width=8, w_frac=6, b_width=22, y_width=16, y_frac=12
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(plan=linear_plans(), kind=st.sampled_from([RANDOM, RAILS]), seed=st.integers(0, 2**32))
def test_equals_plain_fractions(plan: LinearPlan, kind: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = LinearWeights(
        w=codes(generator, plan.w_format, (plan.output_size, plan.input_size), kind),
        b=codes(generator, plan.b_format, (plan.output_size,), kind),
    )
    x = codes(generator, plan.x_format, (4, plan.input_size), kind)
    scores, classes = scores_of(plan, weights, x), classes_of(weights, x)
    low, high = -(2 ** (plan.y_width - 1)), 2 ** (plan.y_width - 1) - 1
    if plan.y_clip:
        low, high = -plan.y_clip, plan.y_clip
    for n, row in enumerate(x.tolist()):
        exact = [
            Fraction(sum(w * value for w, value in zip(line, row, strict=True)) + b)
            for line, b in zip(weights.w.tolist(), weights.b.tolist(), strict=True)
        ]
        unit = Fraction(2) ** (plan.y_frac - plan.acc_frac)
        assert scores[n].tolist() == [min(max(floor(value * unit + Fraction(1, 2)), low), high) for value in exact]
        assert classes[n] == exact.index(max(exact))
        assert all(-(2 ** (plan.acc_width - 1)) <= value < 2 ** (plan.acc_width - 1) for value in exact)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_size": 0}, "output_size of a linear map is 0; expected an integer from 1"),
        ({"y_clip": 1 << 15}, "y_clip of a linear map is 32768; expected at most 32767"),
        ({"w_width": 19}, "w_width of a linear map is 19"),
        ({"y_frac": 48, "x_frac": 0}, "a linear map's sum needs"),
    ],
)
def test_impossible_maps_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(PLAIN, **changes)


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(FormatError, match=r"have shapes \(\(2, 5\), \(3,\)\); the plan expects"):
        quantise_linear(PLAIN, np.ones((2, 5)), np.ones(3))
