"""Gradients between the steps against PyTorch's autograd, one whole backward call, and finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from gatesmith.analysis.flow import gradient_flow
from gatesmith.ops import reference
from gatesmith.ops.call import Call, make_call
from gatesmith.spec import LSTMSpec
from gatesmith.weights import initialise

SPEC = LSTMSpec(input_size=3, hidden_size=5)
STEPS, BATCH = 7, 3
LENGTHS = np.array([7, 4, 0])


def some_call(spec: LSTMSpec, seed: int = 0) -> Call:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(STEPS, BATCH, spec.input_size))
    cells = len(spec.cells())
    state = tuple(generator.normal(size=(cells, BATCH, size)) for size in (spec.output_size, spec.hidden_size))
    return make_call(initialise(spec, seed=seed, dtype=np.float64), x, state, lengths=LENGTHS)  # type: ignore[arg-type]


def test_norms_are_those_of_autograd() -> None:
    torch = pytest.importorskip("torch", reason="the independent gradient is PyTorch's")
    call = some_call(SPEC)
    dy = np.random.default_rng(1).normal(size=(STEPS, BATCH, 5))
    (flow,) = gradient_flow(call, dy)
    cell = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(call.weights["weight_ih_l0"]))
        cell.weight_hh.copy_(torch.tensor(call.weights["weight_hh_l0"]))
        cell.bias_ih.copy_(torch.tensor(call.weights["bias_l0"]))
        cell.bias_hh.zero_()
    for n, length in enumerate(LENGTHS):
        h, c = (torch.from_numpy(state[0, n : n + 1].copy()).requires_grad_() for state in (call.h0, call.c0))
        states, loss = [], torch.zeros((), dtype=torch.float64)
        for t in range(length):
            states.append((h, c))
            h, c = cell(torch.from_numpy(call.x[t, n : n + 1]), (h, c))
            h, c = h.clone(), c.clone()  # so that the gradient of c leaves out its path through h of the same step
            h.retain_grad()
            c.retain_grad()
            loss = loss + (h[0] * torch.from_numpy(dy[t, n])).sum()
        if length:
            loss.backward()
        states.append((h, c))
        expected_h = [float(h.grad.norm()) if length else 0.0 for h, _ in states]
        expected_c = [float(c.grad.norm()) for _, c in states[:-1]]
        np.testing.assert_allclose(flow.dh[: length + 1, n], expected_h, rtol=1e-10)
        np.testing.assert_allclose(flow.dc[:length, n], expected_c, rtol=1e-10)
        assert np.isnan(flow.dh[length + 1 :, n]).all()


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, direction="reverse"),
        replace(SPEC, num_layers=3, direction="bidirectional", residual=True),
        replace(SPEC, num_layers=2, proj_size=2, peepholes="io", coupled_gates="i=1-f", drop_states=True),
        replace(SPEC, layer_norm="inputs_and_cell", zoneout_h=0.2, zoneout_c=0.1, cell_clip=0.5),
    ],
)
def test_the_chain_of_steps_is_the_whole_backward_call(spec: LSTMSpec) -> None:
    """The norm before the first step is the norm of dh0 and dc0 that one call over the whole sequence gives."""
    call = some_call(spec)
    dy = np.random.default_rng(1).normal(size=(STEPS, BATCH, spec.num_directions * spec.output_size))
    flows = gradient_flow(call, dy)
    _, tape = reference.forward_for_training(call)
    whole = reference.backward(tape, dy, np.zeros_like(call.h0), np.zeros_like(call.c0))
    for cell, (flow, (layer, direction, _)) in enumerate(zip(flows, spec.cells(), strict=True)):
        assert (flow.layer, flow.direction) == (layer, direction)
        for n, length in enumerate(LENGTHS):
            if length:
                assert flow.dh[0, n] == pytest.approx(np.linalg.norm(whole.dh0[cell, n]), rel=1e-9)
                assert flow.dc[0, n] == pytest.approx(np.linalg.norm(whole.dc0[cell, n]), rel=1e-9)


def test_the_default_gradient_is_one_at_the_end_and_found_by_finite_differences() -> None:
    call = some_call(SPEC)
    (flow,) = gradient_flow(call)
    assert flow.dh_back[0] == pytest.approx(1)
    assert flow.dc_back[0] == 0
    step = 1e-6

    def loss(h0: np.ndarray) -> float:
        return float(reference.forward(replace(call, h0=h0)).h_n[0, 0].sum()) / np.sqrt(5)

    gradient = []
    for unit in range(5):
        nudge = np.zeros_like(call.h0)
        nudge[0, 0, unit] = step
        gradient.append((loss(call.h0 + nudge) - loss(call.h0 - nudge)) / (2 * step))
    assert flow.dh[0, 0] == pytest.approx(np.linalg.norm(gradient), rel=1e-6)


def test_steps_back_are_counted_from_each_sequence_s_own_end() -> None:
    (flow,) = gradient_flow(some_call(SPEC))
    one_back = np.exp(np.mean(np.log([flow.dh[6, 0], flow.dh[3, 1]])))  # sequences of 7 and 4 steps
    assert flow.dh_back[1] == pytest.approx(one_back)
    assert flow.dh_back[7] == pytest.approx(flow.dh[0, 0])
    assert len(flow.dh_back) == 8


def test_a_gradient_that_vanishes_is_named_and_one_that_lives_is_not() -> None:
    for forget_bias, vanishes in ((-12.0, True), (12.0, False)):
        call = some_call(replace(SPEC, forget_bias=forget_bias))
        weights = {name: array * 0.01 for name, array in call.weights.items()}
        quiet = replace(call, weights=type(call.weights)(call.spec, weights))
        (flow,) = gradient_flow(quiet)
        assert (flow.vanishes_after is not None) == vanishes
        assert flow.explodes_after is None


def test_no_step_at_all_is_no_error() -> None:
    call = make_call(initialise(SPEC, dtype=np.float64), np.zeros((0, 2, 3)))
    (flow,) = gradient_flow(call)
    assert flow.dh.shape == (1, 2)
    assert flow.dh_back.tolist() == pytest.approx([1])
