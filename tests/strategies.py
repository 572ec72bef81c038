"""Hypothesis strategies: any LSTM that a spec can say, and calls of it with random sizes, lengths and states."""

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gatesmith.ops.call import Call, make_call
from gatesmith.spec import ACTIVATION_DEFAULTS, Activation, LSTMSpec
from gatesmith.weights import Weights, initialise


def deterministic(max_examples: int, *, shrink: bool = True) -> settings:
    """The same examples in every run, without a clock; where shrinking takes minutes, a failing one as it is."""
    return settings(
        phases=tuple(Phase) if shrink else (Phase.explicit, Phase.generate),
        report_multiple_bugs=shrink,
        max_examples=max_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def rarely(value: st.SearchStrategy, default: object) -> st.SearchStrategy:
    """Mostly the default, so that a failing example shows the few features that matter."""
    return st.one_of(st.just(default), st.just(default), value)


@st.composite
def activations(draw: st.DrawFn) -> Activation:
    name = draw(st.sampled_from(sorted(ACTIVATION_DEFAULTS)))
    parameters = {
        parameter: draw(st.sampled_from([None, 0.3, 0.9]))
        for parameter, default in zip(("alpha", "beta"), ACTIVATION_DEFAULTS[name], strict=True)
        if default is not None
    }
    return Activation(name=name, **parameters)


@st.composite
def plain_specs(draw: st.DrawFn) -> LSTMSpec:
    """What ``torch.nn.LSTM`` can express, and the reverse direction alone."""
    hidden = draw(st.integers(1, 6))
    return LSTMSpec(
        draw(st.integers(1, 5)),
        hidden,
        draw(st.integers(1, 3)),
        draw(st.sampled_from(["forward", "reverse", "bidirectional"])),
        draw(st.booleans()),
        proj_size=draw(st.integers(0, hidden - 1)),
    )


@st.composite
def specs(draw: st.DrawFn, max_hidden: int = 5, max_input: int = 4) -> LSTMSpec:
    """The product of all variants."""
    hidden = draw(st.integers(1, max_hidden))
    proj_size = draw(rarely(st.integers(0, hidden - 1), 0))
    kinds = {gate: draw(rarely(st.sampled_from(["diagonal", "full"]), "none")) for gate in "ifo"}
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    triples = st.tuples(activations(), activations(), activations())
    standard = (Activation(name="sigmoid"), Activation(name="tanh"), Activation(name="tanh"))
    bounds = st.sampled_from([0.17, 0.61])
    rates = st.sampled_from([0.2, 0.7])
    return LSTMSpec(
        draw(st.integers(1, max_input)),
        hidden,
        draw(st.integers(1, 3)),
        direction,
        draw(st.booleans()),
        peepholes="".join(gate for gate in "ifo" if kinds[gate] == "diagonal"),
        full_peepholes="".join(gate for gate in "ifo" if kinds[gate] == "full"),
        coupled_gates=draw(rarely(st.sampled_from(["f=1-i", "i=1-f"]), "none")),
        gate_clip=draw(rarely(bounds, None)),
        cell_clip=draw(rarely(bounds, None)),
        proj_clip=draw(rarely(bounds, None)) if proj_size else None,
        proj_size=proj_size,
        proj_bias=draw(st.booleans()) if proj_size else False,
        activations=draw(rarely(triples, standard)),
        reverse_activations=draw(rarely(triples, None)) if direction == "bidirectional" else None,
        layer_norm=draw(rarely(st.sampled_from(["gates_and_cell", "inputs_and_cell"]), "none")),
        zoneout_h=draw(rarely(rates, 0.0)),
        zoneout_c=draw(rarely(rates, 0.0)),
        dropout=draw(rarely(rates, 0.0)),
        recurrent_dropout=draw(rarely(rates, 0.0)),
        forget_bias=draw(rarely(st.sampled_from([1.0, -0.5]), 0.0)),
        drop_states=draw(rarely(st.just(True), False)),
        residual=draw(rarely(st.just(True), False)),
    )


def random_weights(spec: LSTMSpec, seed: int, dtype: str = "float64") -> Weights:
    """Weights in which gains and shifts are random too."""
    rng = np.random.default_rng(seed)
    drawn = initialise(spec, seed=seed, dtype=dtype)
    arrays = {
        name: (array + rng.uniform(-0.5, 0.5, array.shape)).astype(dtype) if name.startswith("norm_") else array
        for name, array in drawn.items()
    }
    return Weights(spec, arrays)


@st.composite
def calls(
    draw: st.DrawFn,
    spec_strategy: st.SearchStrategy[LSTMSpec],
    *,
    dtype: str = "float64",
    training: bool = False,
    max_steps: int = 5,
    max_batch: int = 3,
) -> Call:
    """One run of the operator with random states and lengths from 0 to T."""
    spec = draw(spec_strategy)
    steps, batch = draw(st.integers(0, max_steps)), draw(st.integers(0, max_batch))
    seed = draw(st.integers(0, 2**20))
    rng = np.random.default_rng(seed)
    cells = len(spec.cells())
    lengths = draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    return make_call(
        random_weights(spec, seed, dtype),
        rng.normal(size=(steps, batch, spec.input_size)).astype(dtype),
        (
            rng.normal(size=(cells, batch, spec.output_size)).astype(dtype),
            rng.normal(size=(cells, batch, spec.hidden_size)).astype(dtype),
        ),
        lengths=lengths,
        training=training,
        seed=seed,
    )
