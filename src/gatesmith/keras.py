"""Keras 3: LSTMs in and out of ``.keras``, ``.weights.h5`` and legacy ``.h5`` files, without Keras or TensorFlow.

Keras stacks gates as (i, f, c, o), which is gatesmith's order, and stores kernels transposed, [D, 4H]. A file is
untrusted: it is parsed, links out of it are refused, and no array may be larger than it says or than a bound.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, MissingToolError, UnsupportedError, WeightsError
from gatesmith.files import write_atomically
from gatesmith.ops.operator import LSTM
from gatesmith.spec import SIGMOID, TANH, Activation, Direction, LSTMSpec
from gatesmith.weights import Weights

if find_spec("h5py") is None:
    raise MissingToolError("gatesmith.keras needs h5py, which is not installed; pip install 'gatesmith[keras]'")

import h5py

Array = npt.NDArray[Any]

MAX_ARRAY_BYTES = 2**31
"""Bound on one array: a compressed file could claim any size."""

WEIGHTS_FILE = "model.weights.h5"
PARTS = {"0": "kernel", "1": "recurrent_kernel", "2": "bias"}
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


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a model's configuration says about one LSTM layer; the defaults where a file holds weights alone."""

    name: str = ""
    direction: Direction = "forward"
    gate: Activation = SIGMOID
    candidate: Activation = TANH


def from_keras(path: str | Path) -> LSTM:
    """The LSTM layers of a Keras file, as one operator with ``batch_first``; other layers are left out.

    Layers may be ``LSTM`` or ``Bidirectional(LSTM)`` with ``merge_mode="concat"``, all of one kind and size. A
    ``go_backwards`` layer becomes the reverse direction, whose outputs stand in order of time; Keras returns them
    reversed. A file of weights alone is taken to have Keras's default activations.

    Raises:
        WeightsError: the file is missing, broken, or its arrays contradict each other.
        UnsupportedError: the layers are not one LSTM that a spec can say; the message names why.
    """
    path = Path(path)
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                config: object = json.loads(_member(archive, "config.json"))
                content = io.BytesIO(_member(archive, WEIGHTS_FILE))
            with h5py.File(content, "r") as file:
                return _one_lstm(_cells(file), _layers(config))
        with h5py.File(path, "r") as file:
            text = cast("object", file.attrs.get("model_config"))
            config = json.loads(text) if isinstance(text, str | bytes) else None
            return _one_lstm(_cells(file), _layers(config) if config is not None else None)
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror or error}; expected a Keras file") from None
    except (ValueError, KeyError, RuntimeError, RecursionError, zipfile.BadZipFile, TypeError, EOFError) as error:
        if isinstance(error, WeightsError | UnsupportedError):
            raise
        raise WeightsError(f"{path} is not a whole Keras file ({error}); save it again") from None


def save_keras(lstm: LSTM, path: str | Path) -> None:
    """Write a ``.keras`` model (a Sequential of LSTM layers) or, for ``.h5``, a ``.weights.h5`` file of weights alone.

    Raises:
        UnsupportedError: Keras can't express a feature of the specification; the message names it.
    """
    path = Path(path)
    feature = inexpressible(lstm.spec)
    if feature is None and path.suffix != ".keras" and lstm.spec.activations != LSTMSpec(1, 1).activations:
        feature = "activations other than the defaults in a file of weights alone"
    if feature:
        raise UnsupportedError(f"Keras can't express {feature}; save as .safetensors, or change the specification")
    weights = _weights_file(lstm.weights)
    if path.suffix != ".keras":
        write_atomically(path, weights)
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(_config(lstm.spec)))
        archive.writestr(WEIGHTS_FILE, weights)
    write_atomically(path, buffer.getvalue())


