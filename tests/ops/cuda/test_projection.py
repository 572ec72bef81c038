"""Projected LSTMs through the kernels: the same as the reference, in every type, from states that are no projection."""

import pytest
import torch
from tests.ops.cuda.calls import assert_close, call_of, problem_of, results, tiling, truth

from gatesmith.ops.cuda.lstm import recurrent_weights
from gatesmith.ops.cuda.problem import unsupported_feature
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.spec import LSTMSpec

pytestmark = pytest.mark.filterwarnings("default:TRITON_DEFAULT_FP_FUSION")
SPEC = LSTMSpec(3, 7, 2, "bidirectional", proj_size=4, proj_bias=True, drop_states=True, residual=True)
TILINGS: dict[Pass, Tiling] = {
    "forward": tiling(8, 1, persistent=True, resident=True),
    "backward": tiling(16, 2, persistent=True, resident=True),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_projection_matches_the_reference(dtype: torch.dtype) -> None:
    assert unsupported_feature(SPEC) is None
    call = call_of(SPEC, [0, 3, 1], dtype=dtype)
    assert_close(results(call, dtype, TILINGS), truth(call), f"cuda_{str(dtype).removeprefix('torch.')}")


def test_the_recurrent_matrix_is_the_product_of_both() -> None:
    problem, _ = problem_of(call_of(SPEC, [2]), torch.float32, TILINGS)
    fused = recurrent_weights(problem, problem.stacks[1])
    assert fused.shape == (2, 4, 7, 7)
    expected = problem.params["weight_hh_l1_reverse"] @ problem.params["weight_hr_l1_reverse"]
    torch.testing.assert_close(fused[1].flatten(0, 1), expected)


@pytest.mark.parametrize("given", [{"proj_clip": 0.5}, {"zoneout_h": 0.1}, {"recurrent_dropout": 0.1}])
def test_what_is_not_linear_in_e_is_formulated(given: dict[str, float]) -> None:
    feature = unsupported_feature(LSTMSpec(3, 5, proj_size=2, **given))  # type: ignore[arg-type]
    assert feature is not None
    assert "projection" in feature
