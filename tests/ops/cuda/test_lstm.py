"""The Triton kernels against the reference, in Triton's interpreter."""

import dataclasses
from typing import Any

import pytest
import torch
import triton
from tests.ops.cuda.calls import assert_close, call_of, problem_of, results, tiling, truth
from tests.strategies import calls, deterministic, specs

from gatesmith.ops.call import Call
from gatesmith.ops.cuda import kernels
from gatesmith.ops.cuda.gradient import backward
from gatesmith.ops.cuda.lstm import forward
from gatesmith.ops.cuda.problem import can_be_a_wave, unsupported_feature
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.spec import ACTIVATION_DEFAULTS, LSTMSpec

pytestmark = pytest.mark.filterwarnings("default:TRITON_DEFAULT_FP_FUSION")


# One program for each batch tile and direction: the interpreter runs one after the other, so none may wait for another.
ONE_LAUNCH: dict[Pass, Tiling] = {
    "forward": tiling(16, 1, persistent=True, resident=True),
    "backward": tiling(16, 4, persistent=True, resident=True),
}


def test_one_launch_for_each_step_matches_the_reference() -> None:
    # 20 units and 18 sequences: several hidden tiles and two batch tiles, neither full.
    call = call_of(LSTMSpec(3, 20, 1, "bidirectional"), [0, 2, 3] * 6)
    tilings: dict[Pass, Tiling] = {
        "forward": tiling(8, 2, persistent=False),
        "backward": tiling(16, 5, persistent=False),
    }
    assert_close(results(call, torch.float32, tilings), truth(call), "cuda_float32")


@pytest.mark.parametrize("resident", [False, True])
def test_one_launch_for_all_steps_matches_the_reference(resident: bool) -> None:
    call = call_of(LSTMSpec(3, 20, 1, "bidirectional"), [0, 2, 3] * 6)
    tilings: dict[Pass, Tiling] = {
        "forward": tiling(32, 2, persistent=True, resident=resident),
        "backward": tiling(32, 5, persistent=True, resident=resident),
    }
    assert_close(results(call, torch.float32, tilings), truth(call), "cuda_float32")


@pytest.mark.parametrize(("direction", "resident"), [("forward", False), ("reverse", True)])
def test_a_wave_of_layers_matches_the_reference(direction: str, resident: bool) -> None:
    spec = LSTMSpec(2, 5, 3, direction, bias=resident, recurrent_dropout=0.3, zoneout_h=0.2, peepholes="if")
    call = call_of(spec, [0, 2, 3], training=True)
    tilings: dict[Pass, Tiling] = {
        "forward": tiling(4, 1, persistent=False, resident=resident),
        "backward": tiling(16, 2, persistent=False, resident=resident),
    }
    problem, _ = problem_of(call, torch.float32, tilings, wave=True)
    assert [stack.is_wave for stack in problem.stacks] == [True]
    assert_close(results(call, torch.float32, tilings, wave=True), truth(call), "cuda_float32")


def test_only_layers_that_need_no_more_than_h_of_the_one_below_are_a_wave() -> None:
    assert can_be_a_wave(LSTMSpec(2, 3, 2, "reverse", dropout=0.1), training=False)
    assert not can_be_a_wave(LSTMSpec(2, 3, 2, dropout=0.1), training=True)
    assert not can_be_a_wave(LSTMSpec(2, 3, 2, residual=True), training=False)
    assert not can_be_a_wave(LSTMSpec(2, 3, 2, "bidirectional"), training=False)
    assert not can_be_a_wave(LSTMSpec(2, 3), training=False)


# Every field of a spec is held against the reference in test_engine.py; these are the ones that meet in the kernels.
VARIANTS: dict[str, dict[str, object]] = {
    "f=1-i": {"coupled_gates": "f=1-i", "peepholes": "o"},
    "i=1-f": {"coupled_gates": "i=1-f", "forget_bias": 0.7},
    "clips": {"gate_clip": 0.5, "cell_clip": 0.4, "peepholes": "if"},
    "zoneout": {"zoneout_h": 0.3, "zoneout_c": 0.2, "peepholes": "if"},
    "two layers": {"num_layers": 2, "dropout": 0.3, "residual": True, "drop_states": True},
    "recurrent dropout": {"recurrent_dropout": 0.4},
}


@pytest.mark.parametrize(
    ("variant", "training"),
    [(name, name in ("two layers", "recurrent dropout")) for name in VARIANTS] + [("zoneout", True)],
)
def test_every_variant_matches_the_reference(variant: str, training: bool) -> None:
    given = {"direction": "bidirectional", **VARIANTS[variant]}
    spec = LSTMSpec(3, 5, **given)  # type: ignore[arg-type]
    call = call_of(spec, [0, 2, 3], training=training)
    assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")


