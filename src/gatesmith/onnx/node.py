"""One ONNX LSTM node: its attributes as a spec, its arrays as weights, and one run of it.

ONNX stacks gates as (i, o, f, c), peepholes as (i, o, f), and has two biases that are added; they are permuted here
and nowhere else. Source: ONNX operator LSTM, versions 7, 14 and 22.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from gatesmith.errors import InputError, UnsupportedError, WeightsError
from gatesmith.ops.call import make_call
from gatesmith.ops.devices import default_engine
from gatesmith.spec import (
    ACTIVATION_DEFAULTS,
    DIRECTIONS,
    STANDARD_ACTIVATIONS,
    Activation,
    CoupledGates,
    Direction,
    LSTMSpec,
)
from gatesmith.weights import Weights

Array = npt.NDArray[Any]
Triple = tuple[Activation, Activation, Activation]

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OUTPUTS = ("Y", "Y_h", "Y_c")
GATES_FROM_ONNX = (0, 2, 3, 1)  # rows of i, f, g, o in ONNX's order i, o, f, c
GATES_TO_ONNX = (0, 3, 1, 2)
PEEPHOLES = "iof"
ONNX_ACTIVATIONS = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
RUNTIME_DEFAULTS = {"affine": (0.0, 0.0), "scaled_tanh": (0.0, 0.0), "thresholded_relu": (0.0, None)}
"""Missing alpha and beta where ONNX Runtime differs from ONNX's text, which has 1, 0 and, for scaled tanh, nothing."""
_BY_ONNX_NAME = {name.lower(): ours for ours, name in ONNX_ACTIVATIONS.items()}


@dataclass(frozen=True, kw_only=True)
class LSTMNode:
    """The attributes of an LSTM node.

    Attributes:
        activations: of the forward (or only) direction, then of the reverse one.
        batch_first: ONNX's ``layout`` 1.
    """

    name: str
    hidden_size: int
    direction: Direction
    activations: tuple[Triple, ...]
    clip: float | None
    input_forget: bool
    batch_first: bool

    @property
    def num_directions(self) -> int:
        return len(self.activations)

    def weights(self, w: Array, r: Array, b: Array | None, p: Array | None) -> Weights:
        """Weights of one layer in gatesmith's order.

        Args:
            w: [directions, 4H, D]
            r: [directions, 4H, H]
            b: [directions, 8H], or None
            p: [directions, 3H], or None

        Raises:
            WeightsError: a shape or dtype is wrong, or a value is not finite.
        """
        spec = self.spec(_features(w, self.name), bias=b is not None, peepholes=p is not None)
        dirs, hidden = self.num_directions, self.hidden_size
        shapes = {"W": (dirs, 4 * hidden, spec.input_size), "R": (dirs, 4 * hidden, hidden)}
        shapes |= {"B": (dirs, 8 * hidden), "P": (dirs, 3 * hidden)}
        for name, array in (("W", w), ("R", r), ("B", b), ("P", p)):
            if array is not None and array.shape != shapes[name]:
                raise WeightsError(f"{name} of LSTM {self.name!r} has shape {array.shape}; expected {shapes[name]}")
        arrays: dict[str, Array] = {}
        for at, (_, _, suffix) in enumerate(spec.cells()):
            arrays[f"weight_ih_{suffix}"] = _permuted(w[at], GATES_FROM_ONNX)
            arrays[f"weight_hh_{suffix}"] = _permuted(r[at], GATES_FROM_ONNX)
            if b is not None:
                arrays[f"bias_{suffix}"] = _permuted(b[at, : 4 * hidden] + b[at, 4 * hidden :], GATES_FROM_ONNX)
            if p is not None:
                for gate, part in zip(PEEPHOLES, np.split(p[at], 3), strict=True):
                    arrays[f"peephole_{gate}_{suffix}"] = part
        return Weights(spec, arrays)

    def spec(self, input_size: int, *, bias: bool, peepholes: bool) -> LSTMSpec:
        """The spec of this node alone."""
        coupled: CoupledGates = "f=1-i" if self.input_forget else "none"
        return LSTMSpec(
            input_size,
            self.hidden_size,
            direction=self.direction,
            bias=bias,
            peepholes="ifo" if peepholes else "",
            coupled_gates=coupled,
            gate_clip=self.clip,
            activations=self.activations[0],
            reverse_activations=self.activations[1] if len(self.activations) == 2 else None,
        )

    def run(self, inputs: Mapping[str, Array | None]) -> dict[str, Array]:
        """Y, Y_h and Y_c from the node's inputs by name.

        Where ONNX Runtime and ONNX's text differ, this follows ONNX Runtime: a sequence of length 0 ends in zero
        states, not in its initial ones.

        Raises:
            InputError, WeightsError: an array is missing or has a wrong shape, type or value.
        """
        x, w, r = (inputs.get(name) for name in ("X", "W", "R"))
        if x is None or w is None or r is None:
            raise InputError(f"LSTM {self.name!r} lacks X, W or R; expected all three")
        given = x.dtype
        if any(value is not None and value.dtype != given for name, value in inputs.items() if name != "sequence_lens"):
            raise InputError(f"the floating inputs of LSTM {self.name!r} mix types; expected {given} like X")
        # Half precision is computed in float32, as ONNX Runtime's CPU provider has no half LSTM at all.
        wide = given if given in (np.dtype(np.float32), np.dtype(np.float64)) else np.dtype(np.float32)
        arrays = {name: value.astype(wide, copy=False) for name, value in inputs.items() if value is not None}
        weights = self.weights(arrays["W"], arrays["R"], arrays.get("B"), arrays.get("P"))
        x, state = self._time_first(arrays, weights.spec)
        lengths = inputs.get("sequence_lens")
        call = make_call(weights, x, state, lengths=lengths)
        outputs = default_engine(call).forward(call)
        steps, batch = x.shape[:2]
        y = outputs.y.reshape(steps, batch, self.num_directions, self.hidden_size).transpose(0, 2, 1, 3)
        empty = (call.lengths == 0)[None, :, None]
        y_h, y_c = (np.where(empty, np.zeros((), wide), last) for last in (outputs.h_n, outputs.c_n))
        if self.batch_first:
            y, y_h, y_c = y.transpose(2, 0, 1, 3), y_h.swapaxes(0, 1), y_c.swapaxes(0, 1)
        results = zip(OUTPUTS, (y, y_h, y_c), strict=True)
        return {name: np.ascontiguousarray(value.astype(given, copy=False)) for name, value in results}

    def _time_first(self, arrays: Mapping[str, Array], spec: LSTMSpec) -> tuple[Array, tuple[Array, Array]]:
        """x [T, N, D] and the initial state [directions, N, H], zero where not given."""
        x = arrays["X"]
        if x.ndim != 3:
            raise InputError(f"X of LSTM {self.name!r} has shape {x.shape}; expected three axes")
        if self.batch_first:
            x = x.swapaxes(0, 1)
        shape = (spec.num_directions, x.shape[1], spec.hidden_size)
        states: list[Array] = []
        for name in ("initial_h", "initial_c"):
            state = arrays.get(name)
            if state is None:
                state = np.zeros(shape, x.dtype)
            elif self.batch_first and state.ndim == 3:
                state = state.swapaxes(0, 1)
            states.append(state)
        return x, (states[0], states[1])


