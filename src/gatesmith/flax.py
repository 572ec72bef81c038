"""Flax: parameters of ``OptimizedLSTMCell`` and ``LSTMCell`` as trees of arrays, without Flax or JAX.

A cell is ``{"ii": {"kernel"}, …, "hi": {"kernel", "bias"}, …}`` with one entry per gate, kernels transposed, [D, H].
"""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import UnsupportedError, WeightsError
from gatesmith.ops.operator import LSTM
from gatesmith.spec import GATES, LSTMSpec
from gatesmith.weights import Weights

Array = npt.NDArray[Any]
Tree = Mapping[str, Any]

CELL_KEYS = {f"{kind}{gate}" for kind in "ih" for gate in GATES}
MAX_DEPTH = 32


def from_flax(params: Tree) -> LSTM:
    """The LSTM in a tree of parameters: one cell, or several as the layers of a stack, in the order of the tree.

    Cells under a name that starts with ``backward`` (as in ``flax.linen.Bidirectional``) are the reverse direction.

    Raises:
        WeightsError: there is no cell, or its arrays contradict each other.
        UnsupportedError: the cells are not the layers of one stack.
    """
    cells = list(_cells(params, ()))
    backward = [_is_backward(path) for path, _ in cells]
    directions = 2 if any(backward) and not all(backward) else 1
    if not cells:
        raise WeightsError(f"the tree holds no LSTM cell; expected one with the entries {', '.join(sorted(CELL_KEYS))}")
    if directions == 2 and (len(cells) % 2 or sum(backward) * 2 != len(cells)):
        raise UnsupportedError(f"{len(cells)} cells have {sum(backward)} backward ones among them; expected pairs")
    ordered = [cells[at] for at in sorted(range(len(cells)), key=lambda at: (at // directions, backward[at]))]
    arrays = [_arrays(cell, "/".join(path)) for path, cell in ordered]
    spec = LSTMSpec(
        arrays[0]["weight_ih"].shape[1],
        arrays[0]["weight_hh"].shape[1],
        len(cells) // directions,
        "bidirectional" if directions == 2 else "reverse" if all(backward) else "forward",
    )
    named: dict[str, Array] = {}
    for (_, _, suffix), parts in zip(spec.cells(), arrays, strict=True):
        named |= {f"{name}_{suffix}": array for name, array in parts.items()}
    return LSTM(Weights(spec, named), batch_first=True)


def to_flax(lstm: LSTM) -> dict[str, Any]:
    """A tree of one entry per layer, ``layer_0`` …, each a cell, or ``forward_rnn`` and ``backward_rnn`` of cells.

    Raises:
        UnsupportedError: Flax's cell lacks a feature of the specification; the message names it.
    """
    spec = lstm.spec
    plain = LSTMSpec(spec.input_size, spec.hidden_size, spec.num_layers, spec.direction, dropout=spec.dropout)
    for name in LSTMSpec.__dataclass_fields__:
        if name not in ("bias", "recurrent_dropout") and getattr(plain, name) != getattr(spec, name):
            raise UnsupportedError(
                f"Flax's LSTM cell can't express {name}={getattr(spec, name)!r}; save as .safetensors"
            )
    tree: dict[str, Any] = {}
    for layer, direction, suffix in spec.cells():
        cell: dict[str, dict[str, Array]] = {}
        bias = lstm.weights.get(f"bias_{suffix}", np.zeros(4 * spec.hidden_size, lstm.weights.dtype))
        for at, gate in enumerate(GATES):
            rows = slice(at * spec.hidden_size, (at + 1) * spec.hidden_size)
            cell[f"i{gate}"] = {"kernel": np.ascontiguousarray(lstm.weights[f"weight_ih_{suffix}"][rows].T)}
            kernel = np.ascontiguousarray(lstm.weights[f"weight_hh_{suffix}"][rows].T)
            cell[f"h{gate}"] = {"kernel": kernel, "bias": bias[rows].copy()}
        layer_tree = tree.setdefault(f"layer_{layer}", {})
        if spec.direction == "forward":
            layer_tree["cell"] = cell
        else:
            layer_tree["forward_rnn" if direction == "forward" else "backward_rnn"] = {"cell": cell}
    return tree


def load_flax(path: str | Path) -> LSTM:
    """:func:`from_flax` of a ``.npz`` file whose names are paths in the tree, joined by ``/``; nothing is unpickled.

    Raises:
        WeightsError: the file is missing or broken, or holds no LSTM.
    """
    tree: dict[str, Any] = {}
    try:
        with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            for name in file.files:
                *groups, leaf = name.split("/")
                if len(groups) > MAX_DEPTH:
                    raise WeightsError(f"{path} nests {len(groups)} deep; expected at most {MAX_DEPTH}")
                branch = tree
                for group in groups:
                    branch = branch.setdefault(group, {})
                branch[leaf] = file[name]
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, LookupError, AttributeError, TypeError, zipfile.BadZipFile, MemoryError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} is not a whole .npz file of plain arrays ({error}); save it again") from None
    return from_flax(tree)


def flattened(tree: Tree) -> dict[str, Array]:
    """Leaves by their path, joined by ``/``: what :func:`load_flax` reads from a file."""
    return {
        "/".join((name, *([rest] if rest else []))): leaf
        for name, value in tree.items()
        for rest, leaf in (flattened(cast("Tree", value)).items() if isinstance(value, Mapping) else [("", value)])
    }


def _cells(tree: Tree, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tree]]:
    if len(path) > MAX_DEPTH:
        raise WeightsError(f"the tree nests more than {MAX_DEPTH} deep; expected parameters of a model")
    if set(tree) >= CELL_KEYS:
        yield path, tree
        return
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _cells(cast("Tree", value), (*path, str(name)))


def _is_backward(path: tuple[str, ...]) -> bool:
    return any(name.startswith("backward") for name in path)


def _arrays(cell: Tree, place: str) -> dict[str, Array]:
    """weight_ih, weight_hh and bias of a cell in gatesmith's layout."""
    kernels = {kind: [_leaf(cell, f"{kind}{gate}", "kernel", 2, place) for gate in GATES] for kind in "ih"}
    biases = [_leaf(cell, f"h{gate}", "bias", 1, place) for gate in GATES]
    for parts in (*kernels.values(), biases):
        if len({part.shape for part in parts}) > 1:
            raise WeightsError(
                f"the gates of cell {place!r} have shapes {[part.shape for part in parts]}; expected one"
            )
    return {
        "weight_ih": np.concatenate([kernel.T for kernel in kernels["i"]]),
        "weight_hh": np.concatenate([kernel.T for kernel in kernels["h"]]),
        "bias": np.concatenate(biases),
    }


def _leaf(cell: Tree, gate: str, name: str, rank: int, place: str) -> Array:
    entry = cell[gate]
    value = cast("Tree", entry).get(name) if isinstance(entry, Mapping) else None
    array = None if value is None else np.asarray(value)
    if array is None or array.ndim != rank or array.dtype.kind != "f":
        raise WeightsError(f"{gate}/{name} of cell {place!r} is not a floating array of {rank} axes; expected one")
    return array if array.dtype == np.float64 else array.astype(np.float32)
