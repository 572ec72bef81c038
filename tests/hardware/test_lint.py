"""Both lint tools find nothing in our sources, and find what is planted."""

from pathlib import Path

import pytest

from gatesmith.errors import ToolError
from gatesmith.hardware.export import source_files
from gatesmith.hardware.lint import lint, slang_says, verilator_says

MODULE = "module planted (input wire logic [3:0] a_i, output logic [{width}:0] b_o);\n  assign b_o = a_i;\nendmodule\n"


def test_every_module_and_size_is_clean() -> None:
    linted = lint()
    assert {result.top for result in linted} == {source.stem for source in source_files()}
    assert "no warnings from verilator and slang" in linted[0].sentence()
    assert linted[0].to_dict()["tools"] == ("verilator", "slang")


@pytest.mark.parametrize("say", [verilator_says, slang_says])
def test_a_planted_truncation_is_found(say: object, tmp_path: Path) -> None:
    assert callable(say)
    source = tmp_path / "planted.sv"
    source.write_text(MODULE.format(width=3))
    assert say([source], "planted", {}) == ""
    source.write_text(MODULE.format(width=2))
    assert "trunc" in say([source], "planted", {}).lower() or "width" in say([source], "planted", {}).lower()


def test_lint_names_the_module_with_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "planted.sv"
    source.write_text(MODULE.format(width=2))
    with pytest.raises(ToolError, match="verilator has warnings about planted"):
        lint([source])