def read_node(node: NodeProto) -> LSTMNode:
    """The attributes of a node, checked.

    Raises:
        UnsupportedError: an attribute has a value that ONNX doesn't define, or one that is unknown.
    """
    name = node.name or next((output for output in node.output if output), "")
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        values[attribute.name] = helper.get_attribute_value(attribute)
    known = {
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
    }
    for attribute in values:
        if attribute not in known:
            raise UnsupportedError(f"LSTM {name!r} has an attribute {attribute!r}; expected {', '.join(sorted(known))}")
    direction = _text(values.get("direction", b"forward"))
    if direction not in DIRECTIONS:
        raise UnsupportedError(f"LSTM {name!r} has direction {direction!r}; expected forward, reverse or bidirectional")
    hidden = values.get("hidden_size")
    if not isinstance(hidden, int) or hidden < 1:
        raise UnsupportedError(f"LSTM {name!r} has hidden_size {hidden}; expected an integer of at least 1")
    for flag in ("input_forget", "layout"):
        if values.get(flag, 0) not in (0, 1):
            raise UnsupportedError(f"LSTM {name!r} has {flag} {values[flag]}; expected 0 or 1")
    clip = values.get("clip")
    if clip is not None and not (isinstance(clip, float) and 0 < clip < np.inf):
        raise UnsupportedError(f"LSTM {name!r} has clip {clip}; expected a positive number")
    return LSTMNode(
        name=name,
        hidden_size=hidden,
        direction=cast("Direction", direction),
        activations=_activations(values, name, directions=2 if direction == "bidirectional" else 1),
        clip=clip,
        input_forget=values.get("input_forget", 0) == 1,
        batch_first=values.get("layout", 0) == 1,
    )


