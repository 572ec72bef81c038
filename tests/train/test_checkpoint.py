"""A run that is killed anywhere goes on to the same bits; damaged checkpoints are passed over; foreign ones refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.train.jobs import FEW_STEPS, two_tones

from gatesmith.errors import InputError, OutputError, WeightsError
from gatesmith.train import Checkpoints, train
from gatesmith.train.checkpoint import State, read

JOBS = Path(__file__).parent / "jobs.py"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, JOBS, "killed", folder, folder / "result.json"], check=True, timeout=900)
    return json.loads((folder / "result.json").read_text())


def test_a_run_killed_anywhere_goes_on_to_the_same_bits(killed: dict[str, Any]) -> None:
    whole, runs = killed["whole"], killed["runs"]
    for run in runs:
        assert run["died"], run
        assert run["end"] is not None, run
        assert run["end"]["digest"] == whole["digest"], run
        assert run["end"]["losses"] == whole["losses"], run
    starts = [run["end"]["resumed_from"] for run in runs]
    assert None in starts, "no run was killed before its first checkpoint"
    assert len({start for start in starts if start is not None}) >= 3, starts


def state(value: float = 1.0) -> State:
    return State(
        tensors={
            "w": torch.full((2, 3), value),
            "n": torch.tensor(3, dtype=torch.int64),
            "h": torch.ones(2, dtype=torch.bfloat16),
        },
        values={"step": 4, "best": float("inf"), "losses": [[0.5, 0.25]]},
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path / "new")
    path = checkpoints.save(7, state())
    found = checkpoints.load_newest()
    assert found is not None
    step, again = found
    assert step == 7
    assert again.values == state().values
    assert again.tensors.keys() == state().tensors.keys()
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in state().tensors.items())
    assert [file.name for file in path.parent.iterdir()] == ["step-000000007.safetensors"]


def test_the_newest_ones_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path, keep=3)
    for step in (1, 2, 10, 30, 200):
        checkpoints.save(step, state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step-{step:09d}.safetensors" for step in (10, 30, 200)
    ]


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "one bit":
        content[-3] ^= 1
        path.write_bytes(content)
    elif kind == "other values":
        path.write_bytes(content.replace(b'\\"step\\": 4', b'\\"step\\": 5'))
    elif kind == "foreign":
        save_file({"w": torch.ones(1)}, path)
    else:
        torch.save({"w": 1}, path)


KINDS = ("truncated", "empty", "one bit", "other values", "foreign", "pickle")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(folder=tmp_path, warn=said.append)
    checkpoints.save(1, state(1.0))
    newest = checkpoints.save(2, state(2.0))
    before = newest.read_bytes()
    damage(newest, kind)
    assert newest.read_bytes() != before
    found = checkpoints.load_newest()
    assert found is not None
    assert found[0] == 1
    assert torch.equal(found[1].tensors["w"], torch.full((2, 3), 1.0))
    assert len(said) == 1
    assert newest.name in said[0]
    assert "trying the checkpoint before it" in said[0]


def test_no_usable_checkpoint_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path)
    assert checkpoints.load_newest() is None
    damage(checkpoints.save(1, state()), "truncated")
    with pytest.raises(WeightsError, match="remove the folder to begin anew"):
        checkpoints.load_newest()
    with pytest.raises(WeightsError, match="damaged or not gatesmith's"):
        read(tmp_path / "nothing.safetensors")


def test_leavings_of_a_killed_write_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".step-000000003.abc.safetensors").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    Checkpoints(folder=tmp_path).clear_leavings()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_checkpoints_of_another_recipe_or_other_data_are_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path, every=1)
    recipe = dataclasses.replace(FEW_STEPS, epochs=1)
    train(two_tones(), recipe, checkpoints=checkpoints)
    with pytest.raises(InputError, match="another recipe"):
        train(two_tones(), dataclasses.replace(recipe, learning_rate=0.5), checkpoints=checkpoints)
    other = two_tones()
    wider = dataclasses.replace(other, x=np.concatenate([other.x, other.x], axis=2))
    with pytest.raises(InputError, match="other data"):
        train(wider, recipe, checkpoints=checkpoints)


@pytest.mark.parametrize("given", [{"every": 0}, {"keep": 1}])
def test_settings_that_make_no_sense_are_named(tmp_path: Path, given: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected at least 1 step, and 2 of them"):
        Checkpoints(folder=tmp_path, **given)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't make the folder"):
        Checkpoints(folder=tmp_path / "file").save(1, state())
