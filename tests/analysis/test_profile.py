"""The whole profile on the real kernel: everything is there and consistent; no time is compared with another."""

import json
import sys
from pathlib import Path

import pytest

from gatesmith.analysis import limits, load_result, profile
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.profile import Profile
from gatesmith.errors import InputError, UnsupportedError
from gatesmith.ops import cpu
from gatesmith.spec import LSTMSpec

needs_kernel = pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")
SPEC = LSTMSpec(12, 32)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A short profile with limits that no machine reaches, kept in a cache of the test's own."""

    def measure(key: tuple[str, str, int], _: object) -> Limits:
        machine, target, threads = key
        rates = dict.fromkeys(("L1", "L2", "L3", "memory"), 1e15)
        return Limits(
            machine=machine, target=target, threads=threads, flops=1e15, sigmoids=1e14, tanhs=1e14, bandwidth=rates
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(limits, "_measure", measure)
        threads = cpu.num_threads()
        cpu.set_num_threads(1)  # threads that wait for each other spin, which a busy machine makes long
        try:
            return profile(SPEC, 9, batches=(1, 4), seconds=0.5)
        finally:
            cpu.set_num_threads(threads)


@needs_kernel
def test_throughput_is_batch_over_latency(measured: Profile) -> None:
    assert [(point.mode, point.batch) for point in measured.throughput] == [
        (mode, batch) for batch in (1, 4) for mode in ("inference", "training")
    ]
    for point in measured.throughput:
        assert point.sequences_per_second == point.batch / point.latency.median
        assert point.latency.least <= point.latency.p10 <= point.latency.median <= point.latency.p99


@needs_kernel
def test_components_and_bounds_are_there_forward_and_backward(measured: Profile) -> None:
    assert [made.mode for made in measured.components] == ["forward", "backward"]
    for made, bounds in zip(measured.components, measured.bounds, strict=True):
        names = [part.name for part in made.parts]
        assert names[-2:] == ["the call itself", "data movement"]
        assert made.sum_seconds == pytest.approx(sum(part.seconds for part in made.parts))
        assert [bound.seconds for bound in bounds] == sorted((bound.seconds for bound in bounds), reverse=True)
        assert {"arithmetic", "weight bandwidth", "recurrence", "call"} <= {bound.name for bound in bounds}
    assert measured.bound is measured.bounds[0][0]
    assert measured.bound.name in measured.reason


@needs_kernel
def test_the_result_is_json_and_read_back(measured: Profile, tmp_path: Path) -> None:
    json.dumps(measured.to_dict(), allow_nan=False)
    measured.save(tmp_path / "profile.json")
    assert load_result(tmp_path / "profile.json").data == measured.to_dict()


def test_another_device_has_throughput_alone() -> None:
    found = profile(SPEC, 3, batches=(2,), device="reference", seconds=0.01, training=False)
    assert [point.mode for point in found.throughput] == ["inference"]
    assert found.components == ()
    assert "device 'cpu' alone" in found.reason
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("steps", "batches"), [(0, (1,)), (3, ()), (3, (0, 4))])
def test_sizes_below_one_are_refused(steps: int, batches: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected sizes of at least 1"):
        profile(SPEC, steps, batches=batches)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'abacus' is unknown"):
        profile(SPEC, 3, device="abacus")


@needs_kernel
def test_a_spec_too_large_to_run_is_predicted_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = dict.fromkeys(("L1", "L2", "L3", "memory"), 1e9)
    slow = Limits(machine="m", target="t", threads=1, flops=1e9, sigmoids=1e9, tanhs=1e9, bandwidth=rates)
    monkeypatch.setitem(sys.modules["gatesmith.analysis.profile"].__dict__, "machine_limits", lambda: slow)
    found = profile(LSTMSpec(1 << 18, 1 << 18), 10, batches=(4,))
    assert found.throughput == ()
    assert found.components == ()
    assert found.not_measured is not None
    assert found.not_measured.startswith("predicted only: the run would take")
    assert found.reason == found.not_measured
    # 10 steps of 4 sequences, 8 H (D + H) operations each, at 1 GFLOP/s; the activations are a millionth of it.
    assert f"at N = 4 would take at least {10 * 4 * 8 * 2**18 * 2**19 / 1e9:,.3g} s (arithmetic)" in found.reason
    found.save(tmp_path / "profile.json")
    assert load_result(tmp_path / "profile.json").data["not_measured"] == found.not_measured
