"""A spec as mathematics: one line per gate, the shape of every symbol, the parameter count, what each gate does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gatesmith.spec import NORM_EPSILON, SIGMOID, TANH, Activation, LSTMSpec

PURPOSE = {
    "i": "input gate: how much of the candidate is written into the cell",
    "f": "forget gate: how much of the old cell state is kept",
    "g": "candidate: what could be written into the cell",
    "o": "output gate: how much of the cell state is shown outside",
}
DEFINITIONS = {
    "relu": "relu(z) = max(z, 0)",
    "affine": "affine(z, α, β) = α · z + β",
    "leaky_relu": "leaky_relu(z, α) = max(z, 0) + α · min(z, 0)",
    "thresholded_relu": "thresholded_relu(z, α) = z where z > α, else 0",
    "scaled_tanh": "scaled_tanh(z, α, β) = α · tanh(β · z)",
    "hard_sigmoid": "hard_sigmoid(z, α, β) = min(max(α · z + β, 0), 1)",
    "elu": "elu(z, α) = z where z > 0, else α · (e^z − 1)",
    "softsign": "softsign(z) = z / (1 + |z|)",
    "softplus": "softplus(z) = ln(1 + e^z)",
}
GATE_NAMES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}


@dataclass(frozen=True, kw_only=True)
class Notation:
    """How one typographic system writes the few constructs that the equations need."""

    dot: str
    times: str
    minus: str
    sigma: str
    tanh: str
    subscript: str
    clip: str
    norm: str

    def sub(self, symbol: str, index: str) -> str:
        return self.subscript.format(symbol, index if len(index) <= 2 or self is LATEX else f"{{{index}}}")


UNICODE = Notation(
    dot="·",
    times=" ⊙ ",
    minus="−",
    sigma="σ",
    tanh="tanh",
    subscript="{}_{}",
    clip="clip({0}, ±{1:g})",
    norm="norm({})",
)
LATEX = Notation(
    dot=r"\,",
    times=r" \odot ",
    minus="-",
    sigma=r"\sigma",
    tanh=r"\tanh",
    subscript="{}_{{{}}}",
    clip=r"\operatorname{{clip}}({0}, \pm {1:g})",
    norm=r"\operatorname{{norm}}({})",
)


def equations(spec: LSTMSpec, *, notation: Literal["unicode", "latex"] = "unicode") -> str:
    """The exact mathematics of a spec.

    Args:
        spec: what to write down.
        notation: ``"unicode"`` for a page of plain text; ``"latex"`` for ``align*`` environments alone, without prose.
    """
    if notation == "latex":
        blocks = [_latex(list(_lines(spec, direction, LATEX))) for direction in spec.directions]
        return "\n".join(blocks)
    return "\n".join(_page(spec))


def shapes(spec: LSTMSpec) -> list[tuple[str, str, str]]:
    """(symbol, shape in letters and numbers, meaning) of everything in the equations, for one sequence."""
    D, H, R = spec.input_size, spec.hidden_size, spec.output_size
    width = spec.num_directions * R
    out = "R" if spec.proj_size else "H"
    rows = [
        ("x_t", f"(D,) = ({D},)", "input of one step" + (" of the first layer" if spec.num_layers > 1 else "")),
        ("h_t", f"({out},) = ({R},)", "hidden state, the output of one direction"),
        ("c_t", f"(H,) = ({H},)", "cell state, the memory"),
        ("i f g o", f"(H,) = ({H},)", "gates and candidate, each"),
        ("W_ii W_if W_ig W_io", f"(H, D) = ({H}, {D})", "from the input, each"),
        ("W_hi W_hf W_hg W_ho", f"(H, {out}) = ({H}, {R})", "from the hidden state, each"),
    ]
    if spec.num_layers > 1:
        deeper = f"(H, {'2' if spec.num_directions == 2 else ''}{out}) = ({H}, {width})"
        rows.insert(5, ("W_i*, layer ≥ 1", deeper, "from the layer below, each"))
    if spec.bias:
        rows.append(("b_i b_f b_g b_o", f"(H,) = ({H},)", "biases, each"))
    rows += [
        (f"w_{gate}c", f"(H,) = ({H},)", f"diagonal peephole of the {GATE_NAMES[gate]}")
        for gate in spec.peepholes
        if gate != spec.derived_gate
    ]
    rows += [
        (f"W_{gate}c", f"(H, H) = ({H}, {H})", f"full peephole of the {GATE_NAMES[gate]}")
        for gate in spec.full_peepholes
        if gate != spec.derived_gate
    ]
    if spec.proj_size:
        rows.append(("W_hr", f"(R, H) = ({R}, {H})", "projection"))
        if spec.proj_bias:
            rows.append(("b_hr", f"(R,) = ({R},)", "bias of the projection"))
    norms = {"none": "", "gates_and_cell": "each gate and c", "inputs_and_cell": "W·x_t, W·h (each gate) and c"}
    if spec.layer_norm != "none":
        rows.append(("γ β", f"(H,) = ({H},)", f"gain and shift of norm, each, for {norms[spec.layer_norm]}"))
    rows.append(("y_t", f"({width},)", "output of a layer at one step"))
    return rows


def _page(spec: LSTMSpec) -> Iterator[str]:
    layers = "1 layer" if spec.num_layers == 1 else f"{spec.num_layers} layers"
    yield (
        f"LSTM, {spec.direction}, {layers}: D = {spec.input_size} inputs, H = {spec.hidden_size} hidden units, "
        f"{spec.parameter_count():,} parameters"
    )
    for direction in spec.directions:
        yield ""
        walk = "t = 1 … T" if direction == "forward" else "t = T … 1"
        yield f"{direction.capitalize()} direction, {walk}" + (", every layer" if spec.num_layers > 1 else "")
        yield from _columns(list(_lines(spec, direction, UNICODE)))
    yield ""
    yield "Between them"
    yield from (f"  {line}" for line in _around(spec))
    yield ""
    yield "Shapes"
    table = shapes(spec)
    first, second = (max(len(row[k]) for row in table) for k in (0, 1))
    yield from (f"  {symbol:<{first}}   {shape:<{second}}   {meaning}" for symbol, shape, meaning in table)


def _columns(lines: list[tuple[str, str, str]]) -> Iterator[str]:
    """Equations with their purpose beside them, or above them where that would be too wide to read."""
    width = max(len(value) for _, value, _ in lines)
    for symbol, value, purpose in lines:
        if width > 70:
            yield f"  {purpose}"
            yield f"    {symbol} = {value}"
        else:
            yield f"  {symbol} = {value:<{width}}   {purpose}"


def _around(spec: LSTMSpec) -> Iterator[str]:
    if spec.num_directions == 2:
        yield "y_t = [h_t of the forward direction ; h_t of the reverse direction]"
    else:
        yield "y_t = h_t"
    yield "σ(z) = 1 / (1 + e^−z);  ⊙ is the element-wise product;  h_0 and c_0 are given, or zero"
    functions = {function.name for direction in spec.directions for function in spec.activations_of(direction)}
    yield from (definition for name, definition in DEFINITIONS.items() if name in functions)
    if (spec.gate_clip, spec.cell_clip, spec.proj_clip) != (None, None, None):
        yield "clip(z, ±k) = min(max(z, −k), k)"
    if spec.layer_norm != "none":
        yield f"norm(z) = γ ⊙ (z − mean(z)) / √(var(z) + {NORM_EPSILON:g}) + β, a γ and β for each norm written above"
    if spec.layer_norm == "inputs_and_cell":
        yield "mean and var of W·x_t, and of W·h, are those of the rows of all gates together"
    if spec.num_layers > 1:
        yield "layer l reads y_t of layer l−1" + (
            f", of which training drops each element with probability {spec.dropout:g}" if spec.dropout else ""
        )
    if spec.residual and spec.num_layers > 1:
        yield "layers above the first add what they read to y_t (residual)"
    if spec.recurrent_dropout:
        yield f"training drops elements of h with probability {spec.recurrent_dropout:g}, the same ones at every step"
    for name, rate in (("h", spec.zoneout_h), ("c", spec.zoneout_c)):
        if rate:
            mean = f"{rate:g} · old {name} + {1 - rate:g} · new {name}"
            yield f"{name}_t keeps an old element with probability {rate:g} (zoneout); evaluation takes {mean}"
    if spec.drop_states:
        yield "a sequence that has ended reports zero states"


def _lines(spec: LSTMSpec, direction: str, n: Notation) -> Iterator[tuple[str, str, str]]:
    """(symbol, right-hand side, what it does) of one direction."""
    before = "t" + (n.minus if direction == "forward" else "+") + "1"
    at_t = {name: n.sub(name, "t") for name in "xhcifgomr"}
    old = {name: n.sub(name, before) for name in "hc"}
    gate_function, candidate_function, output_function = spec.activations_of(direction)
    # The output gate comes last where its peephole reads the new cell state.
    for gate in "fig" if spec.derived_gate == "i" else "ifg":
        function = candidate_function if gate == "g" else gate_function
        yield at_t[gate], _gate(spec, gate, function, n, at_t["x"], old, at_t), PURPOSE[gate]
    cell = f"{at_t['f']}{n.times}{old['c']} + {at_t['i']}{n.times}{at_t['g']}"
    if spec.layer_norm == "gates_and_cell":
        cell = n.norm.format(cell)
    yield at_t["c"], _clipped(cell, spec.cell_clip, n), "cell state: what is remembered"
    yield at_t["o"], _gate(spec, "o", gate_function, n, at_t["x"], old, at_t), PURPOSE["o"]
    shown = n.norm.format(at_t["c"]) if spec.layer_norm == "inputs_and_cell" else at_t["c"]
    hidden = f"{at_t['o']}{n.times}{_applied(output_function, shown, n)}"
    if not spec.proj_size:
        yield at_t["h"], hidden, "hidden state: what is shown, and fed back"
        return
    yield at_t["m"], hidden, "what is shown, before projection"
    projected = f"{n.sub('W', 'hr')}{n.dot}{at_t['m']}" + (f" + {n.sub('b', 'hr')}" if spec.proj_bias else "")
    yield at_t["h"], _clipped(projected, spec.proj_clip, n), "hidden state: the projection, fed back"


def _gate(
    spec: LSTMSpec, gate: str, function: Activation, n: Notation, x: str, old: dict[str, str], new: dict[str, str]
) -> str:
    if gate == spec.derived_gate:
        return f"1 {n.minus} {new['i' if gate == 'f' else 'f']}"
    from_input = f"{n.sub('W', 'i' + gate)}{n.dot}{x}"
    from_hidden = f"{n.sub('W', 'h' + gate)}{n.dot}{old['h']}"
    if spec.layer_norm == "inputs_and_cell":
        from_input, from_hidden = n.norm.format(from_input), n.norm.format(from_hidden)
    terms = [from_input, from_hidden]
    cell = new["c"] if gate == "o" else old["c"]
    if gate in spec.peepholes:
        terms.append(f"{n.sub('w', gate + 'c')}{n.times}{cell}")
    if gate in spec.full_peepholes:
        terms.append(f"{n.sub('W', gate + 'c')}{n.dot}{cell}")
    if spec.bias:
        terms.append(n.sub("b", gate))
    total = " + ".join(terms)
    if spec.layer_norm == "gates_and_cell":
        total = n.norm.format(total)
    if gate == "f" and spec.forget_bias:
        total += f" + {spec.forget_bias:g}" if spec.forget_bias > 0 else f" {n.minus} {-spec.forget_bias:g}"
    return _applied(function, _clipped(total, spec.gate_clip, n), n)


def _clipped(expression: str, bound: float | None, n: Notation) -> str:
    return expression if bound is None else n.clip.format(expression, bound)


def _applied(function: Activation, argument: str, n: Notation) -> str:
    if function == SIGMOID:
        return f"{n.sigma}({argument})"
    if function == TANH:
        return f"{n.tanh}({argument})"
    parameters = [f"{value:g}" for value in (function.alpha, function.beta) if value is not None]
    name = function.name if n is UNICODE else rf"\operatorname{{{function.name.replace('_', chr(92) + '_')}}}"
    return f"{name}({', '.join([argument, *parameters])})"


def _latex(lines: list[tuple[str, str, str]]) -> str:
    body = " \\\\\n".join(f"  {symbol} &= {value}" for symbol, value, _ in lines)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"
