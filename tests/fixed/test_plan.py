"""Plans: derived widths, the guard against overflow, and reading them back without trust."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import cell_plans

from gatesmith.errors import FormatError
from gatesmith.fixed.plan import CellPlan, Plan, curves_of, unsupported_feature
from gatesmith.spec import Activation, LSTMSpec

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


def test_derived_values_follow_the_contract() -> None:
    assert (PLAIN.x_shift, PLAIN.h_shift, PLAIN.acc_frac) == (2, 0, 21)
    assert PLAIN.operand_width == 18
    assert (PLAIN.z_frac, PLAIN.a_frac) == (12, 16)
    largest = 3 * 2**7 * 2**17 + 5 * 2**7 * 2**15 + 2**19
    assert PLAIN.acc_width == 1 + largest.bit_length() == 28


def fits(value: int, bits: int) -> bool:
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def inside_round_shift(value: int, shift: int) -> int:
    return value + 2 ** (shift - 1) if shift > 0 else value * 2**-shift


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_no_intermediate_leaves_its_width_at_the_rails(data: st.DataObject, inputs: int, hidden: int) -> None:
    cell = data.draw(cell_plans(input_size=inputs, hidden_size=hidden))
    widths = cell.intermediate_widths()

    x, h, w, b, c = (
        form.min_code for form in (cell.x_format, cell.h_format, cell.w_ih_format, cell.b_format, cell.c_format)
    )
    for sign in (w, -w - 1):
        acc = inputs * sign * (x << cell.x_shift) + hidden * sign * (h << cell.h_shift) + b
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
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(PLAIN, **changes)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(cell_plans(input_size=2, hidden_size=3), min_size=1, max_size=3))
def test_plans_survive_json(cells: list[CellPlan]) -> None:
    plan = Plan(cells=tuple(cells))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "the plan is a list; expected an object"),
        ("{}", "the plan has the fields none; expected a list 'cells'"),
        ('{"cells": 3}', "expected a list 'cells'"),
        ('{"cells": []}', "the plan has no cells"),
        ('{"cells": [7]}', "cell 0 of the plan is a int"),
        (json.dumps({"cells": [asdict(PLAIN) | {"evil": 1}]}), "cell 0 of the plan has an unknown field 'evil'"),
        (json.dumps({"cells": [{k: v for k, v in asdict(PLAIN).items() if k != "c_frac"}]}), "lacks 'c_frac'"),
        (json.dumps({"cells": [asdict(PLAIN) | {"w_width": "8"}]}), "w_width is '8'"),
        (json.dumps({"cells": [asdict(PLAIN) | {"w_width": 1e9}]}), "w_width is 1000000000.0"),
    ],
)
def test_untrusted_plans_are_refused(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Plan.from_json(text)


@pytest.mark.parametrize(
    ("spec", "cells", "message"),
    [
        (LSTMSpec(3, 5, 2), (PLAIN,), "the plan has 1 cells; expected 2"),
        (LSTMSpec(4, 5), (PLAIN,), r"the plan of cell l0 has \(D, H\) = \(3, 5\); expected \(4, 5\)"),
        (
            LSTMSpec(3, 5, 1, "bidirectional"),
            (PLAIN, replace(PLAIN, h_frac=14)),
            r"cell l0_reverse has x in Q3\.12 and h in Q1\.14; expected Q3\.12 and Q0\.15",
        ),
    ],
)
def test_a_plan_must_belong_to_its_spec(spec: LSTMSpec, cells: tuple[CellPlan, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Plan(cells=cells).require(spec)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"full_peepholes": "f"}, r"peepholes with a full matrix \(f\)"),
        ({"proj_size": 2}, r"a projection \(proj_size = 2\)"),
        ({"layer_norm": "gates_and_cell"}, "layer normalisation"),
        ({"zoneout_c": 0.1}, "zoneout"),
        ({"residual": True}, "residual"),
        ({"drop_states": True}, "drop_states"),
        ({"activations": ("sigmoid", "relu", "tanh")}, r"the activations \(sigmoid, relu, tanh\)"),
        ({"activations": (Activation(name="hard_sigmoid", alpha=0.1), "tanh", "tanh")}, "hard_sigmoid, tanh, tanh"),
    ],
)
def test_every_unsupported_feature_has_a_name(options: dict[str, Any], message: str) -> None:
    import re

    feature = unsupported_feature(LSTMSpec(3, 5, **options))
    assert feature is not None
    assert re.search(message, feature)


def test_supported_specs() -> None:
    hard = LSTMSpec(3, 5, activations=("hard_sigmoid", "tanh", "tanh"))  # type: ignore[arg-type]
    dropout = LSTMSpec(3, 5, 2, "bidirectional", False, dropout=0.5, recurrent_dropout=0.1, forget_bias=1.0)
    for spec in (LSTMSpec(3, 5), LSTMSpec(3, 5, coupled_gates="i=1-f"), hard, dropout):
        assert unsupported_feature(spec) is None
    assert curves_of(hard, "forward") == ("hard_sigmoid", "tanh")
