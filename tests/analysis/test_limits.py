"""The limits of a machine: kept for that machine alone, measured again when asked, and never lost to a bad file."""

import json
from pathlib import Path

import pytest

from gatesmith.analysis import limits
from gatesmith.analysis.limits import Limits, limits_path, machine_limits
from gatesmith.errors import MissingToolError
from gatesmith.ops import cpu

needs_kernel = pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """A cache folder of the test's own, and a measurement that takes no time; the list holds what it finds next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [1e9, 5e9, 2e9]

    def measure(key: tuple[str, str, int], _: object) -> Limits:
        machine, target, threads = key
        flops = found.pop(0)
        rates = {"L1": flops, "memory": 1e10 / flops}
        return Limits(
            machine=machine, target=target, threads=threads, flops=flops, sigmoids=1, tanhs=1, bandwidth=rates
        )

    monkeypatch.setattr(limits, "_measure", measure)
    return found


@needs_kernel
def test_measured_once_and_kept(measured: list[float]) -> None:
    first = machine_limits()
    assert machine_limits() == first
    assert len(measured) == 2
    assert limits_path().is_file()


@needs_kernel
def test_measured_again_the_higher_of_each_is_kept(measured: list[float]) -> None:
    machine_limits()
    again = machine_limits(again=True)
    assert again.flops == 5e9
    assert again.bandwidth == {"L1": 5e9, "memory": 10.0}
    assert machine_limits(again=True).flops == 5e9
    assert not measured


@needs_kernel
@pytest.mark.usefixtures("measured")
def test_another_machine_s_limits_are_not_ours() -> None:
    machine_limits()
    content = json.loads(limits_path().read_text())
    content["limits"][0]["machine"] = "another"
    limits_path().write_text(json.dumps(content))
    assert machine_limits().flops == 5e9
    assert {kept["machine"] for kept in json.loads(limits_path().read_text())["limits"]} > {"another"}


@needs_kernel
@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 1, "limits": [{"flops": 3}]}', '{"version": 1, "limits": 3}']
)
def test_a_broken_cache_is_measured_anew(content: str) -> None:
    limits_path().parent.mkdir(parents=True)
    limits_path().write_text(content)
    assert machine_limits().flops == 1e9


@needs_kernel
def test_the_real_measurement_finds_every_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def gatesmith_measure_flops(self, threads: int) -> float:
            return 100.0 * threads

        def gatesmith_measure_bandwidth(self, threads: int, size: int) -> float:
            assert min(threads, size) > 0
            return float(size)

        gatesmith_sigmoid = gatesmith_tanh = staticmethod(lambda *_: None)

    monkeypatch.setattr(cpu, "library", Library)
    said: list[str] = []
    found = limits._measure(("m", "t", 2), lambda _done, _total, part: said.append(part))
    assert found.flops == 200
    assert list(found.bandwidth)[-1] == "memory"
    assert said[0] == "limit of multiply-adds"
    assert len(said) == 2 + len(found.bandwidth)


def test_without_the_kernel_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "missing", lambda: "it isn't built")
    with pytest.raises(MissingToolError, match="it isn't built"):
        machine_limits()
