"""LSTM operators of a TFLite graph as one LSTM.

Source: TensorFlow ``lite/kernels``: ``lstm_eval.cc``, ``unidirectional_sequence_lstm.cc``,
``bidirectional_sequence_lstm.cc``.
Each gate has arrays of its own; a missing input gate means i = 1 - f; gates are always sigmoids.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatesmith.errors import UnsupportedError, WeightsError
from gatesmith.ops.operator import LSTM
from gatesmith.spec import SIGMOID, TANH, Activation, Direction, LSTMSpec
from gatesmith.tflite.graph import Graph, Operator, schema
from gatesmith.weights import Weights

Array = npt.NDArray[Any]

ROLES = (
    *(f"weight_ih_{gate}" for gate in "ifgo"),
    *(f"weight_hh_{gate}" for gate in "ifgo"),
    *(f"peephole_{gate}" for gate in "ifo"),
    *(f"bias_{gate}" for gate in "ifgo"),
    "weight_hr",
    "bias_hr",
)
"""Inputs of a direction, in order: from 1, and of a bidirectional operator's second direction from 18."""
# TFLite's kernels leave h = o * g where the activation is NONE (they never copy c), which no specification says.
ACTIVATIONS = {
    schema.ActivationFunctionType.RELU: Activation(name="relu"),
    schema.ActivationFunctionType.TANH: TANH,
}
LSTM_KINDS = ("lstm", "unidirectional", "bidirectional")
STATES = {"lstm": (18, 19), "unidirectional": (18, 19), "bidirectional": (35, 36, 37, 38)}
AUXILIARY = range(39, 48)
LAYER_NORM = range(20, 24)
MAX_CELLS = 128


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the layers of one stack share."""

    hidden_size: int
    coupled: bool
    peepholes: str
    proj_size: int
    proj_bias: bool
    activation: Activation
    cell_clip: float | None
    proj_clip: float | None
    batch_first: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One direction of one LSTM operator, its arrays in gatesmith's layout without suffix."""

    kind: Kind
    arrays: dict[str, Array]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """The cells of one layer, and the tensors that it reads and writes."""

    direction: Direction
    cells: tuple[Cell, ...]
    source: int
    result: int | None
    label: str


