"""What an LSTM is: sizes, directions and variant, as one frozen value without any arrays."""

import json
import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, Literal, cast

from gatesmith.errors import SpecError

GATES = ("i", "f", "g", "o")
"""Gate order of every [4H, ...] array in gatesmith; other orders are permuted once, at the door."""

DIRECTIONS = {
    "forward": ("forward",),
    "reverse": ("reverse",),
    "bidirectional": ("forward", "reverse"),
}

Direction = Literal["forward", "reverse", "bidirectional"]
CoupledGates = Literal["none", "f=1-i", "i=1-f"]
LayerNorm = Literal["none", "gates_and_cell", "inputs_and_cell"]

ACTIVATION_DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "relu": (None, None),
    "tanh": (None, None),
    "sigmoid": (None, None),
    "affine": (1.0, 0.0),
    "leaky_relu": (0.01, None),
    "thresholded_relu": (1.0, None),
    "scaled_tanh": (1.0, 1.0),
    "hard_sigmoid": (0.2, 0.5),
    "elu": (1.0, None),
    "softsign": (None, None),
    "softplus": (None, None),
}
"""ONNX's eleven activations with their default (alpha, beta); None where it takes no such parameter."""


NORM_EPSILON = 1e-5
"""Added to the variance under the root of every layer normalisation."""


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One activation function of ONNX's RNN operators, with its parameters.

    Source: ONNX operator LSTM, attributes ``activations``, ``activation_alpha``, ``activation_beta``.
    ``None`` stands for the default where the function takes the parameter.
    """

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.name not in ACTIVATION_DEFAULTS:
            raise SpecError(f"activation {self.name!r} is unknown; expected one of {', '.join(ACTIVATION_DEFAULTS)}")
        for parameter, default in zip(("alpha", "beta"), ACTIVATION_DEFAULTS[self.name], strict=True):
            value = cast("object", getattr(self, parameter))
            if value is None:
                object.__setattr__(self, parameter, default)
            elif default is None:
                raise SpecError(f"activation {self.name!r} takes no {parameter}; given {parameter}={value}")
            elif not _is_finite(value):
                raise SpecError(f"activation {self.name!r} has {parameter}={value!r}; expected a finite number")
            else:
                object.__setattr__(self, parameter, float(cast("float", value)))


SIGMOID = Activation(name="sigmoid")
TANH = Activation(name="tanh")
STANDARD_ACTIVATIONS = (SIGMOID, TANH, TANH)


@dataclass(frozen=True)
class LSTMSpec:
    """An LSTM, as a value that hashes, prints and goes into every file's metadata.

    Dimension letters, here and everywhere: T steps, N batch, D ``input_size``, H ``hidden_size``, L ``num_layers``,
    R ``output_size`` (``proj_size`` where there is a projection, else H).

    Args:
        input_size: D, features of one input step.
        hidden_size: H, units of the cell state.
        num_layers: L; layer l > 0 reads the (concatenated) output of layer l - 1.
        direction: ``"reverse"`` runs from the last valid step to the first; ``"bidirectional"`` concatenates
            both outputs, the forward one first.
        bias: whether the gates have a bias.
        peepholes: gates with a diagonal peephole, a subset of ``"ifo"``. i and f see c_{t-1}, o sees c_t
            (Gers, Schraudolph and Schmidhuber, 2002).
        full_peepholes: gates whose peephole is a full H x H matrix, a subset of ``"ifo"``; disjoint from ``peepholes``.
        coupled_gates: ``"f=1-i"`` is ONNX's ``input_forget``; ``"i=1-f"`` is TensorFlow's CIFG. The gate that is
            derived has no parameters of its own in the equations; its rows stay in the arrays and are ignored.
        gate_clip: bound on the absolute pre-activation of every gate (ONNX ``clip`` as ONNX Runtime has it: the cell
            state that the output reads is not bounded).
        cell_clip: bound on the absolute new cell state, which is then kept, read and seen by o's peephole (cuDNN,
            TensorFlow ``cell_clip``).
        proj_clip: bound on the absolute projected output (TensorFlow ``proj_clip``).
        proj_size: R; 0 for no projection (Sak, Senior and Beaufays, 2014).
        proj_bias: whether the projection has a bias.
        activations: of the gates (i, f, o), of the candidate g, and of the cell state in the output.
        reverse_activations: the same for the reverse direction; None for the same as ``activations``.
        layer_norm: ``"gates_and_cell"`` normalises each gate's summed pre-activation and the new cell state
            (TensorFlow's LayerNormBasicLSTMCell); ``"inputs_and_cell"`` normalises W_ih x and W_hh h apart, over the
            rows of all gates that are not derived, and the cell state where the output reads it (Ba, Kiros and
            Hinton, 2016).
        zoneout_h: probability that a unit of h keeps its previous value (Krueger et al., 2016); in evaluation the
            expectation ``zoneout_h * h_{t-1} + (1 - zoneout_h) * h_t``.
        zoneout_c: the same for c; the output of the same step still reads the new value, as in the paper.
        dropout: probability of dropping an element between layers.
        recurrent_dropout: probability of dropping an element of h_{t-1}, one mask per sequence (Gal, 2016).
        forget_bias: added to the forget gate's pre-activation at run time (TensorFlow, Caffe2); after layer
            normalisation and before ``gate_clip``.
        drop_states: sequences shorter than T report zero states instead of the last valid ones (Caffe2).
        residual: layer l > 0 adds its input to its output.

    Raises:
        SpecError: a value is out of range, or two contradict each other.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    direction: Direction = "forward"
    bias: bool = True
    _: KW_ONLY
    peepholes: str = ""
    full_peepholes: str = ""
    coupled_gates: CoupledGates = "none"
    gate_clip: float | None = None
    cell_clip: float | None = None
    proj_clip: float | None = None
    proj_size: int = 0
    proj_bias: bool = False
    activations: tuple[Activation, Activation, Activation] = STANDARD_ACTIVATIONS
    reverse_activations: tuple[Activation, Activation, Activation] | None = None
    layer_norm: LayerNorm = "none"
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    forget_bias: float = 0.0
    drop_states: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        for name, least in (("input_size", 1), ("hidden_size", 1), ("num_layers", 1), ("proj_size", 0)):
            _require_integer(name, getattr(self, name), least)
        for name in ("bias", "proj_bias", "drop_states", "residual"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name} is {getattr(self, name)!r}; expected True or False")
        _require_choice("direction", self.direction, tuple(DIRECTIONS))
        _require_choice("coupled_gates", self.coupled_gates, ("none", "f=1-i", "i=1-f"))
        _require_choice("layer_norm", self.layer_norm, ("none", "gates_and_cell", "inputs_and_cell"))
        for name in ("gate_clip", "cell_clip", "proj_clip"):
            value = getattr(self, name)
            if value is not None and not (_is_finite(value) and value > 0):
                raise SpecError(f"{name} is {value!r}; expected a positive number or None")
        for name in ("zoneout_h", "zoneout_c", "dropout", "recurrent_dropout"):
            value = getattr(self, name)
            if not (_is_finite(value) and 0 <= value < 1):
                raise SpecError(f"{name} is {value!r}; expected a probability in [0, 1)")
        if not _is_finite(self.forget_bias):
            raise SpecError(f"forget_bias is {self.forget_bias!r}; expected a finite number")
        self._check_peepholes()
        self._check_activations()
        self._check_combinations()

    def _check_peepholes(self) -> None:
        for name in ("peepholes", "full_peepholes"):
            gates = getattr(self, name)
            if not isinstance(gates, str) or set(gates) - set("ifo") or len(set(gates)) != len(gates):
                raise SpecError(f"{name} is {gates!r}; expected a subset of 'ifo' such as 'o' or 'if'")
            object.__setattr__(self, name, "".join(sorted(gates, key="ifo".index)))
        both = sorted(set(self.peepholes) & set(self.full_peepholes))
        if both:
            raise SpecError(
                f"gate {both[0]!r} is in peepholes and in full_peepholes; expected one kind of peephole for a gate"
            )

    def _check_activations(self) -> None:
        for name in ("activations", "reverse_activations"):
            given = cast("object", getattr(self, name))
            if given is None and name == "reverse_activations":
                continue
            try:
                triple = tuple(a if isinstance(a, Activation) else Activation(name=a) for a in given)  # type: ignore[union-attr]
            except TypeError:
                triple = ()
            if len(triple) != 3:
                raise SpecError(f"{name} is {given!r}; expected three, for the gates, the candidate and the output")
            object.__setattr__(self, name, triple)
        if self.reverse_activations == self.activations and self.direction == "bidirectional":
            object.__setattr__(self, "reverse_activations", None)
        if self.reverse_activations is not None and self.direction != "bidirectional":
            raise SpecError(
                f"reverse_activations is given but direction is {self.direction!r}; set activations instead"
            )

    def _check_combinations(self) -> None:
        if self.proj_size >= self.hidden_size and self.proj_size:
            raise SpecError(f"proj_size is {self.proj_size}; expected less than hidden_size, {self.hidden_size}")
        if not self.proj_size and (self.proj_bias or self.proj_clip is not None):
            raise SpecError("proj_bias or proj_clip is given without a projection; set proj_size too")

    @property
    def directions(self) -> tuple[str, ...]:
        """Directions of every layer, in the order of the output's features."""
        return DIRECTIONS[self.direction]

    @property
    def num_directions(self) -> int:
        """1, or 2 for a bidirectional LSTM."""
        return len(self.directions)

    @property
    def output_size(self) -> int:
        """R: features of one direction's h, ``proj_size`` or ``hidden_size``."""
        return self.proj_size or self.hidden_size

    @property
    def derived_gate(self) -> str:
        """The gate that coupling computes from the other one, or an empty string."""
        return "" if self.coupled_gates == "none" else self.coupled_gates[0]

    @property
    def is_standard(self) -> bool:
        """Whether the cell is the plain one of ``torch.nn.LSTM`` (any sizes, layers, directions, bias)."""
        base = LSTMSpec(self.input_size, self.hidden_size, self.num_layers, self.direction, self.bias)
        return self == base

    def layer_input_size(self, layer: int) -> int:
        """Features that layer ``layer`` reads in one step."""
        return self.input_size if layer == 0 else self.num_directions * self.output_size

    def activations_of(self, direction: str) -> tuple[Activation, Activation, Activation]:
        """(gates, candidate, output) activations of one direction."""
        if direction == "reverse" and self.reverse_activations is not None:
            return self.reverse_activations
        return self.activations

    def cells(self) -> tuple[tuple[int, str, str], ...]:
        """(layer, direction, parameter suffix) of every cell, in the order of the state arrays' first axis."""
        return tuple(
            (layer, direction, f"l{layer}" + ("_reverse" if direction == "reverse" else ""))
            for layer in range(self.num_layers)
            for direction in self.directions
        )

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in a fixed order; gates stacked as (i, f, g, o)."""
        hidden, out = self.hidden_size, self.output_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, _, suffix in self.cells():
            shapes[f"weight_ih_{suffix}"] = (4 * hidden, self.layer_input_size(layer))
            shapes[f"weight_hh_{suffix}"] = (4 * hidden, out)
            if self.bias:
                shapes[f"bias_{suffix}"] = (4 * hidden,)
            for gate in self.peepholes:
                shapes[f"peephole_{gate}_{suffix}"] = (hidden,)
            for gate in self.full_peepholes:
                shapes[f"peephole_{gate}_{suffix}"] = (hidden, hidden)
            if self.proj_size:
                shapes[f"weight_hr_{suffix}"] = (out, hidden)
                if self.proj_bias:
                    shapes[f"bias_hr_{suffix}"] = (out,)
            for norm, width in self._norms():
                shapes[f"{norm}_gain_{suffix}"] = (width,)
                shapes[f"{norm}_shift_{suffix}"] = (width,)
        return shapes

    def _norms(self) -> tuple[tuple[str, int], ...]:
        rows, hidden = 4 * self.hidden_size, self.hidden_size
        return {
            "none": (),
            "gates_and_cell": (("norm_gates", rows), ("norm_cell", hidden)),
            "inputs_and_cell": (("norm_ih", rows), ("norm_hh", rows), ("norm_cell", hidden)),
        }[self.layer_norm]

    def parameter_count(self) -> int:
        """Number of scalars in all parameters."""
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def equations(self, notation: Literal["unicode", "latex"] = "unicode") -> str:
        """The exact mathematics of this spec; see :func:`gatesmith.equations.equations`."""
        from gatesmith.equations import equations

        return equations(self, notation=notation)

    def to_json(self) -> str:
        """One line of JSON, the same text for equal specs; :meth:`from_json` reads it back."""
        values = asdict(self)
        defaults = {field.name: field.default for field in fields(self)}
        kept = {name: value for name, value in values.items() if getattr(self, name) != defaults[name]}
        return json.dumps(kept, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "LSTMSpec":
        """Read what :meth:`to_json` wrote; the text is untrusted.

        Raises:
            SpecError: the text is no JSON object, has an unknown field or an impossible value.
        """
        try:
            values: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"the specification is not valid JSON ({error}); expected an object") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: object) -> "LSTMSpec":
        """Build a spec from plain (untrusted) values, as found in a configuration file.

        Raises:
            SpecError: as the constructor, and for unknown or missing fields.
        """
        if not isinstance(values, Mapping):
            raise SpecError(f"the specification is a {type(values).__name__}; expected an object with named fields")
        given = dict(cast("Mapping[str, Any]", values))
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(map(str, given)) - known)
        if unknown:
            raise SpecError(
                f"the specification has an unknown field {unknown[0]!r}; expected {', '.join(sorted(known))}"
            )
        for name in ("input_size", "hidden_size"):
            if name not in given:
                raise SpecError(f"the specification lacks {name!r}; expected an integer of at least 1")
        for name in ("activations", "reverse_activations"):
            if isinstance(given.get(name), list | tuple):
                given[name] = tuple(_activation_from(value) for value in given[name])
        return cls(**given)


def _activation_from(value: object) -> Activation:
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return Activation(name=value)
    if not isinstance(value, Mapping) or not isinstance(cast("Mapping[str, Any]", value).get("name"), str):
        raise SpecError(f"activation {value!r} is not understood; expected a name or an object with a name")
    given = dict(cast("Mapping[str, Any]", value))
    unknown = sorted(set(map(str, given)) - {"name", "alpha", "beta"})
    if unknown:
        raise SpecError(f"activation {given['name']!r} has an unknown field {unknown[0]!r}; expected alpha or beta")
    return Activation(**given)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"{name} is {value!r}; expected an integer of at least {least}")


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SpecError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
