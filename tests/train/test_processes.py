"""Two processes train as one does, under every engine; a process that dies ends the job with a sentence."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tolerances import TOLERANCES

JOBS = Path(__file__).parent / "jobs.py"
LIMIT = 900


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    result = tmp_path_factory.mktemp("together") / "result.json"
    subprocess.run([sys.executable, JOBS, "together", result], check=True, timeout=LIMIT)
    return json.loads(result.read_text())


ENGINES = ("ddp", "accumulate", "fsdp", "fsdp, accumulate, bfloat16")


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_have_the_loss_curve_of_one(together: dict[str, Any], engine: str) -> None:
    one, two = together[engine]["one"], together[engine]["two"]
    assert two[0] == two[1]
    assert [run["processes"] for run in (one, *two)] == [1, 2, 2]
    assert len(one["losses"]) == 3
    difference = np.abs(np.array(two[0]["losses"]) - np.array(one["losses"])).max()
    assert difference <= TOLERANCES["loss_bfloat16" if "bfloat16" in engine else "loss_float32"]
    assert one["losses"][-1][1] < one["losses"][0][1]


def test_the_engines_agree(together: dict[str, Any]) -> None:
    curves = [together[engine]["one"]["losses"] for engine in ENGINES]
    assert curves[0] != curves[-1], "autocast did nothing"
    for curve in curves[1:]:
        for (a, b), (c, d) in zip(curve, curves[0], strict=True):
            assert max(abs(a - c), abs(b - d)) <= TOLERANCES["loss_bfloat16"]


@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_two_processes_go_on_from_a_checkpoint_to_the_same_bits(together: dict[str, Any], engine: str) -> None:
    expected = together[engine]["two"][0]
    for run in (*together[engine]["whole"], *together[engine]["resumed"]):
        assert run["digest"] == expected["digest"]
        difference = np.abs(np.array(run["losses"]) - np.array(expected["losses"])).max()
        assert difference <= TOLERANCES["loss_float32"]
    assert [run["resumed_from"] for run in together[engine]["whole"]] == [None, None]
    assert together[engine]["resumed"][0]["resumed_from"] is not None
    # One process goes on where two stopped.
    alone = together[engine]["alone"]
    assert (alone["processes"], alone["resumed_from"] is None) == (1, False)
    difference = np.abs(np.array(alone["losses"]) - np.array(expected["losses"])).max()
    assert difference <= TOLERANCES["loss_float32"]


def torchrun(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "gatesmith", "train", "--data", str(folder / "data.npz"), "--out", str(folder), "--hidden", "4"]
    command += ["--epochs", "400", "--checkpoint-every", "5", "--timeout", "60", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def children(parent: int) -> list[int]:
    """Process ids whose parent is ``parent``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a job in /proc")
def test_a_dead_process_ends_the_job_with_a_message(tmp_path: Path) -> None:
    from tests.train.jobs import save_data

    save_data(tmp_path / "data.npz")
    job = torchrun(tmp_path)
    try:
        deadline = time.monotonic() + LIMIT
        while not list((tmp_path / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
            assert job.poll() is None, job.communicate()[0]
            time.sleep(0.1)
        victims = children(job.pid)
        assert len(victims) == 2
        os.kill(victims[-1], signal.SIGKILL)
        output, _ = job.communicate(timeout=LIMIT)
    finally:
        job.kill()
    assert job.returncode not in (0, None)
    assert re.search(r"exitcode\s*:\s*-9", output), output
    # What was left can be gone on from.
    from gatesmith.train import Checkpoints

    found = Checkpoints(folder=tmp_path / "checkpoints").load_newest()
    assert found is not None
    assert found[0] >= 5
