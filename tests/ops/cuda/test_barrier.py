"""The barrier between programs: many of them in one launch, in whatever order, give what the reference gives."""

import pytest
import torch
from tests.ops.cuda.calls import assert_close, call_of, results, tiling, truth
from tests.ops.cuda.together import programs_together

from gatesmith.ops.cuda import kernels
from gatesmith.ops.cuda.tiling import Pass, Tiling
from gatesmith.spec import LSTMSpec

TILINGS: dict[Pass, Tiling] = {
    "forward": tiling(16, 2, persistent=True, resident=True),
    "backward": tiling(16, 5, persistent=True, resident=True),
}
# 20 units and 18 sequences make two tiles each; the tile of the two shortest sequences leaves early.
LENGTHS = [0, 1] + [3, 2] * 8
pytestmark = pytest.mark.filterwarnings("default:TRITON_DEFAULT_FP_FUSION")
TOGETHER = LSTMSpec(2, 20, 1, "bidirectional"), LSTMSpec(2, 20, 2)


@pytest.mark.parametrize("order", [0, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("spec", TOGETHER, ids=["directions", "wave"])
def test_programs_that_run_together_match_the_reference(spec: LSTMSpec, order: int) -> None:
    call = call_of(spec, LENGTHS, steps=3)
    with programs_together(order) as launches:
        ours = results(call, torch.float32, TILINGS, wave=True)
    assert launches == [8, 8], "one launch forward, one backward"
    assert_close(ours, truth(call), "cuda_float32")


@pytest.mark.parametrize("spec", TOGETHER, ids=["directions", "wave"])
def test_without_the_barrier_it_shows(spec: LSTMSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of(spec, LENGTHS, steps=3)
    monkeypatch.setattr(kernels, "meet", lambda *_: None)
    with programs_together(0), pytest.raises(AssertionError, match="differs by"):
        assert_close(results(call, torch.float32, TILINGS, wave=True), truth(call), "cuda_float32")


def test_lanes_of_a_wave_that_do_not_wait_for_each_other_show(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of(TOGETHER[1], LENGTHS, steps=3)
    meet = kernels.meet
    monkeypatch.setattr(kernels, "meet", lambda barrier, lane, step, _: meet(barrier, lane, step, False))
    with programs_together(0), pytest.raises(AssertionError, match="differs by"):
        assert_close(results(call, torch.float32, TILINGS, wave=True), truth(call), "cuda_float32")
