"""What holds for every test: PyTorch computes in one thread, because idle OpenMP threads spin and slow tiny tensors."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
