"""A spec: what it refuses, what it derives, and its way through JSON."""

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic, specs

from gatesmith.errors import SpecError
from gatesmith.spec import Activation, LSTMSpec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": 0}, "input_size is 0; expected an integer of at least 1"),
        ({"hidden_size": -3}, "hidden_size is -3"),
        ({"hidden_size": 2.0}, "hidden_size is 2.0"),
        ({"num_layers": True}, "num_layers is True"),
        ({"proj_size": -1}, "proj_size is -1"),
        ({"proj_size": 4}, "proj_size is 4; expected less than hidden_size, 4"),
        ({"bias": 1}, "bias is 1; expected True or False"),
        ({"residual": None}, "residual is None; expected True or False"),
        ({"direction": "both"}, "direction is 'both'; expected one of forward, reverse, bidirectional"),
        ({"coupled_gates": "cifg"}, "coupled_gates is 'cifg'"),
        ({"layer_norm": "all"}, "layer_norm is 'all'"),
        ({"gate_clip": 0}, "gate_clip is 0; expected a positive number or None"),
        ({"cell_clip": float("inf")}, "cell_clip is inf"),
        ({"proj_clip": 1.0}, "without a projection; set proj_size too"),
        ({"proj_bias": True}, "without a projection"),
        ({"dropout": 1.0}, r"dropout is 1.0; expected a probability in \[0, 1\)"),
        ({"zoneout_h": -0.1}, "zoneout_h is -0.1"),
        ({"recurrent_dropout": float("nan")}, "recurrent_dropout is nan"),
        ({"forget_bias": "1"}, "forget_bias is '1'; expected a finite number"),
        ({"peepholes": "g"}, "peepholes is 'g'; expected a subset of 'ifo'"),
        ({"peepholes": "ii"}, "peepholes is 'ii'"),
        ({"peepholes": 3}, "peepholes is 3"),
        ({"full_peepholes": "x"}, "full_peepholes is 'x'"),
        ({"peepholes": "io", "full_peepholes": "o"}, "gate 'o' is in peepholes and in full_peepholes"),
        ({"activations": ("tanh",)}, "expected three, for the gates, the candidate and the output"),
        ({"activations": 7}, "expected three"),
        ({"activations": ("gelu", "tanh", "tanh")}, "activation 'gelu' is unknown; expected one of relu, tanh"),
        ({"reverse_activations": ("relu",) * 3}, "reverse_activations is given but direction is 'forward'"),
    ],
    ids=str,
)
def test_an_impossible_spec_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        LSTMSpec(**{"input_size": 3, "hidden_size": 4, **change})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "relu", "alpha": 1.0}, "activation 'relu' takes no alpha; given alpha=1.0"),
        ({"name": "elu", "beta": 1.0}, "activation 'elu' takes no beta"),
        ({"name": "elu", "alpha": float("inf")}, "alpha=inf; expected a finite number"),
        ({"name": "swish"}, "activation 'swish' is unknown"),
    ],
)
def test_an_impossible_activation_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Activation(**arguments)


def test_defaults_of_activations_are_filled_in() -> None:
    assert Activation(name="hard_sigmoid") == Activation(name="hard_sigmoid", alpha=0.2, beta=0.5)
    assert LSTMSpec(3, 4, activations=("sigmoid", "tanh", "tanh")) == LSTMSpec(3, 4)


def test_derived_sizes() -> None:
    spec = LSTMSpec(3, 8, 2, "bidirectional", proj_size=5)
    assert (spec.num_directions, spec.output_size) == (2, 5)
    assert [spec.layer_input_size(layer) for layer in range(2)] == [3, 10]
    assert spec.cells() == (
        (0, "forward", "l0"),
        (0, "reverse", "l0_reverse"),
        (1, "forward", "l1"),
        (1, "reverse", "l1_reverse"),
    )
    assert spec.parameter_shapes()["weight_ih_l1_reverse"] == (32, 10)
    assert spec.parameter_shapes()["weight_hh_l0"] == (32, 5)
    assert spec.parameter_shapes()["weight_hr_l0"] == (5, 8)


def test_the_parameters_of_a_plain_spec_are_counted_as_torch_counts_one_bias() -> None:
    import torch

    module = torch.nn.LSTM(3, 8, 2, bidirectional=True)
    counted = sum(p.numel() for name, p in module.named_parameters() if not name.startswith("bias_hh"))
    assert LSTMSpec(3, 8, 2, "bidirectional").parameter_count() == counted


def test_the_order_of_peepholes_and_equal_activations_make_no_difference() -> None:
    assert LSTMSpec(3, 4, peepholes="oi") == LSTMSpec(3, 4, peepholes="io")
    relu = (Activation(name="relu"),) * 3
    both = LSTMSpec(3, 4, direction="bidirectional", activations=relu, reverse_activations=relu)
    assert both == LSTMSpec(3, 4, direction="bidirectional", activations=relu)
    other = LSTMSpec(3, 4, direction="bidirectional", reverse_activations=relu)
    assert other.activations_of("reverse") == relu
    assert other.activations_of("forward") == LSTMSpec(3, 4).activations


@pytest.mark.parametrize(("coupled", "derived"), [("none", ""), ("f=1-i", "f"), ("i=1-f", "i")])
def test_the_derived_gate(coupled: Any, derived: str) -> None:
    assert LSTMSpec(3, 4, coupled_gates=coupled).derived_gate == derived


def test_a_plain_spec_is_standard_and_a_variant_is_not() -> None:
    assert LSTMSpec(3, 4, 2, "reverse", bias=False).is_standard
    for change in ({"peepholes": "o"}, {"proj_size": 2}, {"dropout": 0.1}, {"forget_bias": 1.0}):
        assert not LSTMSpec(3, 4, **change).is_standard


@given(spec=specs())
@deterministic(100)
def test_json_round_trip(spec: LSTMSpec) -> None:
    text = spec.to_json()
    assert LSTMSpec.from_json(text) == spec
    assert hash(LSTMSpec.from_json(text)) == hash(spec)
    assert LSTMSpec.from_json(text).to_json() == text
    assert "\n" not in text


@given(
    values=st.recursive(
        st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from([field.name for field in dataclasses.fields(LSTMSpec)] + ["name", "alpha", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
@deterministic(200)
def test_untrusted_values_give_a_spec_or_a_spec_error(values: Any) -> None:
    if isinstance(values, dict):
        values = {"input_size": 2, "hidden_size": 3, **values}
    with contextlib.suppress(SpecError):
        LSTMSpec.from_dict(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "the specification is a list; expected an object"),
        ('{"hidden_size": 3}', "lacks 'input_size'"),
        ('{"input_size": 3, "hidden_size": 4, "size": 1}', "unknown field 'size'"),
        ('{"input_size": 3, "hidden_size": 4, "activations": [1, 2, 3]}', "activation 1 is not understood"),
        (
            '{"input_size": 3, "hidden_size": 4, "activations": [{"name": "tanh", "gamma": 1}, "tanh", "tanh"]}',
            "unknown field 'gamma'",
        ),
        ("[" * 100000, "not valid JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_broken_json_is_named(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        LSTMSpec.from_json(text)


def test_json_says_only_what_is_not_default() -> None:
    assert json.loads(LSTMSpec(3, 4, peepholes="o").to_json()) == {"input_size": 3, "hidden_size": 4, "peepholes": "o"}
