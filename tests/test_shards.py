"""Records of Parquet files: what is written is read again, in order; what is bad is named, and stops or is skipped."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic

from gatesmith.datasets import Sequences, pad
from gatesmith.errors import InputError
from gatesmith.shards import find_shards, good_records, read_records, to_batch, write_shards


def drawn(lengths: list[int], features: int) -> Sequences:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(length, features)).astype(np.float32) for length in lengths]
    return pad(arrays, steps=max(1, *lengths), labels=np.arange(len(lengths)) % 3)


@given(
    lengths=st.lists(st.integers(0, 5), min_size=2, max_size=9), features=st.integers(1, 4), per_file=st.integers(1, 4)
)
@deterministic(20)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], features: int, per_file: int
) -> None:
    data = drawn(lengths, features)
    paths = write_shards(data, tmp_path_factory.mktemp("shards"), records_per_file=per_file)
    assert len(paths) == -(-len(lengths) // per_file)
    records = list(good_records(find_shards([paths[0].parent]), features=features))
    assert [record.id for record in records] == [str(n) for n in range(len(lengths))]
    again = to_batch(records)
    np.testing.assert_array_equal(again.x, data.x[: len(again.x)])
    np.testing.assert_array_equal(again.lengths, data.lengths)
    np.testing.assert_array_equal(again.labels, data.labels)


def write(path: Path, x: list[Any], kind: pa.DataType | None = None, **columns: list[Any]) -> Path:
    kind = kind or pa.list_(pa.list_(pa.float64()))
    pq.write_table(pa.table({"x": pa.array(x, type=kind)} | {name: pa.array(v) for name, v in columns.items()}), path)
    return path


GOOD = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (None, "x is null"),
        ([[1.0, 2.0], [3.0]], "1 to 2 numbers"),
        ([[1.0, 2.0, 3.0]], "3 numbers; expected D = 2"),
        ([[1.0, float("nan")]], "nan at step 0, feature 1"),
        ([[1.0, 2.0], None], "a step of x is null"),
        ([[1.0, None]], "nan at step 0, feature 1"),
        ([[]], "0 numbers; expected D = 2"),
    ],
)
def test_a_bad_record_is_named_and_stops_or_is_skipped(tmp_path: Path, bad: Any, named: str) -> None:
    path = write(tmp_path / "a.parquet", [GOOD, bad, GOOD], id=["first", "second", "third"])
    with pytest.raises(InputError, match=r"record 1 \(id 'second'\) of .*a\.parquet is bad: ") as error:
        list(good_records([path]))
    assert named in str(error.value)
    said: list[str] = []
    kept = [record.id for record in good_records([path], on_bad="skip", warn=said.append)]
    assert kept == ["first", "third"]
    assert len(said) == 1
    assert named in said[0]
    assert [record.error is None for record in read_records(path)] == [True, False, True]


@pytest.mark.parametrize("label", [-1, None])
def test_a_label_that_is_none_is_bad_where_one_is_needed(tmp_path: Path, label: int | None) -> None:
    path = write(tmp_path / "a.parquet", [GOOD, GOOD], label=[0, label])
    assert len(list(good_records([path]))) == 2
    with pytest.raises(InputError, match="its label is"):
        list(good_records([path], labelled=True))


def test_an_empty_sequence_is_good_unless_it_is_to_be_trained_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [[], GOOD], label=[0, 0])
    assert [len(record.x) for record in good_records([path]) if record.x is not None] == [0, 2]
    with pytest.raises(InputError, match="it has no steps"):
        list(good_records([path], labelled=True))


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(InputError, match="can't be read as Parquet at record 0"):
        list(read_records(tmp_path / "text.parquet"))
    with pytest.raises(InputError, match="is not there or not a .parquet file"):
        find_shards([tmp_path / "nothing.parquet"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".half.parquet").write_text("")
    with pytest.raises(InputError, match="holds no .parquet file"):
        find_shards([tmp_path / "empty"])
    pq.write_table(pa.table({"y": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has the columns y; expected x"):
        list(read_records(tmp_path / "other.parquet"))
    with pytest.raises(InputError, match="is string; expected a list of steps"):
        list(read_records(write(tmp_path / "text_x.parquet", ["a"], kind=pa.string())))


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [GOOD] * 1000)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="can't be read as Parquet"):
        list(read_records(path))


def test_a_reader_holds_few_records_in_memory(tmp_path: Path) -> None:
    path = write_shards(drawn([5] * 2000, 3), tmp_path, records_per_file=2000)[0]
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in read_records(path))
    assert most < 64 * 2000 * 5 * 3
