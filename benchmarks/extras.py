"""What the issue asks for beside the table: one step at a time, and time that follows the valid steps."""

from typing import Any

import numpy as np
import torch

from benchmarks.contestants import contestants
from benchmarks.points import Point
from benchmarks.timing import seconds
from gatesmith.ops import LSTM, cpu


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
