"""What the SystemVerilog can't build of a plan, told by name before any file is written."""

import math
from dataclasses import fields

from gatesmith.errors import ExportError, UnsupportedError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import cells_in_turn
from gatesmith.hardware.options import HEAD_OUTPUTS, Options
from gatesmith.spec import LSTMSpec

MAX_LAYERS = 10
"""One digit in the names of memory files."""


def require_buildable(spec: LSTMSpec, plan: Plan, options: Options) -> None:
    """Check what the SystemVerilog would refuse.

    Raises:
        UnsupportedError: there are more layers than it has names for, or sequences or cells are to take turns that
            can't.
        ExportError: elements per beat don't divide what they have to, or an output needs what is not there.
    """
    if spec.num_layers > MAX_LAYERS:
        raise UnsupportedError(f"the hardware has at most {MAX_LAYERS} layers; the specification has {spec.num_layers}")
    if options.interleave > 1 and (spec.direction != "forward" or spec.proj_size):
        what = "a projection" if spec.proj_size else f"a {spec.direction} direction, which reads whole sequences"
        raise UnsupportedError(
            f"interleave is {options.interleave}, but the model has {what}; sequences take turns in forward layers"
            " without a projection, export it with interleave 1"
        )
    if options.share != "none":
        _require_shareable(spec, plan, options)
    if options.output in HEAD_OUTPUTS:
        if plan.head is None:
            raise ExportError(f"output is {options.output!r}, but the plan has no head; calibrate with the head")
        if options.pipeline.out_elements != 1:
            raise ExportError(f"out_elements is {options.pipeline.out_elements}; a head takes one element per beat")
    if options.projection_multipliers > spec.proj_size:
        raise ExportError(
            f"projection_multipliers is {options.projection_multipliers}; expected at most proj_size = {spec.proj_size}"
        )
    _require_divisors(spec, options)


def _require_shareable(spec: LSTMSpec, plan: Plan, options: Options) -> None:
    """Raise UnsupportedError or ExportError where the cells that are to share an engine can't take turns in it."""
    share, advice = options.share, "export it with share 'none'"
    reason = _unshareable(spec, share)
    if reason:
        raise UnsupportedError(f"share is {share!r}, but the model has {reason}; {advice}")
    groups = [group for group in cells_in_turn(spec, share) if len(group) > 1]
    if share == "layers":
        advice = "calibrate with share 'layers', or " + advice
        _require_alike(options, first=groups[0][0] == 0)
    names = [name for _, _, name in spec.cells()]
    for first, other in ((group[0], other) for group in groups for other in group[1:]):
        for field in fields(CellPlan):
            given = getattr(plan.cells[first], field.name), getattr(plan.cells[other], field.name)
            if given[0] != given[1]:
                raise UnsupportedError(
                    f"share is {share!r}, but {field.name} of {names[first]} is {given[0]!r} and of {names[other]}"
                    f" {given[1]!r}; one engine has one, {advice}"
                )


def _unshareable(spec: LSTMSpec, share: str) -> str:
    """What the model has that keeps its cells from sharing, as the end of a sentence; empty where nothing does."""
    if spec.proj_size:
        return "a projection"
    if share == "directions":
        return "" if spec.num_directions == 2 else f"the {spec.direction} direction alone"
    if spec.num_directions == 2:
        return "two directions, of which one ends before the next layer begins"
    if all(len(group) == 1 for group in cells_in_turn(spec, share)):
        sizes = " and ".join(f"{spec.layer_input_size(layer)} inputs" for layer in range(spec.num_layers))
        return f"no two layers of one size ({sizes})"
    return ""


def _require_alike(options: Options, *, first: bool) -> None:
    """The streams of layers that share an engine; ``first``: with the first layer among them."""
    if options.interleave > 1:
        raise UnsupportedError(
            f"share is 'layers' and interleave {options.interleave}; layers or sequences take turns, not both"
        )
    names = ("link_elements", "out_elements", *(("in_elements",) if first else ()))
    given = {name: getattr(options.pipeline, name) for name in names}
    if len(set(given.values())) > 1:
        told = ", ".join(f"{name} is {elements}" for name, elements in given.items())
        raise ExportError(f"share is 'layers', but {told}; one engine has one number of elements in a beat")


def _require_divisors(spec: LSTMSpec, options: Options) -> None:
    """Elements per beat divide what the memories of x and h are cut into."""
    columns = max(1, options.multipliers // (4 * spec.hidden_size))
    units, both = min(columns, spec.output_size), spec.direction == "bidirectional"
    pipeline, chained = options.pipeline, spec.num_layers > 1
    for name, size, given in (
        ("in_elements", columns, pipeline.in_elements),
        ("link_elements", math.gcd(columns, units) if chained else 0, pipeline.link_elements),
        ("out_elements", units, pipeline.out_elements),
        ("link_elements", spec.output_size if both and chained else 0, pipeline.link_elements),
        ("out_elements", spec.output_size if both else 0, pipeline.out_elements),
    ):
        if size % given:
            raise ExportError(
                f"{name} is {given}; expected a divisor of {size} for H = {spec.hidden_size}"
                f" and P = {options.multipliers}"
            )
