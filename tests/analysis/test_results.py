"""Result files: what is written is read back, and whatever else lies there is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from gatesmith.analysis.results import RESULT_KEY, load_result, save_result
from gatesmith.errors import InputError

ARRAYS = {"a": np.arange(6.0).reshape(2, 3)}


def saved(folder: Path) -> Path:
    path = folder / "thing.json"
    save_result(path, "thing", {"answer": 42}, title="<b>", arrays=ARRAYS)
    return path


def test_written_and_read_back(tmp_path: Path) -> None:
    result = load_result(saved(tmp_path))
    assert (result.kind, result.title, result.data) == ("thing", "<b>", {"answer": 42})
    np.testing.assert_array_equal(result.arrays["a"], ARRAYS["a"])
    assert result.machine["cores"] >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thing.json", "thing.npz"]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be written as JSON"):
        save_result(tmp_path / "thing.json", "thing", {"answer": float("nan")}, arrays=ARRAYS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (RESULT_KEY, 99, "has result version 99; this gatesmith reads 1"),
        ("data", [1], "has no proper 'data'"),
        ("kind", None, "has no proper 'kind'"),
        ("arrays", "../../secret.npz", "expected thing.npz beside it"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = saved(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(InputError, match=message):
        load_result(path)


@pytest.mark.parametrize("name", ["thing.json", "thing.npz"])
def test_every_truncation_is_named(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path)
    content = (tmp_path / name).read_bytes()
    for length in range(0, len(content) - 1, max(1, len(content) // 40)):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(InputError, match=name):
            load_result(path)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path)
    np.savez(tmp_path / "thing.npz", a=np.array([object()], dtype=object))
    with pytest.raises(InputError, match=r"thing\.npz is truncated or not an npz file"):
        load_result(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1]", "holds a list"), ("{}", "is not a gatesmith result"), ("[" * 100_000, "is truncated or not JSON")],
)
def test_foreign_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=f"x.json {message}"):
        load_result(tmp_path / "x.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read no\.json"):
        load_result(tmp_path / "no.json")
