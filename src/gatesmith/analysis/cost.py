"""What an LSTM must cost, from its specification alone: bytes of every component, operations of every stage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatesmith.spec import LSTMSpec

OPTIMISERS = {"none": 0, "sgd": 0, "momentum": 1, "adam": 2}
"""Values that an optimiser keeps for each parameter."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One component of a memory footprint.

    Attributes:
        formula: in the symbols T, N, D, H, R, L and s (bytes of one value).
        predicted: bytes that the formula gives; None where only a measurement is known.
        measured: bytes that a run took; None where it was not measured.
    """

    component: str
    formula: str
    predicted: int | None
    measured: int | None = None

    @property
    def disagreement(self) -> float | None:
        """(predicted - measured) / measured; None where one of them is missing."""
        if self.predicted is None or self.measured is None:
            return None
        if not self.measured:
            return 0.0 if not self.predicted else float("inf")
        return (self.predicted - self.measured) / self.measured

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "disagreement": self.disagreement}


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one stage of the operator does in a whole call.

    Attributes:
        flops: floating-point operations, a fused multiply-add counting as two.
        weight_bytes: bytes of weights that the stage reads in one step; each step reads them again.
        step_bytes: bytes of inputs and results that one step reads and writes.
        sequential: whether a step of the stage needs the step before.
    """

    stage: str
    flops: int
    weight_bytes: int
    step_bytes: int
    sequential: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def one_step(spec: LSTMSpec, batch: int, itemsize: int, layer: int = 0) -> tuple[Line, ...]:
    """What one step of one cell holds: five components whose sum is N * (D + 6H) * s where there is no projection.

    The candidate has no component of its own: c_t = f * c_{t-1} + i * g is gathered where the candidate stands.
    """
    inputs, hidden, out = spec.layer_input_size(layer), spec.hidden_size, spec.output_size
    d, r = "D" if layer == 0 else f"D_{layer}", "R" if spec.proj_size else "H"
    rows = (
        ("input xₜ", d, inputs),
        ("recurrent input hₜ₋₁", r, out),
        ("cell state cₜ (with the candidate g)", "H", hidden),
        ("gate vectors i, f, o", "3H", 3 * hidden),
        ("output hₜ", r, out),
    )
    total = f"N·({d} + 4H + 2R)·s" if spec.proj_size else f"N·({d} + 6H)·s"
    lines = [
        Line(component=name, formula=f"N·{symbol}·s", predicted=batch * size * itemsize) for name, symbol, size in rows
    ]
    sum_of_lines = batch * sum(size for _, _, size in rows) * itemsize
    return (*lines, Line(component="one step", formula=total, predicted=sum_of_lines))


def operands(spec: LSTMSpec, batch: int, steps: int, itemsize: int) -> tuple[Line, ...]:
    """What every device needs for a forward run: weights, whole sequences, states."""
    cells, width = len(spec.cells()), spec.num_directions * spec.output_size
    states = cells * batch * (spec.output_size + spec.hidden_size)
    r = "R" if spec.proj_size else "H"
    both = "2" if spec.num_directions == 2 else ""
    rows = (
        ("weights", parameter_formula(spec), spec.parameter_count()),
        ("input sequence x", "T·N·D·s", steps * batch * spec.input_size),
        ("output sequence y", f"T·N·{both}{r}·s", steps * batch * width),
        ("initial states h0, c0", f"{cells}·N·({r} + H)·s" if cells > 1 else f"N·({r} + H)·s", states),
        ("final states h_n, c_n", f"{cells}·N·({r} + H)·s" if cells > 1 else f"N·({r} + H)·s", states),
    )
    lengths = Line(component="lengths", formula="8·N", predicted=8 * batch)
    return (
        *(Line(component=name, formula=symbols, predicted=count * itemsize) for name, symbols, count in rows),
        lengths,
    )


