"""Sequences in Parquet files, streamed: one record a row, read a few at a time, a bad one named.

A row holds ``x``, a list of steps of D numbers each (``list<list<float>>`` or ``list<fixed_size_list<float>[D]>``), and
perhaps ``label``, an integer, and ``id``, a string. Files are untrusted: what they hold is checked, never executed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from gatesmith.classifier import Array
from gatesmith.datasets import Sequences, pad
from gatesmith.errors import InputError, MissingToolError
from gatesmith.files import beside, make_folder

OnBad = Literal["stop", "skip"]

ROWS_AT_ONCE = 256
"""Rows that are decoded together: what a reader holds in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One row.

    Attributes:
        x: [T, D] float32; None where the record is bad.
        label: None where the file has no labels.
        id: the file's own, or the row's number as text.
        error: what is wrong with a bad record; None for a good one.
    """

    file: Path
    row: int
    id: str
    x: Array | None
    label: int | None
    error: str | None

    def __str__(self) -> str:
        return f"record {self.row} (id {self.id!r}) of {self.file}"


def find_shards(places: Sequence[Path]) -> list[Path]:
    """The Parquet files that are named, or lie in the folders that are named, by name in each folder.

    Raises:
        InputError: a place doesn't exist, isn't Parquet, or holds none.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(path for path in place.glob("*.parquet") if not path.name.startswith("."))
            if not inside:
                raise InputError(f"the folder {place} holds no .parquet file; expected sequences in at least one")
            found.extend(inside)
        elif place.suffix == ".parquet" and place.is_file():
            found.append(place)
        else:
            raise InputError(
                f"{place} is not there or not a .parquet file; expected files of sequences, or folders of them"
            )
    return found


def read_records(file: Path, *, features: int | None = None, labelled: bool = False) -> Iterator[Record]:
    """All rows of a file in order, bad ones too (with their ``error``).

    Args:
        features: D; None to take the first good record's.
        labelled: whether a record without a label is bad.

    Raises:
        InputError: the file is not Parquet, is damaged, or has no column ``x`` of lists.
    """
    arrow: Any = _arrow()
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]

    row = 0
    try:
        with cast("Any", parquet).ParquetFile(file) as opened:
            _check_columns(file, opened.schema_arrow)
            names = [name for name in ("x", "label", "id") if name in opened.schema_arrow.names]
            for rows in opened.iter_batches(batch_size=ROWS_AT_ONCE, columns=names):
                columns = {name: rows.column(name) for name in names}
                for index in range(rows.num_rows):
                    cells = {name: column[index] for name, column in columns.items()}
                    record = _record(file, row, cells, features, labelled)
                    if features is None and record.x is not None and record.x.size:
                        features = record.x.shape[1]
                    yield record
                    row += 1
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"{file} can't be read as Parquet at record {row} ({error}); write it again") from None


def good_records(
    files: Sequence[Path],
    *,
    features: int | None = None,
    labelled: bool = False,
    on_bad: OnBad = "stop",
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Record]:
    """The good rows of many files.

    Args:
        on_bad: ``"stop"`` makes a bad record an error, ``"skip"`` tells ``warn`` its name and goes on.

    Raises:
        InputError: a file can't be read, or a record is bad and that is to stop.
    """
    for file in files:
        for record in read_records(file, features=features, labelled=labelled):
            if record.error is None:
                assert record.x is not None
                features = record.x.shape[1] if features is None and record.x.size else features
                yield record
                continue
            message = f"{record} is bad: {record.error}"
            if on_bad == "stop":
                raise InputError(f"{message}; mend it, or ask for bad records to be skipped")
            warn(f"{message}; it is skipped")


