"""Device "fixed": the operator on the bit-exact integer model, real numbers in and out."""

from typing import Any

import numpy as np

from gatesmith.errors import FormatError
from gatesmith.fixed import model, native
from gatesmith.fixed.calibrate import calibrate
from gatesmith.fixed.model import CodeInputs, CodeOutputs, quantise_inputs
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import unsupported_feature
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.ops.call import Call, Outputs
from gatesmith.spec import LSTMSpec


def missing() -> str | None:
    """The integer model needs NumPy alone."""
    return None


def unsupported(call: Call) -> str | None:
    """The feature of the spec that the integer world can't express."""
    return unsupported_feature(call.spec)


def forward(call: Call, *, plan: Plan | None = None, **options: Any) -> Outputs:
    """Quantise, run the integer model, and return real values in x's dtype.

    Args:
        plan: the formats; None to calibrate on this very call (its x must then hold a valid step).
        options: passed to :func:`gatesmith.fixed.calibrate.calibrate` where there is no plan.

    Raises:
        FormatError: the plan doesn't belong to the spec.
    """
    plan = plan_for(call, plan, options)
    outputs = run_codes(call.spec, plan, quantise_weights(call.weights, plan), quantise_inputs(plan, call))
    return dequantise_outputs(plan, outputs, call.x.dtype)


def run_codes(spec: LSTMSpec, plan: Plan, weights: tuple[CellWeights, ...], inputs: CodeInputs) -> CodeOutputs:
    """Run the native twin where it is built, else the golden model; the codes are the same.

    Raises:
        InputError: a code doesn't fit its format.
    """
    run = model.run if native.missing() else native.run
    return run(spec, plan, weights, inputs)


def plan_for(call: Call, plan: Plan | None, options: dict[str, Any]) -> Plan:
    """The given plan, or one calibrated on the call itself."""
    if plan is None:
        return calibrate(call.weights, call.x, call.lengths, (call.h0, call.c0), **options)
    if options:
        raise FormatError(f"{min(options)} is given beside a plan; expected one of them, a plan holds every format")
    return plan


def dequantise_outputs(plan: Plan, outputs: CodeOutputs, dtype: np.dtype[Any]) -> Outputs:
    """Real values of what the integer model, or the hardware, returned."""
    h_n = [cell.y_format.dequantise(h) for cell, h in zip(plan.cells, outputs.h_n, strict=True)]
    c_n = [cell.c_format.dequantise(c) for cell, c in zip(plan.cells, outputs.c_n, strict=True)]
    return Outputs(
        y=plan.y_format.dequantise(outputs.y).astype(dtype),
        h_n=np.stack(h_n).astype(dtype),
        c_n=np.stack(c_n).astype(dtype),
    )
