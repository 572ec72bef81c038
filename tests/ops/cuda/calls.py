"""Calls of the kernels with tilings of their own, the same calls by the reference, and how far apart they are."""

import numpy as np
import torch
from tests.strategies import random_weights
from tests.tolerances import TOLERANCES

from gatesmith.ops import reference
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.cuda.gradient import backward
from gatesmith.ops.cuda.lstm import forward
from gatesmith.ops.cuda.problem import make_problem
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.spec import LSTMSpec


def tiling(block_h: int, k_tiles: int, *, persistent: bool, resident: bool = False, block_n: int = 16) -> Tiling:
    return Tiling(
        block_n=block_n,
        block_h=block_h,
        block_k=16,
        k_tiles=k_tiles,
        resident=resident,
        persistent=persistent,
        num_warps=4,
    )


def problem_of(call: Call, dtype: torch.dtype, tilings: dict[Pass, Tiling] | None, *, wave: bool = False):
    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array)).to(dtype)

    x = call.x.copy()
    x[np.arange(len(x))[:, None] >= call.lengths] = np.nan  # whatever stands in the padding
    seed = call.seed if call.training else None
    weights = [tensor(array) for array in call.weights.values()]
    state = tensor(call.h0), tensor(call.c0)
    lengths = torch.from_numpy(call.lengths)
    return make_problem(call.spec, weights, tensor(x), *state, lengths, seed, tilings, wave=wave), tensor


def results(
    call: Call, dtype: torch.dtype, tilings: dict[Pass, Tiling] | None, *, wave: bool = False
) -> dict[str, np.ndarray]:
    problem, tensor = problem_of(call, dtype, tilings, wave=wave)
    y, h_n, c_n, tape = forward(problem, keep=True)
    assert tape is not None
    gradients = backward(problem, tape, *(tensor(d) for d in upstream(call)))
    names = ["dx", "dh0", "dc0", *(f"d{name}" for name in call.weights)]
    named = {"y": y, "h_n": h_n, "c_n": c_n} | dict(zip(names, gradients, strict=True))
    return {name: value.to(torch.float64).numpy() for name, value in named.items()}


def upstream(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    steps, batch = call.x.shape[:2]
    dy = rng.normal(size=(steps, batch, call.spec.num_directions * call.spec.output_size))
    return dy, rng.normal(size=call.h0.shape), rng.normal(size=call.c0.shape)


def truth(call: Call) -> dict[str, np.ndarray]:
    outputs, tape = reference.forward_for_training(call)
    gradients = reference.backward(tape, *upstream(call))
    named = {"y": outputs.y, "h_n": outputs.h_n, "c_n": outputs.c_n}
    named |= {"dx": gradients.dx, "dh0": gradients.dh0, "dc0": gradients.dc0}
    return named | {f"d{name}": gradients.dweights[name] for name in call.weights}


def call_of(
    spec: LSTMSpec, lengths: list[int], steps: int = 3, *, training: bool = False, dtype: torch.dtype = torch.float64
) -> Call:
    """A call in float64 whose numbers ``dtype`` holds exactly."""
    rng = np.random.default_rng(5)

    def rounded(array: np.ndarray) -> np.ndarray:
        return torch.from_numpy(array.copy()).to(dtype).double().numpy()

    cells, batch = len(spec.cells()), len(lengths)
    drawn = random_weights(spec, 5)
    return make_call(
        type(drawn)(spec, {name: rounded(array) for name, array in drawn.items()}),
        rounded(rng.normal(size=(steps, batch, spec.input_size))),
        (
            rounded(rng.normal(size=(cells, batch, spec.output_size))),
            rounded(rng.normal(size=(cells, batch, spec.hidden_size))),
        ),
        lengths=lengths,
        training=training,
        seed=5,
    )


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: str) -> None:
    errors: dict[str, float] = {}
    for name, array in expected.items():
        assert actual[name].shape == array.shape, name
        errors[name] = float(np.abs(actual[name] - array).max(initial=0) / max(1.0, np.abs(array).max(initial=0)))
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    assert errors[worst] <= TOLERANCES[tolerance], f"{worst} differs by {errors[worst]:.2e}"
