"""Device "rtl": the operator on its own SystemVerilog under Verilator, real numbers in and out."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gatesmith.fixed.device import dequantise_outputs, plan_for
from gatesmith.fixed.model import CodeInputs, CodeOutputs, convert, quantise_inputs
from gatesmith.fixed.plan import Plan, unsupported_feature
from gatesmith.hardware import verilator
from gatesmith.hardware.export import Export, export
from gatesmith.hardware.simulate import Simulation, simulate
from gatesmith.hardware.verify import flipped
from gatesmith.ops.call import Call, Outputs


def missing() -> str | None:
    """What simulation lacks here, as the rest of a sentence; None where it can run."""
    return verilator.missing()


def unsupported(call: Call) -> str | None:
    """The feature of the spec that the hardware can't express."""
    return unsupported_feature(call.spec)


def forward(
    call: Call, *, plan: Plan | None = None, multipliers: int = 16, timeout_s: float = 600.0, **options: Any
) -> Outputs:
    """Quantise, export to a temporary folder, simulate, and return real values in x's dtype.

    Args:
        plan: the formats; None to calibrate on this very call (its x must then hold a valid step).
        multipliers: P, products in a clock cycle, for each cell.
        timeout_s: seconds after which the simulator of a cell is stopped.
        options: passed to :func:`gatesmith.fixed.calibrate.calibrate` where there is no plan.

    Raises:
        FormatError: the plan doesn't belong to the spec.
        MissingToolError, ToolError: as :func:`gatesmith.hardware.simulate.simulate`.
    """
    plan = plan_for(call, plan, options)
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        exported = export(call.weights, plan, Path(scratch, "export"), multipliers=multipliers)
        outputs = simulate_layers(exported, quantise_inputs(plan, call), timeout_s=timeout_s)
    return dequantise_outputs(plan, outputs, call.x.dtype)


def simulate_layers(exported: Export, inputs: CodeInputs, *, timeout_s: float = 600.0) -> CodeOutputs:
    """Run every cell of an export, each layer on what the hardware of the layer before returned."""
    spec, plan = exported.spec, exported.plan
    valid = (np.arange(len(inputs.x))[:, None] < inputs.lengths)[:, :, None]  # [T, N, 1]
    y, y_format, at, found = inputs.x, plan.x_format, 0, list[Simulation]()
    for _ in range(spec.num_layers):
        x = np.where(valid, convert(y, y_format, plan.cells[at].x_format), 0)
        outputs: list[Any] = []
        for direction in spec.directions:
            backwards = direction == "reverse"
            result = simulate(
                exported.folder,
                flipped(x, inputs.lengths) if backwards else x,
                inputs.lengths,
                inputs.h0[at],
                inputs.c0[at],
                cell=at,
                timeout_s=timeout_s,
            )
            found.append(result)
            outputs.append(flipped(result.y, inputs.lengths) if backwards else result.y)
            at += 1
        y, y_format = np.concatenate(outputs, axis=-1), plan.cells[at - 1].h_format
    return CodeOutputs(
        y=y,
        h_n=np.stack([result.h_n for result in found]),
        c_n=np.stack([result.c_n for result in found]),
        saturated=np.stack([result.saturated for result in found]),
    )
