"""What the integer world can't express has a name."""

import re
from typing import Any

import pytest

from gatesmith.fixed.support import cells_in_turn, curves_of, unsupported_feature
from gatesmith.spec import Activation, LSTMSpec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"full_peepholes": "f"}, r"peepholes with a full matrix \(f\)"),
        ({"layer_norm": "gates_and_cell"}, "layer normalisation"),
        ({"zoneout_c": 0.1}, "zoneout"),
        ({"residual": True}, "residual"),
        ({"drop_states": True}, "drop_states"),
        ({"activations": ("sigmoid", "relu", "tanh")}, r"the activations \(sigmoid, relu, tanh\)"),
        ({"activations": (Activation(name="hard_sigmoid", alpha=0.1), "tanh", "tanh")}, "hard_sigmoid, tanh, tanh"),
    ],
)
def test_every_unsupported_feature_has_a_name(options: dict[str, Any], message: str) -> None:
    feature = unsupported_feature(LSTMSpec(3, 5, **options))
    assert feature is not None
    assert re.search(message, feature)


def test_supported_specs() -> None:
    hard = LSTMSpec(3, 5, activations=("hard_sigmoid", "tanh", "tanh"))  # type: ignore[arg-type]
    dropout = LSTMSpec(3, 5, 2, "bidirectional", False, dropout=0.5, recurrent_dropout=0.1, forget_bias=1.0)
    projected = LSTMSpec(3, 5, proj_size=2, proj_bias=True, proj_clip=1.0)
    for spec in (projected, LSTMSpec(3, 5), LSTMSpec(3, 5, coupled_gates="i=1-f"), hard, dropout):
        assert unsupported_feature(spec) is None
    assert curves_of(hard, "forward") == ("hard_sigmoid", "tanh")


@pytest.mark.parametrize(
    ("spec", "share", "groups"),
    [
        (LSTMSpec(3, 4, 2, "bidirectional"), "none", [[0], [1], [2], [3]]),
        (LSTMSpec(3, 4, 2, "bidirectional"), "directions", [[0, 1], [2, 3]]),
        (LSTMSpec(3, 4, 2, "bidirectional"), "layers", [[0], [1], [2], [3]]),
        (LSTMSpec(4, 4, 3), "layers", [[0, 1, 2]]),
        (LSTMSpec(3, 4, 3), "layers", [[0], [1, 2]]),
        (LSTMSpec(3, 4), "layers", [[0]]),
        (LSTMSpec(4, 4), "directions", [[0]]),
    ],
)
def test_cells_that_take_turns(spec: LSTMSpec, share: str, groups: list[list[int]]) -> None:
    assert [list(group) for group in cells_in_turn(spec, share)] == groups
