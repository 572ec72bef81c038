"""LSTMs in and out of Keras's files.

Keras stacks gates as (i, f, c, o), which is gatesmith's order, and stores kernels transposed, [D, 4H].
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, UnsupportedError, WeightsError
from gatesmith.files import write_atomically
from gatesmith.keras.arrays import MAX_ARRAY_BYTES, read_cells, write_cells
from gatesmith.keras.layers import ACTIVATIONS, Layer, read_layers, write_config
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights

Array = npt.NDArray[Any]

WEIGHTS_FILE = "model.weights.h5"


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
                return _one_lstm(read_cells(file), read_layers(config))
        with h5py.File(path, "r") as file:
            text = cast("object", file.attrs.get("model_config"))
            config = json.loads(text) if isinstance(text, str | bytes) else None
            return _one_lstm(read_cells(file), read_layers(config) if config is not None else None)
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
    weights = write_cells(lstm.weights)
    if path.suffix != ".keras":
        write_atomically(path, weights)
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(write_config(lstm.spec)))
        archive.writestr(WEIGHTS_FILE, weights)
    write_atomically(path, buffer.getvalue())


def inexpressible(spec: LSTMSpec) -> str | None:
    """The first feature of a spec that Keras's LSTM layer lacks; dropout of either kind is off in evaluation."""
    triples = [spec.activations_of(direction) for direction in spec.directions]
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
        "an output activation that is not the candidate's": any(triple[1] != triple[2] for triple in triples),
    }
    found = next((name for name, used in features.items() if used), None)
    if found is None:
        unknown = [a for triple in triples for a in triple if a not in ACTIVATIONS.values()]
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


def _one_lstm(cells: Mapping[str, Mapping[str, Array]], layers: list[Layer] | None) -> LSTM:
    """All cells as the layers and directions of one operator."""
    reverse = [path for path in cells if _is_backward(path)]
    per_layer = 2 if reverse else 1
    if not cells or len(cells) % per_layer or len(reverse) not in (0, len(cells) // 2):
        raise UnsupportedError(
            f"the file holds the LSTM cells {', '.join(cells) or 'none'}; expected one LSTM or a stack"
        )
    count = len(cells) // per_layer
    if layers is None:
        layers = [Layer(direction="bidirectional") if reverse else Layer()] * count
    if len(layers) != count:
        raise UnsupportedError(f"the model has {len(layers)} LSTM layers and weights for {count}; expected as many")
    kind = replace(layers[0], name="")
    if any(replace(layer, name="") != kind for layer in layers):
        raise UnsupportedError("the LSTM layers differ in direction or activations; expected one kind in a stack")
    direction, backward = kind.direction, kind.backward
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
        activations=(kind.gate, kind.candidate, kind.candidate),
        reverse_activations=(backward[0], backward[1], backward[1]) if backward else None,
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