@pytest.mark.parametrize("name", ACTIVATION_DEFAULTS)
def test_every_activation_matches_the_reference(name: str) -> None:
    spec = LSTMSpec(2, 4, activations=(name, name, name))  # type: ignore[arg-type]
    call = call_of(spec, [2, 1], steps=2)
    assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")


def test_directions_with_activations_of_their_own() -> None:
    activations = {
        "activations": ("hard_sigmoid", "relu", "softsign"),
        "reverse_activations": ("sigmoid", "elu", "tanh"),
    }
    call = call_of(LSTMSpec(2, 4, 1, "bidirectional", **activations), [2, 1], steps=2)  # type: ignore[arg-type]
    assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_as_its_rounding(dtype: torch.dtype) -> None:
    call = call_of(LSTMSpec(3, 8, 1, "bidirectional"), [0, 2, 3], dtype=dtype)
    assert_close(results(call, dtype, ONE_LAUNCH), truth(call), f"cuda_{str(dtype).removeprefix('torch.')}")


@pytest.mark.parametrize(("steps", "lengths"), [(0, [0, 0]), (3, []), (3, [0, 0])])
def test_nothing_to_do_leaves_the_state_as_it_was(steps: int, lengths: list[int]) -> None:
    call = call_of(LSTMSpec(3, 4, 2), lengths, steps=steps)
    assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")


def test_equal_calls_give_equal_bits_and_keeping_a_tape_changes_none() -> None:
    problem, _ = problem_of(call_of(LSTMSpec(3, 5), [3, 1]), torch.float32, ONE_LAUNCH)
    first, again, bare = (forward(problem, keep=keep)[:3] for keep in (True, True, False))
    for a, b, c in zip(first, again, bare, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_a_kernel_that_does_not_fit_gives_way_to_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of(LSTMSpec(3, 5, 1, "bidirectional", reverse_activations=("sigmoid", "relu", "tanh")), [3, 2])
    refused: list[bool] = []

    class Refusing:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: tuple[int, ...]) -> Any:
            def launch(*args: Any, **options: Any) -> None:
                refused.append(options["RESIDENT"])
                if options["RESIDENT"]:
                    raise triton.OutOfResources(300_000, 200_000, "shared memory")
                self.kernel[grid](*args, **options)

            return launch

    monkeypatch.setattr(kernels, "KERNELS", {name: Refusing(kernel) for name, kernel in kernels.KERNELS.items()})
    assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")
    assert refused == [True, False, False] * 2, "one refusal for each pass, and none of what had run was run again"


def test_nothing_that_a_caller_gave_or_got_is_written_later() -> None:
    problem, _ = problem_of(call_of(LSTMSpec(3, 5), [3, 3]), torch.float32, ONE_LAUNCH)
    y, h_n, _, tape = forward(problem, keep=True)
    assert tape is not None
    given = [tensor.clone() for tensor in (problem.x, problem.h0, problem.c0, y, h_n, tape)]
    upstreams = [torch.ones_like(y), torch.ones_like(h_n), torch.ones_like(h_n)]
    first = backward(problem, tape, *upstreams)
    y.fill_(torch.nan)
    h_n.fill_(torch.nan)
    assert all(torch.equal(a, b) for a, b in zip(first, backward(problem, tape, *upstreams), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given[:3], (problem.x, problem.h0, problem.c0), strict=True))
    assert all(torch.equal(u, torch.ones_like(u)) for u in upstreams)


def test_a_mutated_weight_shows() -> None:
    call = call_of(LSTMSpec(3, 5), [3, 2])
    expected = truth(call)
    arrays = {name: array.copy() for name, array in call.weights.items()}
    arrays["weight_hh_l0"] = arrays["weight_hh_l0"].reshape(4, 5, 5).swapaxes(1, 2).reshape(20, 5)
    mutated = dataclasses.replace(call, weights=type(call.weights)(call.spec, arrays))
    with pytest.raises(AssertionError, match="differs by"):
        assert_close(results(mutated, torch.float32, ONE_LAUNCH), expected, "cuda_float32")


@pytest.mark.nightly
def test_random_specs_match_the_reference() -> None:
    from hypothesis import given

    supported = specs().filter(lambda spec: unsupported_feature(spec) is None)

    @given(call=calls(supported, max_steps=3, max_batch=2))
    @deterministic(60)
    def check(call: Call) -> None:
        assert_close(results(call, torch.float32, ONE_LAUNCH), truth(call), "cuda_float32")

    check()
