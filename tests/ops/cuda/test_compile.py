"""The kernels compiled for GPUs that need not be here: they fit, and their barrier orders memory.

In a process of its own, because Triton decides on its import whether it interprets.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMPILE = """
import dataclasses, json, sys
from gatesmith.ops.cuda.compile import compile_kernel
from gatesmith.ops.cuda.tiling import Machine, choose_tiling
from gatesmith.spec import LSTMSpec
found = []
for case in json.loads(sys.argv[1]):
    machine, wave = Machine(**case["machine"]), case["wave"]
    spec = LSTMSpec(32, case["hidden"], 2, "forward" if wave else "bidirectional", peepholes="ifo", gate_clip=3.0)
    size = 4 if case["dtype"] == "float32" else 2
    tiling = choose_tiling(
        case["pass"], hidden=case["hidden"], batch=16, lanes=2, matrices=2 if wave else 1, element_bytes=size,
        machine=machine,
    )
    binary = compile_kernel(
        case["pass"], spec, case["dtype"], tiling, wave=wave, architecture=case["architecture"]
    )
    found.append({"tiling": dataclasses.asdict(tiling), "shared": binary.shared_bytes, "ptx": binary.ptx})
print(json.dumps(found))
"""
H100 = {"multiprocessors": 132, "shared_bytes": 227 * 1024}
A100 = {"multiprocessors": 108, "shared_bytes": 163 * 1024}
RTX4090 = {"multiprocessors": 128, "shared_bytes": 99 * 1024}


def compiled(tmp_path: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMPILE, json.dumps(cases)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def case(pass_: str, dtype: str, hidden: int, *, wave: bool, architecture: int = 90) -> dict[str, Any]:
    machine = {90: H100, 80: A100, 89: RTX4090}[architecture]
    given = {"pass": pass_, "dtype": dtype, "hidden": hidden, "wave": wave}
    return given | {"machine": machine, "architecture": architecture}


def check(found: dict[str, Any], given: dict[str, Any]) -> None:
    tiling, ptx = found["tiling"], found["ptx"]
    assert 0 < found["shared"] <= given["machine"]["shared_bytes"]
    assert tiling["persistent"]
    # The barrier: what was stored is released before it is counted, and acquired before the next step reads.
    assert len(re.findall(r"(?:red|atom)\S*release", ptx)) == 1
    assert len(re.findall(r"ld\S*acquire|atom\S*acquire", ptx)) == 1
    release, acquire = (re.search(rf"\S*{word}\S*", ptx) for word in ("release", "acquire"))
    assert release
    assert acquire
    assert ".gpu" in release[0], "other blocks must see it"
    assert ".gpu" in acquire[0]
    assert release.start() < acquire.start()
    # What other blocks write must not be read through the cache for constants.
    assert "ld.global.nc" not in ptx
    assert ("mma" in ptx) == (given["dtype"] != "float32")


def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    cases = [case("forward", "bfloat16", 32, wave=True), case("backward", "float32", 32, wave=False)]
    for found, given in zip(compiled(tmp_path, cases), cases, strict=True):
        assert found["tiling"]["resident"]
        check(found, given)


@pytest.mark.nightly
@pytest.mark.parametrize("architecture", [80, 89, 90])
def test_the_kernels_fit_older_and_smaller_gpus(tmp_path: Path, architecture: int) -> None:
    cases = [
        case(pass_, dtype, 256, wave=wave, architecture=architecture)
        for pass_ in ("forward", "backward")
        for dtype, wave in (("bfloat16", True), ("float16", False), ("float32", False))
    ]
    for found, given in zip(compiled(tmp_path, cases), cases, strict=True):
        check(found, given)
