"""Arrays that satisfy a spec: create, validate, load and save them."""

import json
import math
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import SpecError, WeightsError
from gatesmith.files import write_atomically
from gatesmith.spec import LSTMSpec

Array = npt.NDArray[Any]

SPEC_KEY = "gatesmith_spec"
"""Key of the safetensors metadata under which the spec stands as JSON."""

MAX_HEADER_BYTES = 100_000_000
"""The safetensors format's own bound on its header."""


@dataclass(frozen=True, eq=False)
class Weights(Mapping[str, Array]):
    """The parameters of one spec: a read-only mapping from names to arrays, all float32 or all float64.

    Names and shapes are :meth:`LSTMSpec.parameter_shapes`. Arrays are never cast; a wrong one is refused. One that
    somebody could still write into is copied, and none can be written into here, since kernels keep what they packed:
    new values are new weights.

    Raises:
        WeightsError: a name is missing or unknown, a shape or dtype is wrong, or a value is not finite.
    """

    spec: LSTMSpec
    arrays: Mapping[str, Array]

    def __post_init__(self) -> None:
        shapes = self.spec.parameter_shapes()
        given = dict(self.arrays)
        missing = [name for name in shapes if name not in given]
        if missing:
            raise WeightsError(f"parameter {missing[0]!r} is missing; expected shape {shapes[missing[0]]}")
        unknown = [name for name in given if name not in shapes]
        if unknown:
            raise WeightsError(f"parameter {unknown[0]!r} is unknown; the specification has {', '.join(shapes)}")
        for name, shape in shapes.items():
            _check(name, given[name], shape)
        kinds = sorted({str(given[name].dtype) for name in shapes})
        if len(kinds) > 1:
            raise WeightsError(f"the parameters mix {' and '.join(kinds)}; expected one dtype, cast them first")
        object.__setattr__(self, "arrays", {name: _frozen(given[name]) for name in shapes})

    @classmethod
    def trust(cls, spec: LSTMSpec, arrays: Mapping[str, Array]) -> "Weights":
        """Wrap arrays that already satisfy ``spec``, in its order, without looking at them.

        For frameworks that check shapes when a module is made; a value that is not finite then propagates. They make
        new weights for each call, since these arrays can still be written into.
        """
        weights = object.__new__(cls)
        object.__setattr__(weights, "spec", spec)
        object.__setattr__(weights, "arrays", arrays)
        return weights

    # Two sets of weights are the same where they are one object, so that kernels can keep what they packed.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    # Copies and pickles are frozen anew: NumPy's own copies could be written into.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.spec, dict(self.arrays))

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return next(iter(self.arrays.values())).dtype

    def astype(self, dtype: npt.DTypeLike) -> "Weights":
        """The same parameters in another floating dtype; itself where nothing changes."""
        if np.dtype(dtype) == self.dtype:
            return self
        return Weights(self.spec, {name: _read_only(array.astype(dtype)) for name, array in self.arrays.items()})

    def save(self, path: str | Path) -> None:
        """Write a safetensors file that holds the spec in its metadata; beside, then renamed.

        Raises:
            OutputError: the file can't be written.
        """
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        write_atomically(Path(path), save(arrays, metadata={SPEC_KEY: self.spec.to_json()}))

    @classmethod
    def load(cls, path: str | Path, *, spec: LSTMSpec | None = None) -> "Weights":
        """Read what :meth:`save` wrote. The file is untrusted: it is parsed, and nothing in it is executed.

        Args:
            path: a safetensors file.
            spec: what the file is expected to hold; None to take the file's own word.

        Raises:
            WeightsError: the file is missing, truncated, foreign, or doesn't match its spec or the expected one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"can't read the weight file {path}: {error.strerror}") from None
        found = _spec_in(path, content)
        if spec is not None and spec != found:
            raise WeightsError(f"{path} holds {found}; expected {spec}")
        try:
            arrays = load(content)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path} is not a whole safetensors file ({error}); save it again") from None
        return cls(found, {name: _read_only(array) for name, array in arrays.items()})


def initialise(
    spec: LSTMSpec, *, seed: int = 0, forget_bias: float = 0.0, dtype: npt.DTypeLike = np.float32
) -> Weights:
    """Draw weights: every array uniform in [-1/sqrt(H), 1/sqrt(H)], as ``torch.nn.LSTM`` does.

    The forget gate's bias is then set to ``forget_bias`` where that is not 0 (Jozefowicz et al., 2015, advise 1);
    gains of layer normalisation are 1 and shifts 0. The same seed gives the same arrays on every machine.

    Raises:
        WeightsError: ``forget_bias`` is given for a spec without bias, or ``dtype`` is not float32 or float64.
    """
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise WeightsError(f"dtype is {np.dtype(dtype)}; expected float32 or float64")
    if forget_bias and not spec.bias:
        raise WeightsError(f"forget_bias is {forget_bias} but the specification has bias=False; drop one of them")
    elements = sum(math.prod(shape) for shape in spec.parameter_shapes().values())
    if elements * np.dtype(dtype).itemsize > sys.maxsize:
        raise WeightsError(f"{spec} has {elements} parameters; expected no more than a machine can address")
    generator = np.random.Generator(np.random.PCG64(seed))
    bound = 1 / math.sqrt(spec.hidden_size)
    arrays: dict[str, Array] = {}
    for name, shape in spec.parameter_shapes().items():
        if name.startswith("norm_"):
            arrays[name] = np.full(shape, 1.0 if "_gain_" in name else 0.0, dtype=dtype)
            continue
        arrays[name] = generator.uniform(-bound, bound, shape).astype(dtype)
        if name.startswith("bias_l") and forget_bias:
            arrays[name][spec.hidden_size : 2 * spec.hidden_size] = forget_bias
    return Weights(spec, {name: _read_only(array) for name, array in arrays.items()})


def _read_only(array: Array) -> Array:
    """An array that nobody else has, as one that can't be written into any more."""
    array.flags.writeable = False
    return array


def _frozen(array: Array) -> Array:
    """An array that nobody can write into: the given one where that is so already, else a copy."""
    own = not array.flags.writeable and not isinstance(array.base, np.ndarray)
    return array if own else _read_only(array.copy())


def _check(name: str, array: object, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray):
        raise WeightsError(f"{name} is a {type(array).__name__}; expected a NumPy array of shape {shape}")
    array = cast("Array", array)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise WeightsError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    if array.shape != shape:
        raise WeightsError(f"{name} has shape {array.shape}; expected {shape}")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise WeightsError(f"{name} holds {array[where]} at {where}; expected finite numbers only")


def _spec_in(path: Path, content: bytes) -> LSTMSpec:
    """The spec in a safetensors header (8 bytes of length, then JSON), checked before any array is touched."""
    size = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else None
    if size is None or size > min(len(content) - 8, MAX_HEADER_BYTES):
        raise WeightsError(f"{path} is truncated or not a safetensors file; expected one written by gatesmith")
    try:
        header: object = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError):
        raise WeightsError(f"{path} is not a safetensors file; expected one written by gatesmith") from None
    metadata = cast("Mapping[str, object]", header).get("__metadata__") if isinstance(header, dict) else None
    text = cast("Mapping[str, object]", metadata).get(SPEC_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise WeightsError(f"{path} carries no gatesmith specification; convert it with `gatesmith convert` first")
    try:
        return LSTMSpec.from_json(text)
    except SpecError as error:
        raise WeightsError(f"{path} carries an impossible specification: {error}") from None
