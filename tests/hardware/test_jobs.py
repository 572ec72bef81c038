"""Steps of a job: whose each is, and which ends a sequence; against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic

from gatesmith.hardware.jobs import Job


def job(lengths: list[int], order: tuple[int, ...] = (), contexts: tuple[int, ...] = ()) -> Job:
    none = np.zeros(0, np.int64)
    x = np.zeros((sum(lengths), 1), np.int64)
    return Job(x=x, lengths=tuple(lengths), h0=none, c0=none, order=order, contexts=contexts)


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@deterministic(50)
def test_sequences_follow_each_other(lengths: list[int]) -> None:
    context, ends = job(lengths).steps()
    assert context.tolist() == [0] * sum(lengths)
    assert ends.tolist() == [at == length - 1 for length in lengths for at in range(length)]


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
@deterministic(50)
def test_sequences_take_turns_in_any_order(lengths: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations([at for at, length in enumerate(lengths) for _ in range(length)]))
    contexts = data.draw(st.permutations(range(4)))[: len(lengths)]
    context, ends = job(lengths, tuple(order), tuple(contexts)).steps()
    left = list(lengths)
    for at, sequence in enumerate(order):
        left[sequence] -= 1
        assert (context[at], ends[at]) == (contexts[sequence], left[sequence] == 0)
