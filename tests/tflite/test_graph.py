"""Broken and hostile TFLite files: an error that names the file, never a crash, a hang or memory without bound."""

from pathlib import Path

import numpy as np
import pytest
from tests.tflite.test_reader import changed

from gatesmith.errors import GatesmithError, WeightsError
from gatesmith.tflite import from_tflite
from gatesmith.tflite.graph import Graph


def test_broken_files_are_errors(tmp_path: Path) -> None:
    content = changed(lambda _: None)
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "broken.tflite", 0
    for attempt in range(300):
        broken = bytearray(content)
        if attempt % 3 == 0:
            del broken[int(rng.integers(len(broken))) :]
        else:
            # The tables stand at the start, the arrays behind them.
            for at in rng.integers(8, 600 if attempt % 3 == 1 else len(broken), 12):
                broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            from_tflite(path)
        except GatesmithError:
            refused += 1
    assert refused > 150


def test_every_single_bit_of_the_tables(tmp_path: Path) -> None:
    content = changed(lambda _: None)
    path = tmp_path / "flipped.tflite"
    for at in range(8, 400):
        for value in (0x01, 0x80, 0xFF):
            broken = bytearray(content)
            broken[at] ^= value
            path.write_bytes(broken)
            try:
                from_tflite(path)
            except GatesmithError:
                continue


def test_claimed_counts_are_bounded() -> None:
    graph = Graph(changed(lambda _: None), "small.tflite")
    with pytest.raises(WeightsError, match="claims 1000000000 entries in"):
        graph._bounded(1_000_000_000)


def test_data_outside_of_the_tables_is_read_in_bounds() -> None:
    """Files beyond 2 GiB keep arrays behind the tables, by offset and size."""
    content = changed(lambda file: (setattr(file.buffers[1], "offset", 10**9), setattr(file.buffers[1], "size", 48)))
    with pytest.raises(WeightsError, match="is not a whole TFLite file"):
        Graph(content, "far.tflite").constant(1)
    inside = changed(lambda file: (setattr(file.buffers[1], "offset", 64), setattr(file.buffers[1], "size", 48)))
    values = Graph(inside, "near.tflite").constant(1)
    assert values is not None
    assert values.tobytes() == inside[64:112]


def test_a_tensor_whose_shape_and_bytes_differ() -> None:
    content = changed(lambda file: setattr(file.tensors[1], "shape", [4, 4]))
    with pytest.raises(WeightsError, match=r"has shape \(4, 4\) and 48 bytes"):
        Graph(content, "odd.tflite").constant(1)
