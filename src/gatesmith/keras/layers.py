"""What a Keras model's configuration says about its LSTM layers, in and out."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from gatesmith.errors import UnsupportedError
from gatesmith.spec import SIGMOID, TANH, Activation, Direction, LSTMSpec

Config = Mapping[str, Any]

ACTIVATIONS = {
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": Activation(name="relu"),
    "linear": Activation(name="affine"),
    "softsign": Activation(name="softsign"),
    "softplus": Activation(name="softplus"),
    "elu": Activation(name="elu"),
    "leaky_relu": Activation(name="leaky_relu", alpha=0.2),
    "hard_sigmoid": Activation(name="hard_sigmoid", alpha=1 / 6, beta=0.5),
}
"""Keras 3's functions that ONNX's eleven can say, with Keras 3's parameters."""

PASSING = {
    "ActivityRegularization",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Masking",
    "SpatialDropout1D",
}
"""Layers that hand on what they read in evaluation, and so may stand between two LSTMs of a stack."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a model's configuration says about one LSTM layer; the defaults where a file holds weights alone.

    Attributes:
        backward: gate and candidate of a backward layer that was given apart, or None.
    """

    name: str = ""
    direction: Direction = "forward"
    gate: Activation = SIGMOID
    candidate: Activation = TANH
    backward: tuple[Activation, Activation] | None = None


def read_layers(config: object) -> list[Layer]:
    """The LSTM layers of a model's configuration, at any depth, in order.

    Raises:
        UnsupportedError: a layer is none that a spec can say, or something stands between two of them.
    """
    found = list(_lstms(config))
    for model in _models(config):
        _check_plain_stack(model)
    return found


def write_config(spec: LSTMSpec) -> dict[str, Any]:
    """A Sequential model in Keras's configuration format."""
    shape: list[int | None] = [None, None, spec.input_size]
    layers: list[dict[str, Any]] = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": shape, "name": "x"}}
    ]
    for layer in range(spec.num_layers):
        cells = {direction: _lstm_config(spec, layer, direction) for direction in spec.directions}
        if spec.direction != "bidirectional":
            layers.append(next(iter(cells.values())))
            continue
        both = {"name": f"bidirectional_{layer}", "merge_mode": "concat", "layer": cells["forward"]}
        if spec.reverse_activations is not None:
            both["backward_layer"] = cells["reverse"]
        layers.append({"module": "keras.layers", "class_name": "Bidirectional", "config": both})
    config = {"name": "gatesmith", "layers": layers, "build_input_shape": shape}
    return {"module": "keras", "class_name": "Sequential", "config": config, "build_config": {"input_shape": shape}}


def _lstm_config(spec: LSTMSpec, layer: int, direction: str) -> dict[str, Any]:
    by_function = {function: name for name, function in ACTIVATIONS.items()}
    gate, candidate, _ = spec.activations_of(direction)
    backward = direction == "reverse"
    return {
        "module": "keras.layers",
        "class_name": "LSTM",
        "config": {
            "name": f"lstm_{layer}" + ("_backward" if backward and spec.num_directions == 2 else ""),
            "units": spec.hidden_size,
            "recurrent_activation": by_function[gate],
            "activation": by_function[candidate],
            "use_bias": spec.bias,
            "return_sequences": True,
            "go_backwards": backward,
        },
    }


def _lstms(config: object) -> Iterator[Layer]:
    kind, inner = _kind(config)
    if kind == "LSTM":
        yield _layer(inner, "reverse" if inner.get("go_backwards") else "forward", str(inner.get("name")))
    elif kind == "Bidirectional" and _kind(inner.get("layer"))[0] == "LSTM":
        yield _both(inner)
    else:
        for layer in _sublayers(inner):
            yield from _lstms(layer)


def _both(config: Config) -> Layer:
    """A Bidirectional layer, whose backward layer may have been given apart."""
    name = str(config.get("name"))
    if config.get("merge_mode") != "concat":
        raise UnsupportedError(f"layer {name!r} has merge_mode {config.get('merge_mode')!r}; expected 'concat'")
    inner = _kind(config.get("layer"))[1]
    if inner.get("go_backwards"):
        raise UnsupportedError(f"layer {name!r} has a forward layer that goes backwards; expected the other way round")
    layer = _layer(inner, "bidirectional", name)
    if config.get("backward_layer") is None:
        return layer
    kind, given = _kind(config.get("backward_layer"))
    if kind != "LSTM":
        raise UnsupportedError(f"layer {name!r} has a {kind} as its backward layer; expected an LSTM")
    other = _layer(given, "reverse", f"{name}'s backward layer")
    backward = (other.gate, other.candidate)
    return layer if backward == (layer.gate, layer.candidate) else replace(layer, backward=backward)


def _layer(config: Config, direction: Direction, name: str) -> Layer:
    functions: list[Activation] = []
    for field in ("recurrent_activation", "activation"):
        given = config.get(field)
        if not isinstance(given, str) or given not in ACTIVATIONS:
            raise UnsupportedError(f"layer {name!r} has {field} {given!r}; expected one of {', '.join(ACTIVATIONS)}")
        functions.append(ACTIVATIONS[given])
    return Layer(name=name, direction=direction, gate=functions[0], candidate=functions[1])


def _models(config: object) -> Iterator[Config]:
    """Every model in a configuration, the outermost first."""
    _, inner = _kind(config)
    layers = _sublayers(inner)
    if layers:
        yield inner
    for layer in layers:
        yield from _models(layer)


def _check_plain_stack(model: Config) -> None:
    """Refuse a model whose LSTMs don't read each other: a stack of them would compute something else."""
    layers = [(_name(layer), *_kind(layer), layer) for layer in _sublayers(model)]
    names = [name for name, *_ in layers]
    passing = {name for name, kind, *_ in layers if kind in PASSING}
    reads: dict[str, set[str]] = {}
    for at, (name, _, _, layer) in enumerate(layers):
        nodes = _mapping(layer).get("inbound_nodes")
        reads[name] = set(_strings(nodes)) & set(names) if nodes else set(names[at - 1 : at])
    lstms = [name for name, _, _, layer in layers if any(True for _ in _lstms(layer))]
    for below, above in itertools.pairwise(lstms):
        source = reads[above]
        for _ in names:
            source = {read for name in source for read in (reads[name] if name in passing else {name})}
        if source != {below}:
            between = ", ".join(sorted(source)) or "the input"
            raise UnsupportedError(f"layer {above!r} reads {between}, not {below!r}; expected a plain stack of LSTMs")


def _strings(value: object) -> Iterator[str]:
    """Every string in a piece of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in cast("Config", value).values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from _strings(part)


def _kind(layer: object) -> tuple[str, Config]:
    """Class name and configuration of a layer or a model; empty where it is neither."""
    values = _mapping(layer)
    return str(values.get("class_name")), _mapping(values.get("config"))


def _name(layer: object) -> str:
    return str(_mapping(layer).get("name") or _kind(layer)[1].get("name"))


def _mapping(value: object) -> Config:
    return cast("Config", value) if isinstance(value, Mapping) else {}


def _sublayers(config: Config) -> list[object]:
    layers = config.get("layers")
    return cast("list[object]", layers) if isinstance(layers, list) else []
