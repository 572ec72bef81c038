"""The formats of a cell: derived widths, and the guard against overflow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import cell_plans, variants

from gatesmith.errors import FormatError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan

PLAIN = CellPlan(
    input_size=3,
    hidden_size=5,
    x_width=16,
    x_frac=12,
    h_width=16,
    h_frac=15,
    w_width=8,
    w_ih_frac=7,
    w_hh_frac=6,
    b_width=20,
    z_width=16,
    a_width=18,
    c_width=18,
    c_frac=15,
)


PROJECTION = LinearPlan(
    input_size=5, output_size=2, x_width=16, x_frac=15, w_width=8, w_frac=9, b_width=20, y_width=12, y_frac=10
)
PROJECTED = replace(PLAIN, projection=PROJECTION)


def test_derived_values_follow_the_contract() -> None:
    assert (PLAIN.x_shift, PLAIN.h_shift, PLAIN.acc_frac) == (2, 0, 21)
    assert PLAIN.operand_width == 18
    assert (PLAIN.z_frac, PLAIN.a_frac) == (12, 16)
    largest = 3 * 2**7 * 2**17 + 5 * 2**7 * 2**15 + 2**19
    assert PLAIN.acc_width == 1 + largest.bit_length() == 28


def test_a_projection_takes_the_place_of_h() -> None:
    assert (PROJECTED.output_size, PROJECTED.y_format) == (2, PROJECTION.y_format)
    assert (PROJECTED.x_shift, PROJECTED.h_shift, PROJECTED.acc_frac) == (0, 3, 19)
    assert PROJECTED.operand_width == 16
    largest = 3 * 2**7 * 2**15 + 2 * 2**7 * 2 ** (11 + 3) + 2**19
    assert PROJECTED.acc_width == 1 + largest.bit_length()


def fits(value: int, bits: int) -> bool:
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def inside_round_shift(value: int, shift: int) -> int:
    return value + 2 ** (shift - 1) if shift > 0 else value * 2**-shift


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_no_intermediate_leaves_its_width_at_the_rails(data: st.DataObject, inputs: int, hidden: int) -> None:
    spec = data.draw(variants(inputs, hidden))
    cell = data.draw(cell_plans(input_size=inputs, hidden_size=hidden, spec=spec))
    widths = cell.intermediate_widths()

    x, h, w, b, c = (
        form.min_code for form in (cell.x_format, cell.y_format, cell.w_ih_format, cell.b_format, cell.c_format)
    )
    for sign in (w, -w - 1):
        acc = inputs * sign * (x << cell.x_shift) + cell.output_size * sign * (h << cell.h_shift) + b
        assert fits(acc, cell.acc_width)
        assert fits(inside_round_shift(acc, cell.acc_frac - cell.z_frac), widths["the accumulator"])
    one = 1 << cell.a_frac
    state = (one * c << max(0, cell.a_frac - cell.c_frac)) - (one * one << max(0, cell.c_frac - cell.a_frac))
    assert fits(state, widths["f * c + i * g"])
    for zc in (c, -c - 1):
        assert fits(inside_round_shift(zc, cell.c_frac - cell.z_frac), widths["c in the format of z"])
    assert fits(one * one, widths["o * tanh(c)"])
    for table in (cell.gate_table, cell.cell_table):
        product = int(np.abs(table.slope).max()) << table.segment_bits
        assert fits(product, widths["slope * rest"])
    assert max(widths.values()) <= 63


def test_a_plan_that_could_overflow_is_refused() -> None:
    with pytest.raises(FormatError, match="the accumulator needs 7[0-9] bits; expected at most 63"):
        replace(PLAIN, x_frac=-20, w_ih_frac=0, h_frac=15, w_hh_frac=10)
    with pytest.raises(FormatError, match=r"f \* c \+ i \* g needs"):
        replace(PLAIN, a_width=27, z_width=24, c_width=32, c_frac=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_width": 1}, "w_width is 1; expected an integer from 2 to 18"),
        ({"x_width": 25}, "x_width is 25; expected an integer from 4 to 24"),
        ({"c_width": 64}, "c_width is 64; expected an integer from 4 to 32"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"h_frac": 16}, "h_frac is 16; expected at most h_width - 1 = 15"),
        ({"c_frac": 18}, "c_frac is 18; expected at most c_width - 1 = 17"),
        ({"a_width": 8}, r"h_frac is 15; expected at most 2 \* \(a_width - 2\) = 12"),
        ({"table_bits": 13}, "table_bits is 13"),
        ({"gate_activation": "tanh"}, "gate_activation is 'tanh'; expected one of sigmoid, hard_sigmoid"),
        ({"cell_activation": ["tanh"]}, "cell_activation is"),
        ({"peepholes": "fi"}, "peepholes is 'fi'; expected a subset of 'ifo'"),
        ({"z_clip": 1 << 15}, "z_clip is 32768; expected at most 32767"),
        ({"c_clip": 1 << 17}, "c_clip is 131072; expected at most 131071"),
        (
            {"projection": replace(PROJECTION, input_size=4)},
            r"the projection reads 4 elements in Q0\.15; expected 5 in",
        ),
        (
            {"projection": replace(PROJECTION, x_frac=14)},
            r"the projection reads 5 elements in Q1\.14; expected 5 in Q0",
        ),
        ({"projection": replace(PROJECTION, output_size=6)}, "the projection has 6 elements; expected at most H = 5"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(PLAIN, **changes)