def training_operands(
    spec: LSTMSpec, batch: int, steps: int, itemsize: int, optimiser: str = "adam"
) -> tuple[Line, ...]:
    """What every device needs for a backward run besides the tape: gradients that come in and go out, optimiser."""
    cells, width = len(spec.cells()), spec.num_directions * spec.output_size
    r = "R" if spec.proj_size else "H"
    both = "2" if spec.num_directions == 2 else ""
    parameters, kept = parameter_formula(spec), OPTIMISERS[optimiser]
    states = cells * batch * (spec.output_size + spec.hidden_size)
    rows = (
        ("gradient of the output dy", f"T·N·{both}{r}·s", steps * batch * width),
        ("gradient of the input dx", "T·N·D·s", steps * batch * spec.input_size),
        ("gradients of the states", f"{2 * cells}·N·({r} + H)·s", 2 * states),
        ("gradients of the weights", parameters, spec.parameter_count()),
        (f"optimiser state ({optimiser})", f"{kept}·{parameters}", kept * spec.parameter_count()),
    )
    return tuple(Line(component=name, formula=symbols, predicted=count * itemsize) for name, symbols, count in rows)


def parameter_formula(spec: LSTMSpec) -> str:
    """Bytes of all parameters in symbols, such as ``(4H·(D + H) + 4H)·s``; D_l is what layer l reads."""
    d, r = ("D" if spec.num_layers == 1 else "D_l"), ("R" if spec.proj_size else "H")
    terms = [f"4H·({d} + {r})"]
    terms += ["4H"] if spec.bias else []
    terms += [f"{len(spec.peepholes)}·H"] if spec.peepholes else []
    terms += [f"{len(spec.full_peepholes)}·H²"] if spec.full_peepholes else []
    terms += ["R·H"] if spec.proj_size else []
    terms += ["R"] if spec.proj_bias else []
    terms += {"none": [], "gates_and_cell": ["10H"], "inputs_and_cell": ["18H"]}[spec.layer_norm]
    cells = len(spec.cells())
    each = " + ".join(terms)
    return f"({each})·s" if cells == 1 else f"Σ over {cells} cells ({each})·s"


def work(spec: LSTMSpec, batch: int, steps: int, itemsize: int) -> tuple[Work, ...]:
    """Operations and bytes of every stage of a forward run, summed over all cells.

    An activation counts as one operation; the element-wise cell update as four more.
    """
    hidden, out = spec.hidden_size, spec.output_size
    layers = [layer for layer, _, _ in spec.cells()]
    inputs = [spec.layer_input_size(layer) for layer in layers]
    rows = len(layers) * 4 * hidden
    peepholes = len(layers) * (len(spec.peepholes) * hidden + len(spec.full_peepholes) * hidden**2)
    projection = len(layers) * out * hidden if spec.proj_size else 0
    recurrent = rows * out
    calls = batch * steps
    variant = (
        Work(
            stage=stage,
            flops=2 * calls * parameters,
            weight_bytes=parameters * itemsize,
            step_bytes=batch * len(layers) * moved * itemsize,
            sequential=True,
        )
        for stage, parameters, moved in (("peepholes", peepholes, 2 * hidden), ("projection", projection, hidden + out))
        if parameters
    )
    return (
        Work(
            stage="input projection",
            flops=2 * calls * 4 * hidden * sum(inputs),
            weight_bytes=4 * hidden * sum(inputs) * itemsize,
            step_bytes=batch * (sum(inputs) + rows) * itemsize,
            sequential=False,
        ),
        Work(
            stage="recurrent product",
            flops=2 * calls * recurrent,
            weight_bytes=recurrent * itemsize,
            step_bytes=batch * (len(layers) * out + 2 * rows) * itemsize,
            sequential=True,
        ),
        *variant,
        Work(
            stage="activations",
            flops=calls * len(layers) * 9 * hidden,
            weight_bytes=0,
            step_bytes=batch * len(layers) * (4 + 2 + 1) * hidden * itemsize,
            sequential=True,
        ),
        Work(
            stage="data movement",
            flops=0,
            weight_bytes=0,
            step_bytes=batch * (sum(inputs) + len(layers) * out) * itemsize,
            sequential=False,
        ),
    )


def total(lines: Sequence[Line]) -> int:
    """Sum of the predicted bytes."""
    return sum(line.predicted or 0 for line in lines)
