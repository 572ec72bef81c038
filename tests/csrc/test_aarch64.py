"""The portable kernels on aarch64: cross-compiled by Zig's clang, since no machine of ours has that instruction set."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed: pip install ziglang"),
]

CSRC = Path(__file__).parent.parent.parent / "csrc"
COMPILER = (sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-gnu", "-std=c++20", "-O1", "-Wall")
OPTIONS = (
    "-Wextra",
    "-Werror",
    "-Wno-unused-command-line-argument",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)
NEON_FMA = re.compile(r"\tfmla\tv\d+\.4s, v\d+\.4s, v\d+\.(4s|s\[\d\])")


def compile_for_aarch64(*arguments: str | Path) -> None:
    command = [*COMPILER, *OPTIONS, "-DGATESMITH_TARGET=portable", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", ["forward.cpp", "backward.cpp"])
def test_the_main_loops_use_fused_products_of_vectors(source: str, tmp_path: Path) -> None:
    assembly = tmp_path / "kernel.s"
    compile_for_aarch64("-S", CSRC / source, "-o", assembly)
    assert len(NEON_FMA.findall(assembly.read_text(errors="replace"))) > 24  # a tile of 6 rows and 4 gates
