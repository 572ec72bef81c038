"""The arrays of LSTM cells in Keras's HDF5 files, in and out.

A file is untrusted: links out of it are refused, and no array may be larger than a bound.
"""

import io
import re
from typing import Any, cast

import h5py
import numpy as np
import numpy.typing as npt

from gatesmith.errors import WeightsError
from gatesmith.weights import Weights

Array = npt.NDArray[Any]

MAX_ARRAY_BYTES = 2**31
"""Bound on one array: a compressed file could claim any size."""

PARTS = {"0": "kernel", "1": "recurrent_kernel", "2": "bias"}


def read_cells(file: h5py.File) -> dict[str, dict[str, Array]]:
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


def write_cells(weights: Weights) -> bytes:
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
