"""Builds a design's simulator and runs jobs on it, on streams that may hesitate."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gatesmith.errors import ToolError
from gatesmith.hardware import cxxrtl, verilator
from gatesmith.hardware.exchange import Shape, decode, encode
from gatesmith.hardware.jobs import Design, Job, JobResult, Stimulus
from gatesmith.hardware.timing import PIPELINE
from gatesmith.hardware.verilator import Probe

Simulator = Literal["verilator", "cxxrtl"]

HARNESS = Path(__file__).with_name("harness.cpp")


def run_jobs(
    design: Design,
    jobs: Sequence[Job],
    stimulus: Stimulus | None = None,
    *,
    timeout_s: float = 600.0,
    optimise: int = 1,
    simulator: Simulator = "verilator",
    probe: Probe | None = None,
    record: Path | None = None,
) -> list[JobResult]:
    """Build the simulator if it isn't there yet, and run it on jobs.

    Args:
        simulator: ``cxxrtl`` for the second one, which records nothing.
        probe: what to record beside the results, and ``record``, the folder to write its files to.

    Raises:
        MissingToolError: Verilator or a C++ compiler is not installed.
        ToolError: the simulator can't be built, died, got stuck or ran out of time.
    """
    stimulus = stimulus or Stimulus()
    shape = Shape.of(design)
    # The program reads its memory files by fixed names when it starts, so that it serves any weights.
    names = design.file_names
    texts = names if design.top == "lstm" else {}
    parameters = {} if design.mapped else {**PIPELINE, **design.parameters, **texts}
    if simulator == "cxxrtl":
        memories = {names[key]: design.folder / path for key, path in design.files.items()}
        program = cxxrtl.build(
            design.sources, top=design.top, parameters=parameters, harness=HARNESS, memories=memories, optimise=optimise
        )
    else:
        program = verilator.build(
            design.sources, top=design.top, parameters=parameters, harness=HARNESS, optimise=optimise, probe=probe
        )
    with tempfile.TemporaryDirectory(prefix="gatesmith-") as scratch:
        for parameter, path in design.files.items():
            target = Path(scratch, names[parameter])
            target.parent.mkdir(exist_ok=True)
            _copy(design.folder / path, target)
        request, response = Path(scratch, "request"), Path(scratch, "response")
        request.write_bytes(encode(shape, jobs, stimulus).tobytes())
        _execute([str(program), str(request), str(response)], Path(scratch), timeout_s)
        words = np.fromfile(response, np.int64)
        if probe and record:
            for file in probe.files:
                shutil.copyfile(Path(scratch, file), record / file)
    return decode(shape, words, jobs, stimulus)


def _copy(source: Path, target: Path) -> None:
    """Verilator only warns when a memory file is missing, and simulates with garbage."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ToolError(f"can't read the memory file {source}: {error.strerror}; export the design again") from None


def _execute(command: list[str], folder: Path, timeout_s: float) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(f"the simulator was stopped after {timeout_s:g} s; allow more time or simulate less") from None
    except OSError as error:
        raise ToolError(f"the simulator can't be started: {error.strerror}") from None
    if done.returncode:
        raise ToolError(f"the simulator died with exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
