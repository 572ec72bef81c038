"""Hypothesis strategies for plans, codes and weights, also far from what calibration would choose."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gatesmith.errors import FormatError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan, LinearWeights
from gatesmith.fixed.model import CodeInputs
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat
from gatesmith.fixed.support import cells_in_turn, clip_code, effective_peepholes
from gatesmith.fixed.tables import z_format
from gatesmith.fixed.weights import CellWeights
from gatesmith.spec import GATES, LSTMSpec

RAILS, RANDOM = "rails", "random"


@st.composite
def cell_plans(draw: st.DrawFn, *, input_size: int, hidden_size: int, spec: LSTMSpec | None = None) -> CellPlan:
    """Any legal plan of one cell, with the peepholes and clips of a spec."""

    def integers(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    h_width, c_width = integers(4, 24), integers(4, 32)
    z_width, a_width = integers(5, 20), integers(4, 22)
    values: dict[str, Any] = {
        "input_size": input_size,
        "hidden_size": hidden_size,
        "x_width": integers(4, 24),
        "x_frac": integers(-2, 24),
        "h_width": h_width,
        "h_frac": integers(0, min(h_width - 1, 2 * (a_width - 2))),
        "w_width": integers(2, 18),
        "w_ih_frac": integers(0, 20),
        "w_hh_frac": integers(0, 20),
        "b_width": integers(2, 32),
        "z_width": z_width,
        "a_width": a_width,
        "c_width": c_width,
        "c_frac": integers(0, c_width - 1),
        "table_bits": integers(1, 9),
        "gate_activation": draw(st.sampled_from(["sigmoid", "hard_sigmoid"])),
        "cell_activation": draw(st.sampled_from(["tanh", "hard_tanh"])),
    }
    if spec:
        values |= {"p_width": integers(2, 18), "p_frac": integers(-4, 20), "peepholes": effective_peepholes(spec)}
        values["z_clip"] = clip_code(spec.gate_clip, z_format(z_width))
        h_format = QFormat(width=h_width, fraction=values["h_frac"])
        if spec.proj_size:
            values["projection"] = draw(projections(spec, h_format, values["w_width"]))
        values["c_clip"] = clip_code(spec.cell_clip, QFormat(width=c_width, fraction=values["c_frac"]))
    try:
        return CellPlan(**values)
    except FormatError:  # too wide: bring the products' fractions together, which always fits
        projection: LinearPlan | None = values.get("projection")
        x_frac, c_frac = projection.y_frac if projection else values["h_frac"], min(c_width - 1, a_width - 2)
        w_frac = max(8, values["w_hh_frac"])  # no long shift to the left
        values |= {"x_frac": x_frac, "w_ih_frac": w_frac, "w_hh_frac": w_frac, "c_frac": c_frac}
        if spec:
            values["p_frac"] = x_frac + w_frac - c_frac
            values["c_clip"] = clip_code(spec.cell_clip, QFormat(width=c_width, fraction=c_frac))
        return CellPlan(**values)


@st.composite
def linear_plans(draw: st.DrawFn) -> LinearPlan:
    """Any legal plan of a linear map."""

    def integers(least: int, most: int) -> int:
        return draw(st.integers(least, most))

    y_width = integers(4, 24)
    return LinearPlan(
        input_size=integers(1, 6),
        output_size=integers(1, 6),
        x_width=integers(4, 24),
        x_frac=integers(0, 23),
        w_width=integers(2, 18),
        w_frac=integers(-4, 12),
        b_width=integers(2, 30),
        y_width=y_width,
        y_frac=integers(-4, 20),
        y_clip=draw(st.sampled_from([0, 0, 1, 2 ** (y_width - 2)])),
    )


@st.composite
def projections(draw: st.DrawFn, spec: LSTMSpec, h_format: QFormat, w_width: int) -> LinearPlan:
    """Any legal plan of a spec's projection."""
    y_format = QFormat(width=draw(st.integers(4, 24)), fraction=draw(st.integers(-2, 20)))
    return LinearPlan(
        input_size=spec.hidden_size,
        output_size=spec.proj_size,
        x_width=h_format.width,
        x_frac=h_format.fraction,
        w_width=w_width,
        w_frac=draw(st.integers(-2, 12)),
        b_width=draw(st.integers(2, 30)),
        y_width=y_format.width,
        y_frac=y_format.fraction,
        y_clip=clip_code(spec.proj_clip, y_format),
    )


