"""Device "rtl": the operator on its own SystemVerilog under Verilator, real numbers in and out."""

import tempfile
from pathlib import Path
from typing import Any

from gatesmith.fixed.device import dequantise_outputs, plan_for
from gatesmith.fixed.model import quantise_inputs
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import unsupported_feature
from gatesmith.hardware import verilator
from gatesmith.hardware.export import export
from gatesmith.hardware.options import Pipeline
from gatesmith.hardware.simulate import simulate_model
from gatesmith.ops.call import Call, Outputs


def missing() -> str | None:
    """What simulation lacks here, as the rest of a sentence; None where it can run."""
    return verilator.missing()


def unsupported(call: Call) -> str | None:
    """The feature of the spec that the hardware can't express."""
    return unsupported_feature(call.spec)


def forward(
    call: Call,
    *,
    plan: Plan | None = None,
    multipliers: int = 16,
    pipeline: str | Pipeline = "deep",
    interleave: int = 1,
    share: str = "none",
    timeout_s: float = 600.0,
    **options: Any,
) -> Outputs:
    """Quantise, export to a temporary folder, simulate, and return real values in x's dtype.

    Args:
        plan: the formats; None to calibrate on this very call (its x must then hold a valid step).
        multipliers: P, products in a clock cycle, for each cell.
        pipeline, interleave, share: as for :func:`gatesmith.hardware.export.export`.
        timeout_s: seconds after which the simulator is stopped.
        options: passed to :func:`gatesmith.fixed.calibrate.calibrate` where there is no plan.

    Raises:
        FormatError: the plan doesn't belong to the spec.
        ExportError, UnsupportedError: as :func:`gatesmith.hardware.export.export`.
        MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate`.
    """
    plan = plan_for(call, plan, options | ({"share": share} if plan is None else {}))
    longest = int(call.lengths.max(initial=1))
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        folder = Path(scratch, "export")
        export(
            call.weights,
            plan,
            folder,
            multipliers=multipliers,
            pipeline=pipeline,
            max_steps=longest,
            interleave=interleave,
            share=share,
        )
        found = simulate_model(folder, quantise_inputs(plan, call), timeout_s=timeout_s)
    return dequantise_outputs(plan, found.outputs, call.x.dtype)
