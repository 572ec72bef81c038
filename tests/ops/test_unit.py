"""``lstm_unit`` against PyTorch's element-wise operations, written row by row as Caffe2's loop is."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import deterministic
from tests.tolerances import TOLERANCES

from gatesmith.errors import InputError
from gatesmith.ops.unit import lstm_unit, lstm_unit_gradient


def caffe2_rows(
    h_prev: torch.Tensor,
    c_prev: torch.Tensor,
    gates: torch.Tensor,
    lengths: list[int] | None,
    timestep: int,
    forget_bias: float,
    drop_states: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    hs, cs = [], []
    for n in range(len(gates)):
        if lengths is not None and timestep >= lengths[n]:
            hs.append(h_prev[n] * (0.0 if drop_states else 1.0))
            cs.append(c_prev[n] * (0.0 if drop_states else 1.0))
            continue
        i, f, g, o = gates[n].chunk(4)
        c = torch.sigmoid(f + forget_bias) * c_prev[n] + torch.sigmoid(i) * torch.tanh(g)
        cs.append(c)
        hs.append(torch.sigmoid(o) * torch.tanh(c))
    return torch.stack(hs), torch.stack(cs)


@given(
    batch=st.integers(1, 5),
    hidden=st.integers(1, 5),
    seed=st.integers(0, 1000),
    timestep=st.integers(0, 4),
    forget_bias=st.sampled_from([0.0, 1.0, -0.5]),
    drop_states=st.booleans(),
    endless=st.booleans(),
)
@deterministic(60)
def test_step_and_gradient(
    batch: int, hidden: int, seed: int, timestep: int, forget_bias: float, drop_states: bool, endless: bool
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(batch, width)) for width in (hidden, hidden, 4 * hidden)]
    lengths = None if endless else [int(n) for n in rng.integers(0, 6, batch)]
    options: dict[str, Any] = {"lengths": lengths, "timestep": timestep}
    options |= {"forget_bias": forget_bias, "drop_states": drop_states}
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = caffe2_rows(*leaves, lengths, timestep, forget_bias, drop_states)
    ups = [rng.normal(size=(batch, hidden)) for _ in "hc"]
    grads = torch.autograd.grad(
        expected, leaves, [torch.tensor(up) for up in ups], allow_unused=True, materialize_grads=True
    )
    results = (*lstm_unit(*arrays, **options), *lstm_unit_gradient(*arrays, *ups, **options))
    for ours, theirs in zip(results, (*expected, *grads), strict=True):
        assert np.abs(ours - theirs.detach().numpy()).max() <= TOLERANCES["reference_to_pytorch_float64"]


def test_float32_stays_float32() -> None:
    arrays = [np.ones((2, width), np.float32) for width in (3, 3, 12)]
    assert {array.dtype for array in lstm_unit(*arrays)} == {np.dtype(np.float32)}
    assert {array.dtype for array in lstm_unit_gradient(*arrays, *arrays[:2])} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gates": np.zeros((2, 13))}, r"gates has shape \(2, 13\)"),
        ({"gates": np.zeros((2, 12), int)}, "dtype int64"),
        ({"h_prev": np.zeros((2, 4))}, r"h_prev has shape \(2, 4\); expected \(N, H\) = \(2, 3\)"),
        ({"c_prev": np.zeros((3, 3))}, "c_prev has shape"),
        ({"lengths": [1]}, r"lengths has shape \(1,\)"),
        ({"lengths": [1.0, 2.0]}, "dtype float64; expected integers"),
        ({"timestep": -1}, "timestep is -1"),
    ],
)
def test_wrong_input_is_named(change: dict[str, Any], message: str) -> None:
    good = {"h_prev": np.zeros((2, 3)), "c_prev": np.zeros((2, 3)), "gates": np.zeros((2, 12))}
    with pytest.raises(InputError, match=message):
        lstm_unit(**{**good, **change})


def test_wrong_gradient_is_named() -> None:
    with pytest.raises(InputError, match="dc has shape"):
        lstm_unit_gradient(*(np.zeros((2, n)) for n in (3, 3, 12, 3, 4)))
