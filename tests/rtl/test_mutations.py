"""The comparison bites: a fault in the memory files or in the SystemVerilog is seen as a difference."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.rtl.bench import Bench, bench, plain_plan
from tests.rtl.faults import plant

from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.simulate import run_jobs

INPUTS, HIDDEN, MULTIPLIERS = 3, 5, 7


def swap_gates(weights: CellWeights) -> CellWeights:
    """Rows of i and f exchanged."""

    def swapped(rows: np.ndarray) -> np.ndarray:
        units = rows.reshape(HIDDEN, 4, -1)
        return units[:, [1, 0, 2, 3]].reshape(rows.shape)

    return CellWeights(w_ih=swapped(weights.w_ih), w_hh=swapped(weights.w_hh), b=swapped(weights.b))


def transpose_recurrent(weights: CellWeights) -> CellWeights:
    """W_hh of each gate transposed."""
    gates = weights.w_hh.reshape(HIDDEN, 4, HIDDEN)
    return replace(weights, w_hh=gates.transpose(2, 1, 0).reshape(weights.w_hh.shape))


def drop_bias(weights: CellWeights) -> CellWeights:
    return replace(weights, b=np.zeros_like(weights.b))


def flip_bit(weights: CellWeights) -> CellWeights:
    """The lowest bit of one recurrent weight."""
    w_hh = weights.w_hh.copy()
    w_hh[-1, -1] ^= 1
    return replace(weights, w_hh=w_hh)


def seen(b: Bench, other: Bench) -> bool:
    """Whether what ``other`` computes differs from what ``b`` should."""
    jobs = [b.sequence(40)]
    (result,) = b.check(jobs)
    (mutated,) = run_jobs(other.design, jobs, optimise=0, timeout_s=120)
    return bool((result.y != mutated.y).any())


@pytest.mark.parametrize("mutate", [swap_gates, transpose_recurrent, drop_bias, flip_bit], ids=lambda f: f.__name__)
def test_a_fault_in_the_weights_is_seen(mutate: Callable[[CellWeights], CellWeights]) -> None:
    cell = plain_plan(INPUTS, HIDDEN)
    with bench(cell, MULTIPLIERS) as b, bench(cell, MULTIPLIERS, weights=mutate(b.weights)) as other:
        assert seen(b, other)


FAULTS = {
    "bias not added": ("preactivation.sv", "+ AccWidth'($signed(bias_i", "+ 0 * AccWidth'($signed(bias_i"),
    "half not rounded up": ("saturate_round.sv", "{base, 1'b1} + halves", "{base, 1'b0} + halves"),
    "saturation wraps": ("saturate_round.sv", "assign value_o = beyond_q ?", "assign value_o = 1'b0 ?"),
    "gates crossed": ("lstm_pointwise.sv", ".gate_i_i(gates[0+:ActWidth])", ".gate_i_i(gates[ActWidth+:ActWidth])"),
    "sigmoid not mirrored": (
        "activation.sv",
        "(Mirror & {ActWidth{negative_late}})",
        "(Mirror & {ActWidth{!negative_late}})",
    ),
    "sums not cleared": ("lstm_ring.sv", "fresh_q ? '0 : data_i", "data_i"),
    "last state kept": ("lstm_operands.sv", "initial_d = step_last && !keep_i;", "initial_d = 1'b0;"),
    "weights read once": ("lstm_mac.sv", ".read_i(moved_i || renew_q ||", ".read_i(renew_q ||"),
    "tables read late": ("lstm_pointwise.sv", "valid[CellAt+4*SumStages]", "valid[CellAt+4*SumStages+1]"),
    "c0 not taken": ("lstm_pointwise.sv", ": {read_initial, read_place}", ": {1'b0, read_place}"),
    "all windows wanted": ("lstm_gather.sv", "int'(position_q) != part * PartLanes / Stride", "1'b0"),
}
FAULTS_OF_FEW_LANES = {
    "zeros not read": ("lstm_ring.sv", "PlaceWidth'({clear_i, read_q})", "PlaceWidth'({1'b0, read_q})"),
    "zeros written": ("ram.sv", "Zeros ? written & ~(AddressWidth'(1) << (AddressWidth - 1)) : written", "'1"),
}


@pytest.mark.parametrize("fault", [*FAULTS, *FAULTS_OF_FEW_LANES])
def test_a_fault_in_the_hardware_is_seen(fault: str, tmp_path: Path) -> None:
    sources = plant((FAULTS | FAULTS_OF_FEW_LANES)[fault], tmp_path / "rtl")
    with bench(plain_plan(INPUTS, HIDDEN), 20 if fault in FAULTS else 4) as b:
        jobs = [b.sequences([20, 20])]
        (right_result,) = b.check(jobs)
        design = replace(b.design, sources=tuple(sources))
        (wrong_result,) = run_jobs(design, jobs, optimise=0, timeout_s=120)
        assert (right_result.y != wrong_result.y).any()
