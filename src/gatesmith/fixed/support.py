"""What of a specification the integer world can express, and by which numbers of a plan."""

from gatesmith.errors import InputError
from gatesmith.fixed.qformat import QFormat
from gatesmith.spec import SIGMOID, TANH, Activation, LSTMSpec

GATE_CURVES = {SIGMOID: "sigmoid", Activation(name="hard_sigmoid"): "hard_sigmoid"}
"""Gate activations of a spec that a table computes, by the table's name."""

SHARES = ("none", "directions", "layers")
"""Cells that take turns in one engine."""


def unsupported_feature(spec: LSTMSpec) -> str | None:
    """The feature of ``spec`` that the integer world can't express, named for a message; None where it has all."""
    if spec.full_peepholes:
        return f"peepholes with a full matrix ({spec.full_peepholes})"
    if spec.layer_norm != "none":
        return f"layer normalisation ({spec.layer_norm})"
    if spec.zoneout_h or spec.zoneout_c:
        return f"zoneout (zoneout_h = {spec.zoneout_h}, zoneout_c = {spec.zoneout_c})"
    for name in ("drop_states", "residual"):
        if getattr(spec, name):
            return name
    for direction in spec.directions:
        gates, candidate, output = spec.activations_of(direction)
        if gates not in GATE_CURVES or candidate != TANH or output != TANH:
            return f"the activations ({gates.name}, {candidate.name}, {output.name})"
    return None


def effective_peepholes(spec: LSTMSpec) -> str:
    """The gates that see c in hardware: a coupled gate does where the one that it comes from does."""
    source = {"i": "f", "f": "i"}.get(spec.derived_gate)
    return "".join(
        gate for gate in "ifo" if (source if source and gate == spec.derived_gate else gate) in spec.peepholes
    )


def cells_in_turn(spec: LSTMSpec, share: str) -> list[range]:
    """The cells of each engine where they take turns: both directions of a layer, or layers of one size and direction.

    Raises:
        InputError: ``share`` is none of ``SHARES``.
    """
    if share not in SHARES:
        raise InputError(f"share is {share!r}; expected {', '.join(SHARES)}")
    cells = range(len(spec.cells()))
    if share == "directions":
        return [cells[at : at + spec.num_directions] for at in cells[:: spec.num_directions]]
    if share == "layers" and spec.num_directions == 1:
        first = 0 if spec.input_size == spec.output_size else 1
        return [group for group in (cells[:first], cells[first:]) if group]
    return [cells[at : at + 1] for at in cells]


def clip_code(bound: float | None, form: QFormat) -> int:
    """The code at which a clip bounds a tensor, at least 1; 0 where there is no clip, or none that the format feels."""
    if bound is None or bound >= form.max:
        return 0
    return max(1, int(form.quantise(bound)))


def curves_of(spec: LSTMSpec, direction: str) -> tuple[str, str]:
    """Names of the tables of (gates, candidate and cell) for a supported spec."""
    return GATE_CURVES[spec.activations_of(direction)[0]], "tanh"
