"""What happens inside the integer model's cells, as real values: what is compared with the float model's gates."""

from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.model import CellCodes, quantise_inputs
from gatesmith.fixed.model import run as run_model
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.weights import quantise_weights
from gatesmith.ops.call import Call
from gatesmith.ops.reference import CellTrace
from gatesmith.spec import GATES


def trace_fixed(call: Call, plan: Plan) -> tuple[CellTrace, ...]:
    """Gates, cell state and output of every cell over a call, from the golden model.

    Raises:
        FormatError: the plan doesn't belong to the spec.
    """
    plan.require(call.spec)
    weights = quantise_weights(call.weights, plan)
    outputs = run_model(call.spec, plan, weights, quantise_inputs(plan, call), keep_cells=True)
    return tuple(real_trace(cell, codes) for cell, codes in zip(plan.cells, outputs.cells, strict=True))


def real_trace(cell: CellPlan, codes: CellCodes, some: slice = slice(None)) -> CellTrace:
    """One cell's codes as real values, of some of the sequences."""
    values = {name: cell.a_format.dequantise(getattr(codes, name)[:, some]) for name in GATES}
    return CellTrace(
        x=cell.x_format.dequantise(codes.x[:, some]),
        c=cell.c_format.dequantise(codes.c[:, some]),
        h=cell.y_format.dequantise(codes.h[:, some]),
        **values,
    )
