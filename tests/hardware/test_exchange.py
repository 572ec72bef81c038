"""The words between Python and the harness, each written out here by hand."""

from dataclasses import replace

import numpy as np
import pytest

from gatesmith.errors import ToolError
from gatesmith.hardware.exchange import PATIENCE, Shape, decode, encode
from gatesmith.hardware.jobs import Job, Stimulus

SHAPE = Shape(
    inputs=3,
    outputs=2,
    in_elements=2,
    in_width=8,
    out_elements=1,
    out_width=9,
    contexts=1,
    cells=1,
    recurrent=2,
    hidden=2,
    units=1,
    state_width=10,
    read_latency=5,
    cycles_per_round=7,
    max_steps=0,
    last_only=False,
)
JOB = Job(x=np.array([[1, 2, 3], [4, 5, 6]]), lengths=(1, 1), h0=np.array([10, 11]), c0=np.array([20, 21]))
HEADER = [2, 8, 1, 9, 1, 1, 2, 2, 1, 0, 10, 5]  # from the elements of a beat to the latency of a read


def test_a_request() -> None:
    """Two sequences of one step, three elements in beats of two."""
    stimulus = Stimulus(valid_duty=0.5, seed=3, warmup=4, reset=20)
    patience = PATIENCE + (10 + 4) * 7
    settings = [1, *HEADER, 0, 1, 128, 256, 3, patience, 4, 20]
    beats, states, data = [4, 4], [10, 11, 20, 21], [1, 2, 3, 0, 4, 5, 6, 0]
    last, ids = [0, 1, 0, 1], [0, 0, 0, 0]
    assert encode(SHAPE, [JOB], stimulus).tolist() == [*settings, *beats, *states, *data, *last, *ids]


def test_a_request_whose_last_step_is_too_short() -> None:
    """Its last beat is missing, and the one before ends the sequence."""
    whole, cut = (encode(SHAPE, [JOB], Stimulus(cut_beats=beats)).tolist() for beats in (0, 1))
    start = 1 + len(HEADER) + 8
    assert cut[start:] == [3, 4, 10, 11, 20, 21, 1, 2, 3, 0, 4, 5, 0, 1, 1, 0, 0, 0]
    assert cut[:start] == whole[:start]


def test_a_response() -> None:
    flags = 0b101 | 1 << 60
    first = [3, 12, flags, 1, 2, 3, 4, 0, 1, 0, 1, 0, 0, 0, 0, 30, 31, 40, 41]
    second = [20, 20, 1 << 62, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1, 32, 33, 42, 43]
    words = np.array([0, 99, *first, *second])
    one, two = decode(SHAPE, words, [JOB, JOB], Stimulus())
    assert one.y.tolist() == [[1, 2], [3, 4]]
    assert (one.last.tolist(), two.last.tolist()) == ([True, True], [False, True])
    assert one.contexts.tolist() == [0, 0]
    assert two.contexts.tolist() == [0, -1]  # its beats were of two
    assert (one.h_n.tolist(), two.c_n.tolist()) == ([30, 31], [42, 43])
    assert (one.cycles, two.cycles) == (10, 1)
    assert one.saturated == (True, False, True)
    assert [one.protocol_error, one.overflow, one.head_saturated] == [True, False, False]
    assert [two.protocol_error, two.overflow, two.head_saturated] == [False, False, True]


def test_states_that_stay_where_they_are_are_not_in_a_response() -> None:
    words = np.array([0, 99, 3, 12, 0, 1, 2, 3, 4, 0, 1, 0, 1, 0, 0, 0, 0])
    (result,) = decode(SHAPE, words, [JOB], Stimulus(move_states=False))
    assert (result.h_n.size, result.c_n.size) == (0, 0)


def test_the_job_that_got_stuck_is_named() -> None:
    done = [3, 12, 0, 1, 2, 3, 4, 0, 1, 0, 1, 0, 0, 0, 0, 30, 31, 40, 41]
    with pytest.raises(ToolError, match="stuck in job 1 of 3;"):
        decode(SHAPE, np.array([1, 0, *done, 1]), [JOB] * 3, Stimulus())


@pytest.mark.parametrize(
    ("changes", "steps"), [({}, 5), ({"max_steps": 2}, 3), ({"last_only": True}, 2), ({"max_steps": 9}, 5)]
)
def test_steps_that_come_out(changes: dict[str, int], steps: int) -> None:
    long = replace(JOB, x=np.zeros((5, 3), np.int64), lengths=(4, 1))
    assert replace(SHAPE, **changes).steps_out(long) == steps
