"""What can go wrong with a simulator and its files; that it computes what it should is for tests/rtl."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rtl.bench import Bench, bench, plain_plan

from gatesmith.errors import MissingToolError, ToolError
from gatesmith.hardware import exchange, verilator
from gatesmith.hardware.jobs import Stimulus
from gatesmith.hardware.runner import run_jobs


@pytest.fixture(scope="module")
def small() -> Iterator[Bench]:
    with bench(plain_plan(3, 5), 7) as b:
        yield b


def test_a_missing_memory_file_is_an_error(small: Bench) -> None:
    design = replace(small.design, files={**small.design.files, "WeightFile": "gone.hex"})
    with pytest.raises(ToolError, match=r"gone\.hex"):
        run_jobs(design, [small.sequence(1)])


def test_missing_verilator_names_the_extra(small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "PACKAGE", "no_such_package")
    with pytest.raises(MissingToolError, match=r"gatesmith\[rtl\]"):
        run_jobs(small.design, [small.sequence(1)])


def test_a_simulator_that_hangs_is_stopped(small: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "build", lambda *_args, **_options: script(tmp_path, "sleep 60"))
    with pytest.raises(ToolError, match=r"stopped after 0\.2 s"):
        run_jobs(small.design, [small.sequence(1)], timeout_s=0.2)


def test_a_simulator_that_dies_is_an_error(small: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verilator, "build", lambda *_args, **_options: script(tmp_path, "echo broken >&2; exit 3"))
    with pytest.raises(ToolError, match="exit code 3: broken"):
        run_jobs(small.design, [small.sequence(1)])


def test_hardware_that_takes_no_input_is_stuck(small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PATIENCE", 100)
    with pytest.raises(ToolError, match="stuck in job 0 of 1"):
        small.run([small.sequence(1)], Stimulus(valid_duty=0.0))


def script(folder: Path, body: str) -> Path:
    path = folder / "simulator"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
