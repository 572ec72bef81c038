"""Real sequences to train, calibrate and measure with: a public data set, or arrays of the user's own."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gatesmith.errors import InputError, MissingToolError

Array = npt.NDArray[Any]

NAMED = ("japanese-vowels",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """Sequences of different lengths, padded with zeros.

    Attributes:
        x: [T, N, D] float32
        lengths: [N] int64, valid steps of each sequence, 0 to T.
        labels: [N] int64, index of each sequence's class; None where there are no labels.
    """

    x: Array
    lengths: Array
    labels: Array | None = None

    def __len__(self) -> int:
        return self.x.shape[1]

    def __getitem__(self, index: Array | slice) -> "Sequences":
        """Some of the sequences, in the order of ``index``."""
        return Sequences(
            x=np.ascontiguousarray(self.x[:, index]),
            lengths=self.lengths[index],
            labels=None if self.labels is None else self.labels[index],
        )


def japanese_vowels() -> tuple[Sequences, Sequences]:
    """(train, test): 270 and 370 utterances of nine speakers, 12 cepstrum channels, 7 to 29 steps.

    Source: Kudo, Toyama and Shimbo, 1999, UCI Machine Learning Repository; read from the package ``aeon``.

    Raises:
        MissingToolError: aeon is not installed.
    """
    try:
        from aeon.datasets import load_japanese_vowels  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError:
        raise MissingToolError(
            "the data set japanese-vowels needs the package aeon, which is not installed; "
            "run `pip install 'gatesmith[data]'`"
        ) from None
    parts = [cast("tuple[list[Array], Array]", load_japanese_vowels(split=split)) for split in ("train", "test")]
    steps = max(utterance.shape[1] for utterances, _ in parts for utterance in utterances)
    speakers = {name: k for k, name in enumerate(sorted(set(parts[0][1].tolist())))}
    train, test = (
        pad(
            [utterance.T for utterance in utterances],
            steps=steps,
            labels=np.array([speakers[name] for name in names.tolist()], np.int64),
        )
        for utterances, names in parts
    )
    return train, test


def pad(sequences: list[Array], *, steps: int, labels: Array | None = None) -> Sequences:
    """Sequences of shape [T_n, D] as one padded array."""
    x = np.zeros((steps, len(sequences), sequences[0].shape[1]), np.float32)
    for n, sequence in enumerate(sequences):
        x[: len(sequence), n] = sequence
    return Sequences(x=x, lengths=np.array([len(sequence) for sequence in sequences], np.int64), labels=labels)


def load(source: str | Path) -> Sequences:
    """Sequences by name (a data set's training part) or from a file of the user's own.

    Args:
        source: ``"japanese-vowels"``; or an ``.npz`` file with ``x`` [T, N, D] and perhaps ``lengths`` [N] and
            ``labels`` [N]; or an ``.npy`` file with ``x`` alone. Files are untrusted: nothing is unpickled.

    Raises:
        InputError: the file can't be read, or its arrays don't fit together.
        MissingToolError: a named data set needs a package that is not installed.
    """
    if str(source) in NAMED:
        return japanese_vowels()[0]
    arrays = _read(Path(source))
    if "x" not in arrays:
        raise InputError(f"{source} holds {', '.join(arrays) or 'nothing'}; expected an array x of shape (T, N, D)")
    x = arrays["x"]
    if x.ndim != 3 or not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"x in {source} has shape {x.shape} and dtype {x.dtype}; expected floating (T, N, D)")
    if not np.isfinite(x).all():
        raise InputError(f"x in {source} holds values that are not finite; expected finite numbers only")
    lengths = arrays["lengths"] if "lengths" in arrays else np.array([x.shape[0]] * x.shape[1], np.int64)
    labels = arrays.get("labels")
    for name, array in (("lengths", lengths), ("labels", labels)):
        if array is not None and (array.shape != (x.shape[1],) or not np.issubdtype(array.dtype, np.integer)):
            raise InputError(f"{name} in {source} has shape {array.shape}; expected ({x.shape[1]},) integers")
    if lengths.size and (lengths.min() < 0 or lengths.max() > x.shape[0]):
        raise InputError(f"lengths in {source} reach {lengths.min()} to {lengths.max()}; expected 0 to {x.shape[0]}")
    return Sequences(
        x=x.astype(np.float32),
        lengths=lengths.astype(np.int64),
        labels=None if labels is None else labels.astype(np.int64),
    )


def _read(path: Path) -> dict[str, Array]:
    known = f"expected a file .npz or .npy, or one of {', '.join(NAMED)}"
    if path.suffix not in (".npz", ".npy"):
        raise InputError(f"the data {str(path)!r} is not understood; {known}")
    try:
        with path.open("rb") as file:
            content: Any = np.load(file, allow_pickle=False)
            return {"x": content} if path.suffix == ".npy" else {name: content[name] for name in content.files}
    except OSError as error:
        raise InputError(f"can't read the data file {path}: {error.strerror or error}; {known}") from None
    except (ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"the data file {path} is damaged or not NumPy's ({error}); {known}") from None