def inexpressible(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that Keras's LSTM layer lacks; dropout of either kind is off in evaluation."""
    features = {
        "peepholes": bool(spec.peepholes or spec.full_peepholes),
        "coupled gates": spec.coupled_gates != "none",
        "a clip": spec.gate_clip is not None or spec.cell_clip is not None,
        "a projection (proj_size)": bool(spec.proj_size),
        "layer_norm": spec.layer_norm != "none",
        "zoneout": bool(spec.zoneout_h or spec.zoneout_c),
        "drop_states": spec.drop_states,
        "residual connections": spec.residual and spec.num_layers > 1,
        "a stack in reverse direction": spec.direction == "reverse" and spec.num_layers > 1,
        "forget_bias at run time": spec.forget_bias != 0,
        "reverse_activations": spec.reverse_activations is not None,
        "an output activation that is not the candidate's": spec.activations[1] != spec.activations[2],
    }
    found = next((name for name, used in features.items() if used), None)
    if found is None:
        unknown = [a for a in spec.activations if a not in ACTIVATIONS.values()]
        found = f"activation {unknown[0]}" if unknown else None
    return found


def lengths_from_mask(mask: npt.ArrayLike) -> Array:
    """Lengths [N] from a Keras mask [N, T], True where a step counts.

    Raises:
        InputError: a masked step stands before one that counts; only padding at the end has a length.
    """
    array: Array = np.asarray(mask)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise InputError(f"the mask has shape {array.shape} and dtype {array.dtype}; expected booleans (N, T)")
    lengths: Array = array.sum(1)
    padded = np.arange(int(array.shape[1])) < lengths[:, None]
    if not np.array_equal(array, padded):
        row = int(np.flatnonzero((array != padded).any(1))[0])
        raise InputError(f"row {row} of the mask has a gap; expected True for the first steps and False after them")
    return lengths.astype(np.int64)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_ARRAY_BYTES:
        raise WeightsError(f"{name} claims {info.file_size} bytes; expected at most {MAX_ARRAY_BYTES}")
    return archive.read(info)


def _cells(file: h5py.File) -> dict[str, dict[str, Array]]:
    """kernel, recurrent_kernel and bias of every LSTM cell, by the path of its layer, in the order of the layers."""
    found: dict[str, dict[str, Array]] = {}

    def visit(group: h5py.Group, path: tuple[str, ...]) -> None:
        if len(path) > 32:
            raise WeightsError("the file nests groups more than 32 deep; expected a Keras file")
        for name in sorted(group, key=_natural):
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(f"{'/'.join((*path, name))} is a link; expected arrays inside the file")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, (*path, name))
            elif isinstance(item, h5py.Dataset) and "cell" in "/".join(path[-2:]):
                layer = path[:-2] if path[-1] == "vars" else path[:-1]
                part = PARTS.get(name, name) if path[-1] == "vars" else name.partition(":")[0]
                found.setdefault("/".join(layer), {})[part] = _read(item, "/".join((*path, name)))

    visit(file, ())
    order = cast("object", file["model_weights"].attrs.get("layer_names") if "model_weights" in file else None)
    if not isinstance(order, np.ndarray):
        return found
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in cast("list[object]", order.tolist())]
    return dict(sorted(found.items(), key=lambda entry: names.index(entry[0].split("/")[1])))


def _read(dataset: h5py.Dataset, name: str) -> Array:
    if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
        raise WeightsError(f"{name} is no plain array of floats in the file itself; expected one")
    if dataset.nbytes > MAX_ARRAY_BYTES:
        raise WeightsError(f"{name} claims {dataset.nbytes} bytes; expected at most {MAX_ARRAY_BYTES}")
    array = cast("Array", dataset[()])
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _natural(name: str) -> tuple[str, int]:
    """lstm, lstm_1, …, lstm_10 in the order in which Keras counts them."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _layers(config: object) -> list[Layer]:
    """The LSTM layers of a model's configuration, at any depth, in order."""
    if not isinstance(config, Mapping):
        return []
    values = cast("Mapping[str, Any]", config)
    kind, inner = values.get("class_name"), values.get("config")
    if not isinstance(inner, Mapping):
        return []
    inner = cast("Mapping[str, Any]", inner)
    if kind == "LSTM":
        return [_layer(inner, "reverse" if inner.get("go_backwards") else "forward")]
    if kind == "Bidirectional":
        layer: Any = inner.get("layer")
        if not isinstance(layer, Mapping) or cast("Mapping[str, Any]", layer).get("class_name") != "LSTM":
            return []
        if inner.get("merge_mode") != "concat":
            raise UnsupportedError(
                f"layer {inner.get('name')!r} has merge_mode {inner.get('merge_mode')!r}; expected 'concat'"
            )
        return [_layer(cast("Mapping[str, Any]", layer)["config"], "bidirectional", str(inner.get("name")))]
    layers = inner.get("layers")
    return (
        [found for layer in cast("list[object]", layers) for found in _layers(layer)]
        if isinstance(layers, list)
        else []
    )


def _layer(config: Mapping[str, Any], direction: Direction, name: str | None = None) -> Layer:
    name = name or str(config.get("name"))
    functions: list[Activation] = []
    for field in ("recurrent_activation", "activation"):
        given = config.get(field)
        if not isinstance(given, str) or given not in ACTIVATIONS:
            raise UnsupportedError(f"layer {name!r} has {field} {given!r}; expected one of {', '.join(ACTIVATIONS)}")
        functions.append(ACTIVATIONS[given])
    return Layer(name=name, direction=direction, gate=functions[0], candidate=functions[1])


