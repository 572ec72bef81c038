"""The kernels compiled for a GPU that need not be here: what a tiling takes of a multiprocessor, read off the binary.

Triton brings its own assembler, so this runs anywhere that Triton does (but not under its interpreter).
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from gatesmith.errors import ToolError
from gatesmith.ops.cuda.launch import Recurrence
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.spec import LSTMSpec

ELEMENTS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True, kw_only=True)
class Binary:
    """What one program of a compiled kernel takes, and its assembly.

    Attributes:
        shared_bytes: of shared memory.
        registers: of a thread.
        spilled_bytes: of a thread, in local memory instead of registers.
    """

    shared_bytes: int
    registers: int
    spilled_bytes: int
    ptx: str


def compile_kernel(
    pass_: Pass, spec: LSTMSpec, dtype: str, tiling: Tiling, *, wave: bool = False, architecture: int = 90
) -> Binary:
    """Compile one pass of a spec.

    Args:
        dtype: float32, bfloat16 or float16.
        wave: whether the layers run at once.
        architecture: 90 for compute capability 9.0.

    Raises:
        ToolError: the binary can't be read.
    """
    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from gatesmith.ops.cuda import kernels

    kernel = kernels.KERNELS[pass_]
    recurrence = Recurrence.shapes_only(spec, dtype=getattr(torch, dtype), tilings={pass_: tiling}, wave=wave)
    constants = recurrence.constants(pass_, tiling, direction=0, keep=True)
    signature = {name: _type_of(name, ELEMENTS[dtype]) for name in kernel.arg_names}
    signature |= dict.fromkeys(constants, "constexpr")
    # Sizes that are multiples of 16 are what a launch tells the compiler too; pointers always are.
    divisible = [i for i, name in enumerate(kernel.arg_names) if name.endswith("_ptr") or name in ("N", "H")]
    source = ASTSource(
        kernel, signature, constexprs=constants, attrs={(i,): [["tt.divisibility", 16]] for i in divisible}
    )
    options = {"num_warps": tiling.num_warps, "num_stages": 2, "enable_fp_fusion": True}
    options["launch_cooperative_grid"] = tiling.persistent
    target = GPUTarget("cuda", architecture, 32)
    compiled = cast("Any", triton.compile(source, target=target, options=options))  # pyright: ignore[reportUnknownMemberType]
    registers, spilled = _resources(compiled.asm["cubin"])
    return Binary(
        shared_bytes=compiled.metadata.shared,
        registers=registers,
        spilled_bytes=spilled,
        ptx=compiled.asm["ptx"],
    )


def _type_of(name: str, element: str) -> str:
    float32 = ("c_ptr", "c_now_ptr", "c0_ptr", "dh_ptr", "dc_ptr", "scale_ptr", "keep_h_ptr", "keep_c_ptr")
    if name in ("lengths_ptr", "order_ptr"):
        return "*i64"
    if name == "barrier_ptr":
        return "*i32"
    if not name.endswith("_ptr"):
        return "i32"
    return "*fp32" if name in float32 else f"*{element}"


def _resources(cubin: bytes) -> tuple[int, int]:
    """(registers, local bytes) of the one kernel in a binary, as the assembler wrote them into it."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, timeout=60, check=False
        )
    found = re.search(r"REG:(\d+) STACK:(\d+).*?LOCAL:(\d+)", done.stdout)
    if not found:
        raise ToolError(f"cuobjdump did not say what the kernel takes; it said {(done.stderr or done.stdout)[:200]!r}")
    return int(found[1]), int(found[2]) + int(found[3])
