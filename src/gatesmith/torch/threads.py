"""One set of threads for PyTorch and the kernel: two would take turns on the same cores.

PyTorch's OpenMP threads spin for milliseconds after each of its own loops, which halves the speed of a kernel that runs
on other threads (docs/performance.md). So the kernel borrows them where PyTorch brings its own libgomp.
"""

import ctypes
from pathlib import Path

import torch

from gatesmith.ops.library import library

_FUNCTIONS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


def share_threads() -> bool:
    """Let the kernel run on PyTorch's threads; False where the kernel or PyTorch's libgomp isn't there."""
    runtimes = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    runtimes += sorted((Path(torch.__file__).parent.parent / "torch.libs").glob("libgomp*.so*"))
    try:
        lib, runtime = library(), ctypes.CDLL(str(runtimes[0]))
        lib.gatesmith_use_openmp(*(ctypes.cast(getattr(runtime, name), ctypes.c_void_p) for name in _FUNCTIONS))
    except (OSError, IndexError, AttributeError):
        return False
    return True
