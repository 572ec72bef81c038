"""Building a simulator: the cache, a folder with a space, and failures that leave nothing behind."""

from pathlib import Path

import pytest

from gatesmith.errors import MissingToolError, ToolError
from gatesmith.hardware import builder, verilator

SOURCE = """
module tiny #(parameter int Width = 1) (input wire logic clk, output logic [Width-1:0] q_o);
{body}endmodule
"""
HARNESS = """
#include "Vtop.h"
#include "verilated.h"
int main() {{ VerilatedContext context; Vtop top{{&context}}; return {code}; }}
"""


@pytest.fixture
def design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space that holds a design; the runtime alone comes from the usual cache."""
    folder = tmp_path / "a design"
    folder.mkdir()
    (folder / "tiny.sv").write_text(SOURCE.format(body="  always_ff @(posedge clk) q_o <= ~q_o;\n"))
    (folder / "harness.cpp").write_text(HARNESS.format(code=0))
    usual = builder.cache_folder()
    cache = folder / "cache"
    cache.mkdir()
    for runtime in usual.glob("runtime-*"):
        (cache / runtime.name).symlink_to(runtime)
    monkeypatch.setenv(builder.CACHE_VARIABLE, str(cache))
    return folder


def build(folder: Path) -> Path:
    return verilator.build(
        [folder / "tiny.sv"], top="tiny", parameters={"Width": 4}, harness=folder / "harness.cpp", optimise=0
    )


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in (folder / "cache").iterdir() if not path.name.startswith("runtime-")]


def test_the_same_design_is_built_once(design: Path) -> None:
    first = build(design)
    stamp = first.stat().st_mtime_ns
    assert build(design) == first
    assert first.stat().st_mtime_ns == stamp
    (design / "harness.cpp").write_text(HARNESS.format(code=1))
    assert build(design) != first


def test_a_syntax_error_is_a_tool_error_and_leaves_nothing(design: Path) -> None:
    (design / "tiny.sv").write_text(SOURCE.format(body="  nonsense\n"))
    with pytest.raises(ToolError, match="verilator_bin failed"):
        build(design)
    assert left_behind(design) == []


def test_a_broken_harness_is_a_tool_error_and_leaves_nothing(design: Path) -> None:
    (design / "harness.cpp").write_text("int main() { return nonsense; }\n")
    with pytest.raises(ToolError, match="nonsense"):
        build(design)
    assert left_behind(design) == []


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler" in str(verilator.missing())
    with pytest.raises(MissingToolError, match=r"install g\+\+ or set CXX"):
        verilator.toolchain()