def write_shards(sequences: Sequences, folder: Path, *, records_per_file: int) -> list[Path]:
    """Write sequences as numbered Parquet files of at most ``records_per_file`` rows each.

    Raises:
        OutputError: the folder can't be written to.
    """
    arrow: Any = _arrow()
    make_folder(folder)
    paths: list[Path] = []
    for number, start in enumerate(range(0, len(sequences), records_per_file)):
        part = sequences[slice(start, start + records_per_file)]
        steps = [part.x[: int(length), n] for n, length in enumerate(part.lengths)]
        kind = arrow.list_(arrow.list_(arrow.float32(), part.x.shape[2]))
        columns = {
            "id": arrow.array([str(start + n) for n in range(len(part))]),
            "x": arrow.array([sequence.tolist() for sequence in steps], type=kind),
        }
        if part.labels is not None:
            columns["label"] = arrow.array(part.labels.tolist(), type=arrow.int64())
        paths.append(folder / f"part-{number:05d}.parquet")
        write_table(arrow.table(columns), paths[-1])
    return paths


def write_table(table: Any, path: Path) -> None:
    """Write an Arrow table as Parquet, beside its place and renamed."""
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]

    with beside(path) as temporary:
        cast("Any", parquet).write_table(table, temporary)


def to_batch(records: Sequence[Record]) -> Sequences:
    """Good records of one width, padded to the longest (one step at least)."""
    arrays = [cast("Array", record.x) for record in records]
    labels = None
    if records and records[0].label is not None:
        labels = np.array([record.label for record in records], np.int64)
    return pad(arrays, steps=max(1, *(len(array) for array in arrays)), labels=labels)


def _record(file: Path, row: int, cells: dict[str, Any], features: int | None, labelled: bool) -> Record:
    identity = cells["id"].as_py() if "id" in cells else None
    identity = str(row) if identity is None else str(identity)
    x, error = _steps(cells["x"], features)
    label = cells["label"].as_py() if "label" in cells else None
    if error is None and labelled and not (isinstance(label, int) and label >= 0):
        error = f"its label is {label!r}; expected an integer of at least 0"
    if error is None and labelled and x is not None and not len(x):
        error = "it has no steps; expected one at least to train on"
    if label is not None and not isinstance(label, int):
        label = None
    return Record(file=file, row=row, id=identity, x=None if error else x, label=label, error=error)


def _steps(cell: Any, features: int | None) -> tuple[Array | None, str | None]:
    """([T, D], None) or (None, what is wrong)"""
    if not cell.is_valid:
        return None, "x is null; expected a list of steps"
    steps = cell.values
    if len(steps) == 0:
        return np.zeros((0, features or 1), np.float32), None
    if steps.null_count:
        return None, "a step of x is null; expected a list of numbers"
    import pyarrow.compute as compute  # pyright: ignore[reportMissingImports]

    widths: Array = cast("Any", compute).list_value_length(steps).to_numpy(zero_copy_only=False)
    width = int(widths[0])
    if (widths != width).any():
        return None, f"its steps have {widths.min()} to {widths.max()} numbers; expected the same in each"
    if features is not None and width != features:
        return None, f"its steps have {width} numbers; expected D = {features}"
    if width == 0:
        return None, "its steps have no numbers; expected D of them"
    x = steps.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(steps), width)
    if not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        return None, f"x holds {x[where]} at step {where[0]}, feature {where[1]}; expected finite numbers"
    return x, None


def _check_columns(file: Path, schema: Any) -> None:
    arrow: Any = _arrow()
    if "x" not in schema.names:
        raise InputError(f"{file} has the columns {', '.join(schema.names) or 'none'}; expected x, a list of steps")
    kind = schema.field("x").type
    lists = (arrow.types.is_list, arrow.types.is_large_list, arrow.types.is_fixed_size_list)
    if any(is_list(kind) for is_list in lists) and any(is_list(kind.value_type) for is_list in lists):
        element = kind.value_type.value_type
        if arrow.types.is_floating(element) or arrow.types.is_integer(element):
            return
    raise InputError(f"the column x of {file} is {kind}; expected a list of steps of numbers")


def _arrow() -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingToolError(
            "Parquet files need PyArrow, which is not installed; run `pip install 'gatesmith[scale]'`"
        ) from None
    return cast("Any", pyarrow)
