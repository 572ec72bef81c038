"""What a folder holds: results by kind, and a sentence for every file that is something else."""

import json
from pathlib import Path

import pytest
from tests.report.results import write_hardware, write_profile

from gatesmith.analysis.results import RESULT_KEY
from gatesmith.errors import InputError
from gatesmith.report.read import read_results


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_results_come_in_the_order_of_their_kinds(tmp_path: Path) -> None:
    write_hardware(tmp_path)
    write_profile(tmp_path)
    (tmp_path / "plan.json").write_text("not a result, and not read")
    findings = read_results(tmp_path)
    assert [found.file for found in findings.results] == ["profile.json", "hardware.json"]
    assert findings.problems == ()


def test_other_versions_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_hardware(tmp_path)
        (tmp_path / "hardware.json").rename(tmp_path / f"{name}.json")
    change(tmp_path / "a.json", **{RESULT_KEY: 7})
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text()[:50])
    change(tmp_path / "c.json", kind="horoscope")
    (tmp_path / "d.json").write_text("[]")
    findings = read_results(tmp_path)
    assert findings.results == ()
    for name, problem in zip("abcd", findings.problems, strict=True):
        assert problem.startswith(f"{name}.json ")
    assert "version 7" in findings.problems[0]
    assert "truncated" in findings.problems[1]
    assert "'horoscope'" in findings.problems[2]


def test_another_machine_or_version_is_shown_as_such(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_hardware(tmp_path)
        (tmp_path / "hardware.json").rename(tmp_path / f"{name}.json")
    change(tmp_path / "b.json", machine={"processor": "Z80", "cores": 1}, gatesmith="99.0")
    notes = {found.file: found.note for found in read_results(tmp_path).results}
    assert notes["a.json"] == notes["c.json"] == ""
    assert notes["b.json"] == ("made on another machine (Z80, 1 cores); made by another version of gatesmith (99.0)")


def test_an_empty_folder_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no result files"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        read_results(tmp_path / "nowhere")
