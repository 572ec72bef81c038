"""A bound that a call beats was measured too low; a bound that holds stays."""

import pytest

from gatesmith.analysis.bottleneck import beats_a_limit
from gatesmith.analysis.bounds import rank_bounds
from gatesmith.analysis.stages import CALL, Components, Part
from gatesmith.analysis.timing import Latency
from gatesmith.spec import LSTMSpec


@pytest.mark.parametrize(
    ("name", "seconds", "beaten"),
    [
        ("arithmetic", 6.0, False),
        ("arithmetic", 8.0, True),
        ("weight bandwidth", 8.0, True),
        ("recurrence", 8.0, False),
    ],
)
def test_steps_that_take_less_than_a_limit_allows_beat_it(name: str, seconds: float, beaten: bool) -> None:
    """A call of 10 s of which 3 s are the call itself: no limit may ask for more than 7 s."""
    latency = Latency(median=10, p10=10, p90=10, p99=10, least=10, repeats=1)
    call = Part(name=CALL, formula="", seconds=3.0, elements=0, steps=1, work=None)
    components = Components(spec=LSTMSpec(3, 4), mode="forward", batch=1, whole=latency, parts=(call,))
    assert beats_a_limit(components, rank_bounds("call", 10.0, {name: (seconds, ""), "call": (3.0, "")})) == beaten
