"""The designs of the bus tests: small, with odd sizes and widths; made alike inside and outside the simulator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatesmith.fixed import calibrate
from gatesmith.fixed.model import CodeInputs, CodeOutputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.hardware.export import export
from gatesmith.hardware.manifest import Export
from gatesmith.hardware.options import Pipeline
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

DESIGN_WORD = 0xC0FFEE12


@dataclass(frozen=True, kw_only=True)
class BusDesign:
    """A model in hardware behind its buses.

    Attributes:
        data_width: bits of x and h; not a whole number of bytes, so that padding is seen.
    """

    name: str
    spec: LSTMSpec
    multipliers: int
    pipeline: Pipeline
    max_steps: int = 8
    data_width: int = 12

    def lstm(self, seed: int = 1) -> LSTM:
        return LSTM(self.spec, seed=seed)

    def plan(self) -> Plan:
        x = np.random.default_rng(0).normal(size=(6, 4, self.spec.input_size))
        return calibrate(self.lstm(), x, data_width=self.data_width)

    def weights(self, seed: int = 1) -> tuple[CellWeights, ...]:
        """Integer weights; every seed but 1 is a retrained model in the same formats."""
        return quantise_weights(self.lstm(seed).weights, self.plan())

    def export(self, folder: Path) -> Export:
        return export(
            self.lstm(),
            self.plan(),
            folder,
            multipliers=self.multipliers,
            pipeline=self.pipeline,
            max_steps=self.max_steps,
        )


SINGLE = BusDesign(name="single", spec=LSTMSpec(3, 5), multipliers=7, pipeline=Pipeline())
STACK = BusDesign(
    name="stack",
    spec=LSTMSpec(2, 3, 2, direction="bidirectional"),
    multipliers=24,
    pipeline=Pipeline(in_elements=2, memory_stages=1, operand_stages=0, product_stages=1, sum_stages=1),
)
DESIGNS = {design.name: design for design in (SINGLE, STACK)}


def expected(
    design: BusDesign, weights: tuple[CellWeights, ...], x: Codes, h0: Codes | None = None, c0: Codes | None = None
) -> CodeOutputs:
    """What the integer model makes of one sequence x [T, D] from states [cells, H], zero where None."""
    zero = np.zeros((len(weights), design.spec.hidden_size), np.int64)
    inputs = CodeInputs(
        x=x[:, None],
        h0=(zero if h0 is None else h0)[:, None],
        c0=(zero if c0 is None else c0)[:, None],
        lengths=np.array([len(x)]),
    )
    return run(design.spec, design.plan(), weights, inputs)
