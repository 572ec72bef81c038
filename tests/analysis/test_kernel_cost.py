"""The predicted memory of the kernel against what the kernel itself asks for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import specs

from gatesmith.analysis.kernel_cost import TARGETS, Kernel, lines
from gatesmith.ops import cpu
from gatesmith.ops.library import CRun
from gatesmith.spec import LSTMSpec

pytestmark = pytest.mark.skipif(cpu.missing() is not None, reason=f"device 'cpu': {cpu.missing()}")

PADDING = 64 * 40
"""Bytes that alignment to cache lines can add over all pieces of a workspace."""

SPECS = st.builds(
    LSTMSpec,
    input_size=st.integers(1, 70),
    hidden_size=st.integers(1, 70),
    num_layers=st.integers(1, 4),
    direction=st.sampled_from(["forward", "bidirectional"]),
)


def asked(spec: LSTMSpec, batch: int, steps: int, threads: int, *, training: bool, recompute: bool) -> dict[str, int]:
    library, sizes = cpu.library(), cpu.c_spec(spec)
    run = CRun(spec=sizes, steps=steps, batch=batch, threads=threads, recompute=recompute)
    lengths = np.full(batch, steps, np.int64)
    run.lengths = lengths.ctypes.data
    found = {"packed weights": library.gatesmith_packed_bytes(sizes)}
    if training:
        found["packed weights of backward"] = library.gatesmith_packed_backward_bytes(sizes)
        found["training tape"] = library.gatesmith_tape_bytes(run)
        run.tape = 64  # not read: the size of the workspace depends on whether there is a tape
    workspaces = [library.gatesmith_workspace_bytes(run, 0)]
    if training:
        workspaces.append(library.gatesmith_workspace_bytes(run, 1))
    return found | {"workspace": max(workspaces)}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    spec=SPECS,
    batch=st.integers(1, 40),
    steps=st.integers(1, 60),
    threads=st.integers(1, 3),
    training=st.booleans(),
    recompute=st.booleans(),
)
def test_every_line_is_what_the_kernel_asks_for(
    spec: LSTMSpec, batch: int, steps: int, threads: int, training: bool, recompute: bool
) -> None:
    lanes, tile_rows = TARGETS[cpu.library().gatesmith_target().decode()]
    kernel = Kernel(lanes=lanes, tile_rows=tile_rows, threads=threads)
    recompute = recompute and training
    predicted = lines(spec, batch, steps, kernel, training=training, recompute=recompute)
    found = asked(spec, batch, steps, threads, training=training, recompute=recompute)
    for line in predicted:
        assert line.predicted is not None
        assert 0 <= found[line.component] - line.predicted <= PADDING, line


@pytest.mark.parametrize("norm", ["none", "gates_and_cell", "inputs_and_cell"])
@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    data=st.data(),
    batch=st.integers(1, 40),
    steps=st.integers(1, 60),
    threads=st.integers(1, 3),
    training=st.booleans(),
    recompute=st.booleans(),
)
def test_every_line_of_a_variant_is_what_the_kernel_asks_for(
    norm: str, data: st.DataObject, batch: int, steps: int, threads: int, training: bool, recompute: bool
) -> None:
    drawn = data.draw(specs(70, 70))
    test_every_line_is_what_the_kernel_asks_for.hypothesis.inner_test(
        replace(drawn, layer_norm=norm), batch, steps, threads, training, recompute
    )


def test_recompute_keeps_a_fifth_of_the_tape() -> None:
    spec = LSTMSpec(32, 64)
    whole, less = (
        {line.component: line.predicted for line in lines(spec, 8, 1000, Kernel(), training=True, recompute=recompute)}
        for recompute in (False, True)
    )
    assert (less["training tape"] or 0) / (whole["training tape"] or 1) == pytest.approx(0.2, rel=1e-3)
