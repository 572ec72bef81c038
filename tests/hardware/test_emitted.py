"""What comes out of a design, by hand: every step, the last one, scores, or a class."""

import numpy as np
import pytest
from tests.fixed.test_linear import PLAIN
from tests.rtl.bench import plain_plan

from gatesmith.fixed.linear import LinearWeights
from gatesmith.fixed.plan import Plan
from gatesmith.hardware.emitted import emitted, output_format, output_size

PLAN = Plan(cells=(plain_plan(3, 5),), head=PLAIN)
Y = np.arange(3 * 3 * 5).reshape(3, 3, 5) << 9  # [T, N, F]
LENGTHS = np.array([3, 0, 1])
HEAD = LinearWeights(w=np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 2], [0, 0, 0, 0, 2]]), b=np.array([0, -4096, -4096]))


@pytest.mark.parametrize(
    ("output", "size", "expected"),
    [
        ("sequence", 5, [Y[:3, 0], Y[:1, 2]]),
        ("last", 5, [Y[2:3, 0], Y[:1, 2]]),
        # (30 + 0) << 9 and (2 * 34 << 9) - 4096; then 10 and 2 * 14: at 2^-9 of the sums
        ("scores", 3, [[[30, 60, 60]], [[10, 20, 20]]]),
        ("class", 1, [[[1]], [[1]]]),  # the first of equal ones
    ],
)
def test_each_output(output: str, size: int, expected: list[np.ndarray]) -> None:
    found = emitted(PLAN, output, HEAD, Y, LENGTHS)
    assert len(found) == len(expected)
    for given, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(given, wanted)
    assert output_size(PLAN, output, 5) == size


def test_formats() -> None:
    formats = [output_format(PLAN, output) for output in ("sequence", "last", "scores", "class")]
    assert [(form.width, form.fraction) for form in formats] == [(16, 15), (16, 15), (16, 12), (3, 0)]
