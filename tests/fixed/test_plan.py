"""Plans: reading them back without trust, and whether they belong to a spec."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import cell_plans
from tests.fixed.test_cell import PLAIN, PROJECTED

from gatesmith.errors import FormatError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.plan import Plan
from gatesmith.spec import LSTMSpec


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
        (json.dumps({"cells": [asdict(PLAIN) | {"projection": 3}]}), "the projection of cell 0 of the plan is a int"),
        (json.dumps({"cells": [asdict(PLAIN) | {"projection": {}}]}), "the projection of cell 0 of the plan lacks"),
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
        (LSTMSpec(3, 5), (PROJECTED,), "has proj_size 2; expected 0"),
        (LSTMSpec(3, 5, proj_size=2, proj_clip=0.5), (PROJECTED,), "has proj_clip 0; expected 512"),
    ],
)
def test_a_plan_must_belong_to_its_spec(spec: LSTMSpec, cells: tuple[CellPlan, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Plan(cells=cells).require(spec)
