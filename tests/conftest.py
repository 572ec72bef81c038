"""What holds for every test: PyTorch computes in one thread, because idle OpenMP threads spin and slow tiny tensors;
and Triton interprets its kernels where there is no GPU, which it decides when it is first imported."""

import ctypes.util
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
if ctypes.util.find_library("cuda") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")
