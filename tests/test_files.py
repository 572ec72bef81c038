"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from gatesmith.errors import OutputError
from gatesmith.files import beside, make_folder, write_atomically, write_json


def test_content_arrives_whole_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a file.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a file.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_interrupted_writing_leaves_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "kept"
    write_atomically(path, "old")

    def interrupted() -> None:
        with beside(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't write .*nowhere"):
        write_atomically(tmp_path / "nowhere" / "file", b"")


def test_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="can't make the folder .*taken"):
        make_folder(tmp_path / "taken")
