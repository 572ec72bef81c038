"""The compiled kernel against the reference on every instruction set of this machine, and what its callers rely on."""

import gc
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import calls, deterministic
from tests.tolerances import TOLERANCES

from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import LSTM, cpu, reference
from gatesmith.ops.call import Call, Gradients, Outputs, make_call
from gatesmith.ops.library import SpareMemory, address, aligned, library
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

TARGETS = ("avx512", "avx2", "portable")
SIZES = {
    "tiles and panels with a rest": (9, 14, 17, 70, 1, "forward"),
    "one row, many units": (12, 1, 33, 140, 1, "forward"),
    "two layers, both directions": (7, 5, 6, 20, 2, "bidirectional"),
    "three layers": (5, 3, 4, 5, 3, "forward"),
    "reverse": (8, 20, 3, 33, 1, "reverse"),
    "many short rows": (6, 90, 5, 20, 2, "forward"),
    "everything one": (1, 1, 1, 1, 1, "forward"),
    "more steps than a chunk of backward": (700, 1, 2, 3, 1, "forward"),
    "no steps": (0, 3, 4, 5, 1, "forward"),
    "no sequences": (3, 0, 4, 5, 2, "bidirectional"),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on one instruction set."""
    before = library().gatesmith_target()
    if not library().gatesmith_set_target(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    library().gatesmith_set_target(before)


@pytest.fixture(autouse=True)
def _same_threads_after() -> Iterator[None]:
    before = cpu.num_threads()
    yield
    cpu.set_num_threads(before)


def random_call(name: str, *, ragged: bool) -> Call:
    steps, batch, inputs, hidden, layers, direction = SIZES[name]
    spec = LSTMSpec(inputs, hidden, layers, direction)  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    x = rng.standard_normal((steps, batch, inputs)).astype(np.float32)
    shape = (len(spec.cells()), batch, hidden)
    state = tuple(rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    lengths = rng.integers(0, steps, batch, endpoint=True) if ragged else None
    return make_call(initialise(spec, seed=3), x, state, lengths=lengths)  # type: ignore[arg-type]


def upstream(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    width = call.spec.num_directions * call.spec.hidden_size
    shapes = ((*call.x.shape[:2], width), call.h0.shape, call.c0.shape)
    dy, dh_n, dc_n = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return dy, dh_n, dc_n


def in_float64(call: Call) -> Call:
    return replace(
        call,
        weights=call.weights.astype(np.float64),
        **{name: getattr(call, name).astype(np.float64) for name in ("x", "h0", "c0")},
    )


def arrays_of(outputs: Outputs, gradients: Gradients) -> dict[str, np.ndarray]:
    return {
        "y": outputs.y,
        "h_n": outputs.h_n,
        "c_n": outputs.c_n,
        "dx": gradients.dx,
        "dh0": gradients.dh0,
        "dc0": gradients.dc0,
        **gradients.dweights,
    }


def run(call: Call, *, recompute: bool = False) -> dict[str, np.ndarray]:
    outputs, tape = cpu.forward_for_training(call, recompute=recompute)
    return arrays_of(outputs, cpu.backward(tape, *upstream(call)))


def errors(call: Call, ours: dict[str, np.ndarray]) -> tuple[float, float]:
    """Worst absolute error of an output, worst error of a gradient relative to its largest element or 1."""
    outputs, tape = reference.forward_for_training(in_float64(call))
    truth = arrays_of(outputs, reference.backward(tape, *(d.astype(np.float64) for d in upstream(call))))
    assert ours.keys() == truth.keys()
    worst = [0.0, 0.0]
    for index, (name, want) in enumerate(truth.items()):
        assert ours[name].shape == want.shape
        assert ours[name].dtype == np.float32
        error = np.abs(ours[name] - want).max(initial=0)
        kind = int(index >= 3)
        worst[kind] = max(worst[kind], error / (max(1.0, np.abs(want).max(initial=0)) if kind else 1.0))
    return worst[0], worst[1]


def assert_right(call: Call, ours: dict[str, np.ndarray]) -> None:
    output_error, gradient_error = errors(call, ours)
    print(f"outputs {output_error:.2g}, gradients {gradient_error:.2g}")
    assert output_error <= TOLERANCES["cpu_outputs"]
    assert gradient_error <= TOLERANCES["cpu_gradients"]


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_the_reference(size: str, ragged: bool) -> None:
    call = random_call(size, ragged=ragged)
    assert_right(call, run(call))


def test_more_weights_than_a_cache_holds() -> None:
    """The input projection of several steps is then one product; the bits are those of a step at a time."""
    spec = LSTMSpec(500, 1000)
    x = np.random.default_rng(0).standard_normal((6, 13, 500)).astype(np.float32)
    call = make_call(initialise(spec, seed=0), x, lengths=[6, 5] + 11 * [4])
    outputs, truth = cpu.forward(call), reference.forward(in_float64(call))
    assert np.abs(outputs.y - truth.y).max() <= TOLERANCES["cpu_outputs"]
    state = (call.h0, call.c0)
    for t in range(4):
        step = cpu.forward(make_call(call.weights, x[t : t + 1], state))
        assert np.array_equal(step.y[0], outputs.y[t])
        state = (step.h_n, step.c_n)


def test_more_weights_in_an_upper_layer_than_in_the_first() -> None:
    call = make_call(initialise(LSTMSpec(6, 1000, 2)), np.ones((2, 16, 6), np.float32))
    call.x[...] = np.random.default_rng(0).standard_normal(call.x.shape)
    outputs = cpu.forward(call)
    alone = cpu.forward(make_call(call.weights, call.x[:, 5:6]))
    np.testing.assert_array_equal(outputs.y[:, 5], alone.y[:, 0])


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(("batch", "steps"), [(3, 700), (40, 50)])
@pytest.mark.parametrize("ragged", [False, True])
def test_layers_run_chunk_by_chunk_in_bounded_memory(direction: str, batch: int, steps: int, ragged: bool) -> None:
    """Training runs one layer after the other over all steps, inference a chunk of steps through all layers."""
    spec = LSTMSpec(4, 9, 3, direction)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((steps, batch, 4)).astype(np.float32)
    state = tuple(rng.standard_normal((3, batch, 9)).astype(np.float32) for _ in range(2))
    lengths = rng.integers(0, steps, batch, endpoint=True) if ragged else None
    call = make_call(initialise(spec, seed=1), x, state, lengths=lengths)  # type: ignore[arg-type]
    whole, _ = cpu.forward_for_training(call)
    chunked = cpu.forward(call)
    for name in ("y", "h_n", "c_n"):
        assert np.array_equal(getattr(chunked, name), getattr(whole, name))
    twice = make_call(call.weights, np.concatenate([x, x]), state, lengths=lengths)  # type: ignore[arg-type]
    assert cpu.footprint(twice)["forward_workspace"] == cpu.footprint(call)["forward_workspace"]


@st.composite
def float32_calls(draw: st.DrawFn) -> Call:
    spec = LSTMSpec(
        draw(st.integers(1, 20)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 2)),
        draw(st.sampled_from(["forward", "reverse", "bidirectional"])),
        draw(st.booleans()),
        forget_bias=draw(st.sampled_from([0.0, 1.0])),
    )
    call = draw(calls(st.just(spec)))
    weights = initialise(spec, seed=draw(st.integers(0, 9)))
    return replace(
        call, weights=weights, **{name: getattr(call, name).astype(np.float32) for name in ("x", "h0", "c0")}
    )


@given(call=float32_calls(), recompute=st.booleans())
@deterministic(60)
def test_agrees_with_the_reference_on_any_call(call: Call, recompute: bool) -> None:
    assert_right(call, run(call, recompute=recompute))


@pytest.mark.parametrize("change", ["swap f and g", "transpose w_hh", "lose a bias"])
def test_the_comparison_bites(change: str) -> None:
    call = random_call("tiles and panels with a rest", ragged=False)
    arrays = {name: array.copy() for name, array in call.weights.items()}
    hidden = call.spec.hidden_size
    if change == "swap f and g":
        rows = np.r_[0:hidden, 2 * hidden : 3 * hidden, hidden : 2 * hidden, 3 * hidden : 4 * hidden]
        arrays["weight_hh_l0"] = arrays["weight_hh_l0"][rows]
    elif change == "transpose w_hh":
        square = arrays["weight_hh_l0"].reshape(4, hidden, hidden)
        arrays["weight_hh_l0"] = square.swapaxes(1, 2).reshape(4 * hidden, hidden)
    else:
        arrays["bias_l0"][5] = 0
    wrong = run(replace(call, weights=Weights(call.spec, arrays)))
    assert errors(call, wrong)[0] > 10 * TOLERANCES["cpu_outputs"]


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("size", SIZES)
def test_bits_depend_on_neither_threads_nor_recomputation(size: str, ragged: bool) -> None:
    call = random_call(size, ragged=ragged)
    cpu.set_num_threads(1)
    expected = run(call)
    for threads in (1, 2, 3, 5):
        cpu.set_num_threads(threads)
        for recompute in (False, True):
            got = run(call, recompute=recompute)
            for name, want in expected.items():
                np.testing.assert_array_equal(got[name], want, err_msg=f"{name}, {threads} threads")
        inference = cpu.forward(call)
        np.testing.assert_array_equal(inference.y, expected["y"])
        np.testing.assert_array_equal(inference.c_n, expected["c_n"])


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_sequence_does_not_depend_on_its_company(direction: str) -> None:
    spec = LSTMSpec(9, 37, 2, direction)  # type: ignore[arg-type]
    weights, rng = initialise(spec), np.random.default_rng(1)
    x = rng.standard_normal((11, 20, 9)).astype(np.float32)
    lengths = rng.integers(0, 11, 20, endpoint=True)
    among = cpu.forward(make_call(weights, x, lengths=lengths))
    for row in range(20):
        alone = cpu.forward(make_call(weights, x[: lengths[row], row : row + 1]))
        np.testing.assert_array_equal(alone.y[:, 0], among.y[: lengths[row], row])
        np.testing.assert_array_equal(alone.c_n[:, 0], among.c_n[:, row])
        assert not among.y[lengths[row] :, row].any()


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_spreads_as_in_the_reference(poison: float) -> None:
    call = random_call("tiles and panels with a rest", ragged=False)
    call.x[3, 2, 4] = poison
    with np.errstate(all="ignore"):
        want = reference.forward(in_float64(call))
    got = cpu.forward(call)
    for name in ("y", "h_n", "c_n"):
        np.testing.assert_array_equal(np.isnan(getattr(got, name)), np.isnan(getattr(want, name)))
    assert np.isnan(got.y).any() == np.isnan(poison)


@pytest.mark.usefixtures("target")
def test_layouts_of_x_that_are_not_dense() -> None:
    call = random_call("two layers, both directions", ragged=True)
    expected = run(call)
    wide = np.zeros((*call.x.shape[:2], 2 * call.x.shape[2]), np.float32)
    wide[..., ::2] = call.x
    for x in (call.x.swapaxes(0, 1).copy().swapaxes(0, 1), wide[..., ::2], call.x[::-1].copy()[::-1]):
        assert not x.flags.c_contiguous
        got = run(replace(call, x=x))
        for name, want in expected.items():
            np.testing.assert_array_equal(got[name], want, err_msg=name)


def stated_bound(function: str) -> float:
    """The error in ulp that stands beside the function in csrc/activation.h."""
    source = (Path(__file__).parents[2] / "csrc" / "activation.h").read_text()
    comment = source[: source.index(f"inline Vector {function}(")].rsplit("}", 1)[-1]
    found = re.search(r"Error: (\d+) ulp", comment.replace("\n//", ""))
    assert found, comment
    return float(found[1])


def worst_ulp(function: str, first: int, last: int, step: int) -> float:
    x = np.arange(first, last, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    y = np.empty_like(x)
    getattr(library(), f"gatesmith_{function}")(address(x), address(y), x.size)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    x, y = x[~np.isnan(x)], y[~np.isnan(x)]
    if not x.size:
        return 0.0
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        truth = np.tanh(wide) if function == "tanh" else 1 / (1 + np.exp(-wide))
    assert np.abs(y).max() <= 1
    # Below e^-87 sigmoid stays where it is, and so do we for the error.
    normal = np.maximum(np.abs(truth), 1.7e-38 if function == "sigmoid" else np.finfo(np.float32).tiny)
    ulp = np.spacing(normal.astype(np.float32)).astype(np.float64)
    return float((np.abs(y - truth) / ulp)[np.abs(truth) >= normal].max(initial=0))


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_activations_keep_their_stated_error(function: str) -> None:
    worst = worst_ulp(function, 0, 1 << 32, 4093)
    print(f"{function}: {worst:.2f} ulp")
    assert worst <= stated_bound(function)


@pytest.mark.usefixtures("target")
@pytest.mark.nightly
@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_activations_keep_their_stated_error_over_all_of_float32(function: str) -> None:
    assert max(worst_ulp(function, k << 20, (k + 1) << 20, 1) for k in range(4096)) <= stated_bound(function)


def test_a_long_sequence_is_its_halves() -> None:
    lstm = LSTM(LSTMSpec(1, 16), device="cpu")
    x = np.random.default_rng(0).standard_normal((1_000_000, 1, 1)).astype(np.float32)
    y, (h_n, c_n) = lstm(x)
    first, state = lstm(x[:300_001])
    second, (h_end, c_end) = lstm(x[300_001:], state)
    np.testing.assert_array_equal(y, np.concatenate([first, second]))
    np.testing.assert_array_equal((h_n, c_n), (h_end, c_end))


def test_many_python_threads_at_once() -> None:
    cpu.set_num_threads(3)
    call = random_call("one row, many units", ragged=False)
    expected, seen = run(call), []

    def work() -> None:
        seen.extend(all(np.array_equal(got, expected[name]) for name, got in run(call).items()) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 40


def python(source: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_works_in_a_forked_child() -> None:
    assert (
        python("""
        import os
        import numpy as np
        from gatesmith.ops import LSTM, cpu
        from gatesmith.spec import LSTMSpec
        cpu.set_num_threads(3)
        lstm, x = LSTM(LSTMSpec(8, 140), device="cpu"), np.ones((20, 1, 8), np.float32)
        y = lstm(x)[0]
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(lstm(x)[0], y) else 1)
        print(os.waitpid(child, 0)[1], np.array_equal(lstm(x)[0], y))
    """)
        == "0 True"
    )


def test_number_of_threads() -> None:
    source = "from gatesmith.ops import cpu; print(cpu.num_threads())"
    assert python(source, GATESMITH_NUM_THREADS="3", OMP_NUM_THREADS="5") == "3"
    assert python(source, GATESMITH_NUM_THREADS="nonsense", OMP_NUM_THREADS="5,2") == "5"
    assert python(source, GATESMITH_NUM_THREADS="", OMP_NUM_THREADS="") == str(len(os.sched_getaffinity(0)))
    cpu.set_num_threads(2)
    assert cpu.num_threads() == 2
    with pytest.raises(InputError, match="threads is 0; expected at least 1"):
        cpu.set_num_threads(0)


def test_says_what_it_can_not_run() -> None:
    with pytest.raises(UnsupportedError, match="float64"):
        LSTM(LSTMSpec(3, 4), device="cpu")(np.zeros((2, 1, 3)))


def test_dropout_does_nothing_in_evaluation() -> None:
    x = np.ones((5, 2, 3), np.float32)
    weights = initialise(LSTMSpec(3, 4, 2))
    dropping = Weights(replace(weights.spec, dropout=0.5, recurrent_dropout=0.5), weights.arrays)
    np.testing.assert_array_equal(LSTM(dropping, device="cpu")(x)[0], LSTM(weights, device="cpu")(x)[0])


def test_footprint() -> None:
    weights = initialise(LSTMSpec(12, 64))
    short, long = (cpu.footprint(make_call(weights, np.zeros((steps, 8, 12), np.float32))) for steps in (200, 400))
    assert short["output"] == 4 * 200 * 8 * 64
    assert short["tape_recomputing"] == pytest.approx(short["tape"] / 5, rel=0.01)
    assert long["tape"] == pytest.approx(2 * short["tape"], rel=0.01)
    # What inference needs beside its output doesn't grow with T.
    assert long["forward_workspace"] == short["forward_workspace"]
    assert long["backward_workspace"] == short["backward_workspace"]


def test_memory_is_used_again_and_bounded() -> None:
    spare = SpareMemory(limit_bytes=300_000)
    first = spare.take(100_000)
    spare.give_back(first)
    assert spare.take(90_000) is first
    assert spare.take(90_000) is not first
    for _ in range(4):
        spare.give_back(aligned(100_000))
    assert [spare.take(100_000).size for _ in range(3)] == [100_000] * 3
    assert not spare._spare


def test_lent_memory_comes_back_with_its_last_view() -> None:
    spare = SpareMemory(limit_bytes=1 << 20)
    lent = spare.lend(100_000)
    part = lent.view(np.float32).reshape(10, -1)[2:5]
    del lent
    assert spare.take(100_000) is not None
    part[...] = 1.0
    assert not spare._spare
    del part
    gc.collect()
    assert len(spare._spare) == 1


def test_packed_weights_die_with_their_weights() -> None:
    weights = initialise(LSTMSpec(2, 3))
    key = id(weights)
    cpu.forward(make_call(weights, np.zeros((1, 1, 2), np.float32)))
    assert key in cpu._packed_weights
    del weights
    gc.collect()
    assert key not in cpu._packed_weights
