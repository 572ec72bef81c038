"""The integer model's cells as real values: its own outputs, and gates near those of the float model."""

import numpy as np

from gatesmith.fixed import calibrate
from gatesmith.fixed.device import forward
from gatesmith.fixed.trace import trace_fixed
from gatesmith.ops.call import make_call
from gatesmith.spec import GATES, LSTMSpec
from gatesmith.weights import initialise


def test_the_trace_is_that_of_the_device() -> None:
    weights = initialise(LSTMSpec(3, 4, 2, "bidirectional"), seed=1)
    x = np.random.default_rng(0).normal(size=(6, 3, 3)).astype(np.float32)
    plan = calibrate(weights, x)
    call = make_call(weights, x, lengths=[6, 2, 4])
    traces = trace_fixed(call, plan)
    y = forward(call, plan=plan).y
    assert np.array_equal(np.concatenate([traces[2].h, traces[3].h], -1)[:2], y[:2])
    for trace in traces:
        assert trace.c.shape == (6, 3, 4)
        for gate in GATES:
            assert np.abs(getattr(trace, gate)).max() <= 1
