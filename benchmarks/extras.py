"""What the issue asks for beside the table: one step at a time, and time that follows the valid steps."""

from typing import Any

import numpy as np
import torch

from benchmarks.contestants import contestants
from benchmarks.points import Point
from benchmarks.timing import seconds
from gatesmith.ops import LSTM, cpu
from gatesmith.ops.call import make_call


def stream(turn: float) -> dict[str, Any]:
    """Seconds of one step, N = 1, D = H = 128: our stream, PyTorch's module and ONNX Runtime's session."""
    point = Point(batch=1, steps=1, input_size=128, hidden_size=128)
    result: dict[str, Any] = {}
    for threads in (1, 2):
        everyone = {contestant.name: contestant.infer for contestant in contestants(point, threads)}
        steps = LSTM(point.spec, device="cpu").stream()
        x_t = point.x()[0]
        everyone["gatesmith"] = lambda steps=steps, x_t=x_t: steps.step(x_t)
        times = seconds(everyone, turn_seconds=turn)
        fastest = min(value for name, value in times.items() if name in ("PyTorch", "ONNX Runtime"))
        result[f"{threads} threads"] = {"seconds": times, "ratio": fastest / times["gatesmith"]}
    return result


def ragged(turn: float, *, quick: bool) -> dict[str, Any]:
    """Uniform lengths against full ones, for us; and against PyTorch's PackedSequence, at small sizes too."""
    result: dict[str, Any] = {}
    threads = 2
    cpu.set_num_threads(threads)
    torch.set_num_threads(threads)
    for batch, steps, size in ((16, 50, 32),) if quick else ((64, 100, 128), (256, 100, 32), (1024, 200, 16)):
        point = Point(batch=batch, steps=steps, input_size=size, hidden_size=size, ragged=True)
        lstm = LSTM(point.spec, device="cpu")
        x, lengths = point.x(), point.lengths()
        module = torch.nn.LSTM(size, size)
        values, torch_lengths = torch.from_numpy(x), torch.from_numpy(lengths)

        def packed(values=values, lengths=torch_lengths, module=module, steps=steps) -> None:
            with torch.inference_mode():
                sequences = torch.nn.utils.rnn.pack_padded_sequence(values, lengths, enforce_sorted=False)
                torch.nn.utils.rnn.pad_packed_sequence(module(sequences)[0], total_length=steps)

        times = seconds(
            {
                "lengths": lambda lstm=lstm, x=x, lengths=lengths: lstm(x, lengths=lengths),
                "padded": lambda lstm=lstm, x=x: lstm(x),
                "PyTorch PackedSequence": packed,
            },
            turn_seconds=turn,
        )
        result[point.name] = {
            "seconds": times,
            "valid_share": float(np.sum(lengths)) / (steps * batch),
            "time_share": times["lengths"] / times["padded"],
            "ratio_to_packed": times["PyTorch PackedSequence"] / times["lengths"],
        }
    return result


def steps(turn: float) -> dict[str, float]:
    """Seconds for each step at growing T: the cost is linear where they are equal."""
    cpu.set_num_threads(2)
    lstm = LSTM(Point(batch=4, steps=1, input_size=32, hidden_size=64).spec, device="cpu")
    works = {}
    for count in (100, 1_000, 10_000):
        x = Point(batch=4, steps=count, input_size=32, hidden_size=64).x()
        works[str(count)] = lambda x=x: lstm(x)
    times = seconds(works, turn_seconds=turn)
    return {count: value / int(count) for count, value in times.items()}


def memory(turn: float, *, quick: bool) -> dict[str, Any]:
    """Bytes of output, workspaces and tapes, and what keeping c alone costs in time."""
    cpu.set_num_threads(2)
    result: dict[str, Any] = {}
    for count in (10, 20) if quick else (100, 1000):
        point = Point(batch=32, steps=count, input_size=128, hidden_size=128)
        call = make_call(LSTM(point.spec).weights, point.x())

        def step(recompute: bool, call=call) -> None:
            outputs, tape = cpu.forward_for_training(call, recompute=recompute)
            cpu.backward(tape, outputs.y, outputs.h_n, outputs.c_n)

        works = {"keep": lambda step=step: step(False), "recompute": lambda step=step: step(True)}
        times = seconds(works, turn_seconds=turn)
        sizes = cpu.footprint(call)
        result[point.name] = {**sizes, "time_of_recomputing": times["recompute"] / times["keep"]}
    return result
