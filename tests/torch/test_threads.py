"""The kernel on PyTorch's threads gives the bits of its own, and survives a fork."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from gatesmith.ops import LSTM, cpu
from gatesmith.ops.library import library
from gatesmith.spec import LSTMSpec
from gatesmith.torch.threads import share_threads


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_bits_are_those_of_our_own_threads(threads: int) -> None:
    before = cpu.num_threads()
    lstm = LSTM(LSTMSpec(8, 140), device="cpu")
    x = np.random.default_rng(0).standard_normal((20, 3, 8)).astype(np.float32)
    cpu.set_num_threads(threads)
    library().gatesmith_use_openmp(ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p())
    own = lstm(x)[0]
    assert share_threads()
    np.testing.assert_array_equal(lstm(x)[0], own)
    cpu.set_num_threads(before)


def test_a_forked_child_uses_its_own() -> None:
    source = """
import os
import numpy as np
import gatesmith.torch
from gatesmith.ops import LSTM, cpu
from gatesmith.spec import LSTMSpec
cpu.set_num_threads(2)
lstm, x = LSTM(LSTMSpec(8, 140), device="cpu"), np.ones((20, 1, 8), np.float32)
y = lstm(x)[0]
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(lstm(x)[0], y) else 1)
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.stdout.strip() == "0", done.stderr