def _one_lstm(cells: Mapping[str, Mapping[str, Array]], layers: list[Layer] | None) -> LSTM:
    """All cells as the layers and directions of one operator."""
    backward = [path for path in cells if _is_backward(path)]
    per_layer = 2 if backward else 1
    if not cells or len(cells) % per_layer or len(backward) not in (0, len(cells) // 2):
        raise UnsupportedError(
            f"the file holds the LSTM cells {', '.join(cells) or 'none'}; expected one LSTM or a stack"
        )
    count = len(cells) // per_layer
    if layers is None:
        layers = [Layer(direction="bidirectional") if backward else Layer()] * count
    if len(layers) != count:
        raise UnsupportedError(f"the model has {len(layers)} LSTM layers and weights for {count}; expected as many")
    kinds = {(layer.direction, layer.gate, layer.candidate) for layer in layers}
    if len(kinds) > 1:
        raise UnsupportedError("the LSTM layers differ in direction or activations; expected one kind in a stack")
    direction, gate, candidate = layers[0].direction, layers[0].gate, layers[0].candidate
    if direction == "reverse" and count > 1:
        raise UnsupportedError(
            "a stack of go_backwards layers turns time round in every layer; expected one such layer"
        )
    first = next(iter(cells.values()))
    if {"kernel", "recurrent_kernel"} - set(first) or any(
        part.ndim != 2 for part in (first["kernel"], first["recurrent_kernel"])
    ):
        raise WeightsError(f"cell {next(iter(cells))!r} holds {', '.join(first)}; expected kernel and recurrent_kernel")
    spec = LSTMSpec(
        first["kernel"].shape[0],
        first["recurrent_kernel"].shape[0],
        count,
        direction,
        "bias" in first,
        activations=(gate, candidate, candidate),
    )
    # Keras names backward before forward; here the forward direction comes first.
    ordered = sorted(
        cells.items(), key=lambda entry: list(cells).index(entry[0]) // per_layer * 2 + _is_backward(entry[0])
    )
    arrays: dict[str, Array] = {}
    for (_, _, suffix), (_, parts) in zip(spec.cells(), ordered, strict=True):
        names = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias"}
        for part, array in parts.items():
            arrays[f"{names.get(part, part)}_{suffix}"] = np.ascontiguousarray(array.T)
    return LSTM(Weights(spec, arrays), batch_first=True)


def _is_backward(path: str) -> bool:
    return path.rpartition("/")[2].startswith("backward")


def _weights_file(weights: Weights) -> bytes:
    """The layout of ``.weights.h5``."""
    spec, buffer = weights.spec, io.BytesIO()
    kind = "bidirectional" if spec.direction == "bidirectional" else "lstm"
    with h5py.File(buffer, "w") as file:
        file.create_group("vars")
        for layer, direction, suffix in spec.cells():
            place = f"layers/{kind}" + (f"_{layer}" if layer else "")
            file.require_group(f"{place}/vars")
            if kind == "bidirectional":
                place += "/backward_layer" if direction == "reverse" else "/forward_layer"
                file.require_group(f"{place}/vars")
            for number, name in enumerate(("weight_ih", "weight_hh", "bias")):
                if name != "bias" or spec.bias:
                    file.create_dataset(f"{place}/cell/vars/{number}", data=weights[f"{name}_{suffix}"].T)
    return buffer.getvalue()


def _config(spec: LSTMSpec) -> dict[str, Any]:
    """A Sequential model in Keras's configuration format."""
    by_function = {function: name for name, function in ACTIVATIONS.items()}
    shape: list[int | None] = [None, None, spec.input_size]
    layers: list[dict[str, Any]] = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": shape, "name": "x"}}
    ]
    for layer in range(spec.num_layers):
        inner: dict[str, Any] = {
            "module": "keras.layers",
            "class_name": "LSTM",
            "config": {
                "name": f"lstm_{layer}",
                "units": spec.hidden_size,
                "recurrent_activation": by_function[spec.activations[0]],
                "activation": by_function[spec.activations[1]],
                "use_bias": spec.bias,
                "return_sequences": True,
                "go_backwards": spec.direction == "reverse",
            },
        }
        if spec.direction == "bidirectional":
            both = {"name": f"bidirectional_{layer}", "merge_mode": "concat", "layer": inner}
            inner = {"module": "keras.layers", "class_name": "Bidirectional", "config": both}
        layers.append(inner)
    config = {"name": "gatesmith", "layers": layers, "build_input_shape": shape}
    return {"module": "keras", "class_name": "Sequential", "config": config, "build_config": {"input_shape": shape}}