def node_attributes(spec: LSTMSpec) -> dict[str, Any]:
    """The attributes of a node that computes one layer of a spec; defaults are left out."""
    attributes: dict[str, Any] = {"hidden_size": spec.hidden_size, "direction": spec.direction}
    triples = [spec.activations_of(direction) for direction in spec.directions]
    if any(triple != STANDARD_ACTIVATIONS for triple in triples):
        flat = [activation for triple in triples for activation in triple]
        attributes["activations"] = [ONNX_ACTIVATIONS[activation.name] for activation in flat]
        for parameter in ("alpha", "beta"):
            values = [getattr(activation, parameter) for activation in flat]
            if any(value is not None for value in values):
                attributes[f"activation_{parameter}"] = [value for value in values if value is not None]
    if spec.gate_clip is not None:
        attributes["clip"] = spec.gate_clip
    if spec.coupled_gates == "f=1-i":
        attributes["input_forget"] = 1
    return attributes


def node_arrays(weights: Weights, layer: int) -> dict[str, Array]:
    """W, R, and B and P where there are any, of one layer; ``forget_bias`` goes into B."""
    spec = weights.spec
    suffixes = [suffix for at, _, suffix in spec.cells() if at == layer]
    arrays = {
        "W": np.stack([_permuted(weights[f"weight_ih_{s}"], GATES_TO_ONNX) for s in suffixes]),
        "R": np.stack([_permuted(weights[f"weight_hh_{s}"], GATES_TO_ONNX) for s in suffixes]),
    }
    hidden, dtype = spec.hidden_size, weights.dtype
    if spec.bias or spec.forget_bias:
        biases: list[Array] = []
        for suffix in suffixes:
            bias = weights[f"bias_{suffix}"].copy() if spec.bias else np.zeros(4 * hidden, dtype)
            bias[hidden : 2 * hidden] += dtype.type(spec.forget_bias)
            biases.append(np.concatenate([_permuted(bias, GATES_TO_ONNX), np.zeros(4 * hidden, dtype)]))
        arrays["B"] = np.stack(biases)
    if spec.peepholes:
        zero = np.zeros(hidden, dtype)
        rows = [[weights.get(f"peephole_{gate}_{s}", zero) for gate in PEEPHOLES] for s in suffixes]
        arrays["P"] = np.stack([np.concatenate(row) for row in rows])
    return arrays


def merged(nodes: Sequence[LSTMNode]) -> LSTMNode:
    """The attributes that all nodes of a stack share.

    Raises:
        UnsupportedError: two nodes differ; one spec has the same cell in every layer.
    """
    first = nodes[0]
    for other in nodes[1:]:
        for field in ("hidden_size", "direction", "activations", "clip", "input_forget", "batch_first"):
            if getattr(other, field) != getattr(first, field):
                raise UnsupportedError(
                    f"LSTM {first.name!r} has {field} {getattr(first, field)} and {other.name!r} has "
                    f"{getattr(other, field)}; expected the same in every layer, import them one by one"
                )
    return replace(first)


def _activations(values: Mapping[str, Any], name: str, *, directions: int) -> tuple[Triple, ...]:
    """One triple per direction; alpha and beta are consumed in order by the functions that take them."""
    names = [_text(value) for value in values.get("activations", [])]
    if not names:
        return (STANDARD_ACTIVATIONS,) * directions
    if len(names) != 3 * directions:
        raise UnsupportedError(f"LSTM {name!r} has {len(names)} activations; expected {3 * directions}")
    left = {parameter: list(values.get(f"activation_{parameter}", [])) for parameter in ("alpha", "beta")}
    flat: list[Activation] = []
    for text in names:
        ours = _BY_ONNX_NAME.get(text.lower())
        if ours is None:
            known = ", ".join(ONNX_ACTIVATIONS.values())
            raise UnsupportedError(f"LSTM {name!r} has activation {text!r}; expected one of {known}")
        taken = dict.fromkeys(("alpha", "beta"), cast("float | None", None))
        defaults = RUNTIME_DEFAULTS.get(ours, ACTIVATION_DEFAULTS[ours])
        for parameter, default in zip(taken, defaults, strict=True):
            taken[parameter] = left[parameter].pop(0) if default is not None and left[parameter] else default
        flat.append(Activation(name=ours, alpha=taken["alpha"], beta=taken["beta"]))
    return tuple((flat[3 * at], flat[3 * at + 1], flat[3 * at + 2]) for at in range(directions))


def _features(w: Array, name: str) -> int:
    if w.ndim != 3 or w.shape[2] < 1:
        raise WeightsError(f"W of LSTM {name!r} has shape {w.shape}; expected (directions, 4 * H, D)")
    return int(w.shape[2])


def _permuted(array: Array, order: tuple[int, ...]) -> Array:
    """Rows of [4H, ...] with their gates in another order."""
    return np.ascontiguousarray(array.reshape(4, -1, *array.shape[1:])[list(order)].reshape(array.shape))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