def from_tflite(path: str | Path) -> LSTM:
    """The LSTM in a ``.tflite`` file: one LSTM operator, or a stack of them; float32, or float16 that is widened.

    A bidirectional layer is one operator, or two of which one reads and writes through REVERSE_V2, as Keras's are
    converted. What stands before and behind the stack is left out.

    Raises:
        WeightsError: the file is missing or broken, or its weights are not constants.
        UnsupportedError: there is no LSTM, or a spec can't say what the operators do; the message names why.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror or error}") from None
    graph = Graph(content, str(path))
    layers = _layers(graph)
    if not layers:
        raise UnsupportedError(f"{path} holds no LSTM operator; expected one, or a stack of them")
    for below, above in itertools.pairwise(layers):
        if below.result is None or above.source != below.result:
            raise UnsupportedError(f"{above.label} reads more than {below.label}; expected a plain stack of LSTMs")
    directions = {layer.direction for layer in layers}
    kinds = list(dict.fromkeys(cell.kind for layer in layers for cell in layer.cells))
    if len(directions) > 1 or len(kinds) > 1:
        raise UnsupportedError(
            f"the LSTM operators differ in kind ({kinds[0]}, {kinds[-1]}, {', '.join(sorted(directions))}); "
            "expected the same in every layer"
        )
    return LSTM(_weights(layers, kinds[0]), batch_first=kinds[0].batch_first)


def _weights(layers: list[Layer], kind: Kind) -> Weights:
    spec = LSTMSpec(
        int(layers[0].cells[0].arrays["weight_ih"].shape[1]),
        kind.hidden_size,
        len(layers),
        layers[0].direction,
        peepholes=kind.peepholes,
        coupled_gates="i=1-f" if kind.coupled else "none",
        cell_clip=kind.cell_clip,
        proj_clip=kind.proj_clip if kind.proj_size else None,
        proj_size=kind.proj_size,
        proj_bias=kind.proj_bias,
        activations=(SIGMOID, kind.activation, kind.activation),
    )
    cells = [cell for layer in layers for cell in layer.cells]
    arrays: dict[str, Array] = {}
    for (_, _, suffix), cell in zip(spec.cells(), cells, strict=True):
        arrays |= {f"{name}_{suffix}": array for name, array in cell.arrays.items()}
    return Weights(spec, arrays)


def _layers(graph: Graph) -> list[Layer]:
    """LSTM operators as layers, pairs of opposite directions joined."""
    operators = [operator for operator in graph.operators if operator.kind in LSTM_KINDS]
    if len(operators) > MAX_CELLS:
        raise UnsupportedError(f"{graph.name} holds {len(operators)} LSTM operators; expected at most {MAX_CELLS}")
    layers = [_layer(graph, operator) for operator in operators]
    joined: list[Layer] = []
    for layer in layers:
        last = joined[-1] if joined else None
        if last and last.source == layer.source and {last.direction, layer.direction} == {"forward", "reverse"}:
            joined[-1] = _pair(graph, *sorted((last, layer), key=lambda one: one.direction))
        else:
            joined.append(layer)
    return joined


def _layer(graph: Graph, operator: Operator) -> Layer:
    """One operator, with the REVERSE_V2 before and behind it where it runs from the last step to the first."""
    _check(graph, operator)
    source, result = operator.input(0), next(iter(operator.outputs), -1)
    if operator.kind == "bidirectional":
        cells = (_cell(graph, operator, 1), _cell(graph, operator, 18))
        merged = operator.options.MergeOutputs()
        return Layer(
            direction="bidirectional",
            cells=cells,
            source=source,
            result=result if merged else None,
            label=operator.label,
        )
    basic = operator.kind == "lstm" and operator.options.KernelType() == schema.LSTMKernelType.BASIC
    cell = _basic_cell(graph, operator) if basic else _cell(graph, operator, 1)
    time_axis = 1 if cell.kind.batch_first else 0
    turned = graph.makers.get(source)
    if turned is None or not _reverses(graph, turned, time_axis):
        return Layer(direction="forward", cells=(cell,), source=source, result=result, label=operator.label)
    back = next((one for one in graph.operators if one.input(0) == result and _reverses(graph, one, time_axis)), None)
    return Layer(
        direction="reverse",
        cells=(cell,),
        source=turned.input(0),
        result=back.outputs[0] if back else None,
        label=operator.label,
    )


def _pair(graph: Graph, forward: Layer, reverse: Layer) -> Layer:
    """Two operators of opposite directions that read the same; their outputs must meet, the forward one first."""
    both = (forward.result, reverse.result)
    meeting = next((one for one in graph.operators if one.kind == "concatenate" and one.inputs == both), None)
    return Layer(
        direction="bidirectional",
        cells=(*forward.cells, *reverse.cells),
        source=forward.source,
        result=meeting.outputs[0] if meeting else None,
        label=forward.label,
    )


def _reverses(graph: Graph, operator: Operator, axis: int) -> bool:
    if operator.kind != "reverse" or not operator.outputs:
        return False
    axes = graph.constant(operator.input(1))
    return axes is not None and axes.tolist() == [axis]


def _check(graph: Graph, operator: Operator) -> None:
    """Refuse what no spec says."""
    given = [at for at, tensor in enumerate(operator.inputs) if tensor >= 0]
    if operator.kind != "bidirectional" and set(given) & set(LAYER_NORM):
        raise UnsupportedError(
            f"{operator.label} normalises its gates and not its cell state (layer norm), which no specification says; "
            "expected an LSTM without layer normalisation"
        )
    if operator.kind == "bidirectional" and set(given) & set(AUXILIARY):
        raise UnsupportedError(f"{operator.label} has an auxiliary input; expected merged outputs between layers")
    for at in STATES[operator.kind]:
        state = operator.input(at)
        if state >= 0 and not graph.is_variable(state):
            values = graph.constant(state)
            if values is not None and values.any():
                raise UnsupportedError(f"{operator.label} starts from a state that is not zero; expected a zero one")


def _cell(graph: Graph, operator: Operator, first: int) -> Cell:
    """The direction whose arrays start at input ``first``."""
    parts: dict[str, Array] = {}
    for at, role in enumerate(ROLES, first):
        tensor = operator.input(at)
        if tensor < 0:
            continue
        values = graph.constant(tensor)
        if values is None:
            raise WeightsError(f"{role} of {operator.label} is computed by the model; expected a constant")
        parts[role] = np.diag(values) if role.startswith("weight_hh") and values.ndim == 1 else values
    coupled = "weight_ih_i" not in parts
    gates = "fgo" if coupled else "ifgo"
    for role in (f"{name}_{gate}" for name in ("weight_ih", "weight_hh", "bias") for gate in gates):
        if role not in parts or parts[role].ndim != (1 if role.startswith("bias") else 2):
            raise WeightsError(f"{role} of {operator.label} is {_described(parts.get(role))}; expected a whole cell")
    peepholes = "".join(gate for gate in gates if f"peephole_{gate}" in parts)
    arrays = {name: _stacked(parts, name, gates, operator) for name in ("weight_ih", "weight_hh", "bias")}
    arrays |= {f"peephole_{gate}": parts[f"peephole_{gate}"] for gate in peepholes}
    arrays |= {name: parts[name] for name in ("weight_hr", "bias_hr") if name in parts}
    kind = _kind(
        operator,
        hidden_size=int(parts["weight_ih_f"].shape[0]),
        coupled=coupled,
        peepholes=peepholes,
        proj_size=int(parts["weight_hr"].shape[0]) if "weight_hr" in parts else 0,
        proj_bias="bias_hr" in parts,
    )
    return Cell(kind=kind, arrays=arrays)


def _basic_cell(graph: Graph, operator: Operator) -> Cell:
    """The old kernel: one matrix [4H, D + H] over (x, h), gates in the order (i, g, f, o)."""
    both, bias = (graph.constant(operator.input(at)) if operator.input(at) >= 0 else None for at in (2, 3))
    if both is None or bias is None or both.ndim != 2 or bias.shape != both.shape[:1] or len(bias) % 4:
        raise WeightsError(
            f"{operator.label} has weights {_described(both)} and bias {_described(bias)}; expected (4 * H, D + H)"
        )
    hidden = len(bias) // 4
    order = np.concatenate([np.arange(hidden) + at * hidden for at in (0, 2, 1, 3)])
    both, bias = both[order], bias[order]
    if both.shape[1] <= hidden:
        raise WeightsError(f"{operator.label} has weights {both.shape}; expected (4 * H, D + H) with H = {hidden}")
    split = both.shape[1] - hidden
    arrays = {
        "weight_ih": np.ascontiguousarray(both[:, :split]),
        "weight_hh": np.ascontiguousarray(both[:, split:]),
        "bias": bias,
    }
    # This kernel takes tanh and no clip, whatever its options say.
    kind = Kind(
        hidden_size=hidden,
        coupled=False,
        peepholes="",
        proj_size=0,
        proj_bias=False,
        activation=TANH,
        cell_clip=None,
        proj_clip=None,
        batch_first=False,
    )
    return Cell(kind=kind, arrays=arrays)


def _kind(operator: Operator, **values: Any) -> Kind:
    options = operator.options
    function = options.FusedActivationFunction()
    if function not in ACTIVATIONS:
        raise UnsupportedError(f"{operator.label} has activation {function}; expected relu or tanh")
    clips = {name: float(getattr(options, method)()) for name, method in CLIPS.items()}
    if not all(np.isfinite(list(clips.values()))):
        raise WeightsError(f"{operator.label} has clips {clips}; expected finite numbers")
    time_major = operator.kind == "lstm" or options.TimeMajor()
    return Kind(
        activation=ACTIVATIONS[function],
        batch_first=not time_major,
        **{name: bound if bound > 0 else None for name, bound in clips.items()},
        **values,
    )


CLIPS = {"cell_clip": "CellClip", "proj_clip": "ProjClip"}


def _stacked(parts: dict[str, Array], name: str, gates: str, operator: Operator) -> Array:
    """[4H, ...] of all gates; zeros for the rows of a derived gate."""
    shapes = {parts[f"{name}_{gate}"].shape for gate in gates}
    if len(shapes) > 1:
        raise WeightsError(f"the gates' {name} of {operator.label} have shapes {sorted(shapes)}; expected one")
    absent = np.zeros(next(iter(shapes)), np.float32)
    return np.concatenate([parts.get(f"{name}_{gate}", absent) if gate in gates else absent for gate in "ifgo"])


def _described(array: Array | None) -> str:
    return "missing" if array is None else f"of shape {array.shape}"