@st.composite
def variants(draw: st.DrawFn, *sizes: Any) -> LSTMSpec:
    """A spec of these sizes with any peepholes and clips, coupled or not, with a projection or none."""
    bounds = st.one_of(st.none(), st.floats(0.05, 12.0))
    size = draw(st.sampled_from([0, 0, 1, 2, sizes[1] - 1]))
    size = size if size < sizes[1] else 0
    return LSTMSpec(
        *sizes,
        proj_size=size,
        proj_bias=size > 0,
        proj_clip=draw(bounds) if size else None,
        peepholes=draw(st.sampled_from(["", "", "i", "o", "if", "ifo"])),
        coupled_gates=draw(st.sampled_from(["none", "none", "f=1-i", "i=1-f"])),
        gate_clip=draw(bounds),
        cell_clip=draw(bounds),
    )


def unprojected(spec: LSTMSpec) -> LSTMSpec:
    """The same without its projection, for cells that take turns."""
    return replace(spec, proj_size=0, proj_bias=False, proj_clip=None)


def one_plan(spec: LSTMSpec, plan: Plan, share: str) -> Plan:
    """Each engine's first cell for all of its cells, as calibration does it."""
    groups = cells_in_turn(spec, share)
    return replace(plan, cells=tuple(plan.cells[group[0]] for group in groups for _ in group))


@st.composite
def plans(draw: st.DrawFn, spec: LSTMSpec) -> Plan:
    """Any legal plan for a spec; directions of one layer share x and h."""
    cells: list[CellPlan] = []
    for layer in range(spec.num_layers):
        cell = draw(cell_plans(input_size=spec.layer_input_size(layer), hidden_size=spec.hidden_size, spec=spec))
        cells += [cell] * spec.num_directions
    return Plan(cells=tuple(cells))


def codes(generator: np.random.Generator, form: QFormat, shape: tuple[int, ...], kind: str) -> Codes:
    """Codes anywhere in a format, or at its two rails only."""
    if kind == RAILS:
        return generator.choice(np.array([form.min_code, form.max_code]), size=shape)
    return generator.integers(form.min_code, form.max_code + 1, size=shape)


def cell_weights(generator: np.random.Generator, cell: CellPlan, kind: str) -> CellWeights:
    """Weights of a cell, as :func:`codes`."""
    rows = 4 * cell.hidden_size
    seeing = np.tile([gate in cell.peepholes for gate in GATES], cell.hidden_size)
    return CellWeights(
        w_ih=codes(generator, cell.w_ih_format, (rows, cell.input_size), kind),
        w_hh=codes(generator, cell.w_hh_format, (rows, cell.output_size), kind),
        b=codes(generator, cell.b_format, (rows,), kind),
        p=np.where(seeing, codes(generator, cell.p_format, (rows,), kind), 0) if cell.peepholes else None,
        projection=linear_weights(generator, cell.projection, kind) if cell.projection else None,
    )


def linear_weights(generator: np.random.Generator, plan: LinearPlan, kind: str) -> LinearWeights:
    """Weights of a linear map, as :func:`codes`."""
    return LinearWeights(
        w=codes(generator, plan.w_format, (plan.output_size, plan.input_size), kind),
        b=codes(generator, plan.b_format, (plan.output_size,), kind),
    )


def random_inputs(generator: np.random.Generator, plan: Plan, steps: int, lengths: list[int], kind: str) -> CodeInputs:
    """Inputs of a run, all codes as :func:`codes`."""
    batch, cells = len(lengths), plan.cells
    return CodeInputs(
        x=codes(generator, plan.x_format, (steps, batch, cells[0].input_size), kind),
        h0=np.stack([codes(generator, cell.y_format, (batch, cell.output_size), kind) for cell in cells]),
        c0=np.stack([codes(generator, cell.c_format, (batch, cell.hidden_size), kind) for cell in cells]),
        lengths=np.array(lengths, np.int64),
    )
