"""What the tests of training run in processes of their own: imported once here, then forked for every job.

python jobs.py together RESULT.json          every way of training in two processes, and the same in one
python jobs.py killed FOLDER RESULT.json     runs that are killed at many points and go on
"""

import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # or every fork would import it anew, in its first step of an optimiser

from gatesmith.datasets import Sequences
from gatesmith.train import Checkpoints, Engine, Recipe, Training, train
from gatesmith.train.checkpoint import digest

forking = multiprocessing.get_context("fork")
RECIPE = Recipe(hidden_size=8, epochs=3, batch_size=16, noise=0.3, head_dropout=0.2, seed=3)
FEW_STEPS = Recipe(hidden_size=3, epochs=3, batch_size=24, noise=0.3, head_dropout=0.2, seed=3)
LINES = (100, 250, 318, 400, 415, 440, 424, 427, 700, 1100, 1700, 2300)


def two_tones() -> Sequences:
    """Two classes of noisy sequences that rise or fall, of 4 to 9 steps."""
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    lengths = generator.integers(4, 10, 60)
    ramp = np.arange(10)[:, None] * np.where(labels == 0, 1.0, -1.0)
    x = np.stack([ramp * 0.02 + 5, generator.normal(size=(10, 60))], axis=-1).astype(np.float32)
    x[np.arange(10)[:, None] >= lengths] = 0
    return Sequences(x=x, lengths=lengths, labels=labels)


def save_data(path: Path) -> None:
    data = two_tones()
    assert data.labels is not None
    np.savez(path, x=data.x, lengths=data.lengths, labels=data.labels)


def summary(training: Training) -> dict[str, Any]:
    arrays = {name: torch.tensor(array) for name, array in training.classifier.lstm.items()}
    arrays |= {"head": torch.tensor(training.classifier.head_weight)}
    return {
        "losses": training.losses,
        "digest": digest(arrays, ""),
        "resumed_from": training.resumed_from,
        "processes": training.processes,
    }


def in_one_process(engine: Engine) -> dict[str, Any]:
    return forked(lambda: summary(train(two_tones(), RECIPE, engine=engine)))


def in_two_processes(engine: Engine, checkpoints: Checkpoints | None = None) -> list[dict[str, Any]]:
    """The results of both processes, which find each other as under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def job(rank: int) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
            return summary(train(two_tones(), RECIPE, engine=engine, checkpoints=checkpoints))

        return run

    waiting = [start(job(rank)) for rank in range(2)]
    return [wait() for wait in waiting]


def start(job: Callable[[], Any]) -> Callable[[], Any]:
    """Fork a process for a job; what is returned waits for its result, None if it was killed."""
    receive, send = forking.Pipe(duplex=False)

    def run() -> None:
        torch.set_num_threads(1)
        send.send(job())

    process = forking.Process(target=run)
    process.start()
    send.close()

    def wait() -> Any:
        try:
            return receive.recv() if receive.poll(600) else None
        except EOFError:
            return None
        finally:
            process.kill()
            process.join()

    return wait


def forked(job: Callable[[], Any]) -> Any:
    return start(job)()


def kill_at(line: int) -> None:
    """This process is killed when it comes to the ``line``-th line of gatesmith's training, or of writing files."""
    count = 0

    def on_line(_frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: Any, _event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        return (
            on_line
            if f"gatesmith{os.sep}train{os.sep}" in name or name.endswith(f"gatesmith{os.sep}files.py")
            else None
        )

    sys.settrace(on_call)


def resumable(folder: Path, line: int | None = None) -> dict[str, Any] | None:
    def run() -> dict[str, Any]:
        if line is not None:
            kill_at(line)
        return summary(train(two_tones(), FEW_STEPS, checkpoints=Checkpoints(folder=folder, every=1)))

    return forked(run)


def together() -> dict[str, Any]:
    engines = {
        "ddp": Engine(timeout=300),
        "accumulate": Engine(accumulate=3, timeout=300),
        "fsdp": Engine(sharding="fsdp", timeout=300),
        "fsdp, accumulate, bfloat16": Engine(sharding="fsdp", accumulate=2, precision="bfloat16", timeout=300),
    }
    results: dict[str, Any] = {
        name: {"one": in_one_process(engine), "two": in_two_processes(engine)} for name, engine in engines.items()
    }
    for name in ("ddp", "fsdp"):
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(folder=Path(folder), every=2)
            whole = in_two_processes(engines[name], checkpoints)
            max(checkpoints.folder.iterdir()).unlink()
            resumed = in_two_processes(engines[name], checkpoints)
            alone = forked(lambda kept=checkpoints: summary(train(two_tones(), RECIPE, checkpoints=kept)))
            results[name] |= {"whole": whole, "resumed": resumed, "alone": alone}
    return results


def killed(folder: Path) -> dict[str, Any]:
    whole = forked(lambda: summary(train(two_tones(), FEW_STEPS)))
    runs: list[dict[str, Any]] = []
    for line in LINES:
        place = folder / str(line)
        died = resumable(place, line) is None
        runs.append({"line": line, "died": died, "end": resumable(place)})
    return {"whole": whole, "runs": runs}


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = together() if sys.argv[1] == "together" else killed(Path(sys.argv[2]))
    Path(sys.argv[-1]).write_text(json.dumps(results))
