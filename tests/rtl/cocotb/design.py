"""The designs of the bus tests: small, with odd sizes and widths; made alike inside and outside the simulator."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from gatesmith.fixed import calibrate
from gatesmith.fixed.linear import LinearWeights, quantise_linear
from gatesmith.fixed.model import CodeInputs, CodeOutputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.weights import CellWeights, quantise_weights
from gatesmith.hardware.emitted import emitted, output_format, output_size
from gatesmith.hardware.export import export
from gatesmith.hardware.manifest import Export
from gatesmith.hardware.options import Pipeline
from gatesmith.ops.operator import LSTM
from gatesmith.spec import LSTMSpec

DESIGN_WORD = 0xC0FFEE12


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Everything that can be loaded: integer weights of every cell, and of the head."""

    cells: tuple[CellWeights, ...]
    head: LinearWeights | None


@dataclass(frozen=True, kw_only=True)
class BusDesign:
    """A model in hardware behind its buses.

    Attributes:
        classes: of a head, 0 for none.
        data_width: bits of x and h; not a whole number of bytes, so that padding is seen.
        share: as for an export; cells that share an engine have flags in common.
    """

    name: str
    spec: LSTMSpec
    multipliers: int
    pipeline: Pipeline
    output: str = "sequence"
    classes: int = 0
    max_steps: int = 8
    projection_multipliers: int = 1
    data_width: int = 12
    share: str = "none"

    @property
    def output_size(self) -> int:
        """Elements of a step out."""
        return output_size(self.plan(), self.output, self.spec.num_directions * self.spec.output_size)

    def lstm(self, seed: int = 1) -> LSTM:
        return LSTM(self.spec, seed=seed)

    def head(self, seed: int = 1) -> tuple[np.ndarray, np.ndarray] | None:
        generator = np.random.default_rng(seed)
        features = self.spec.num_directions * self.spec.output_size
        weight, bias = generator.uniform(-1, 1, size=(self.classes, features)), generator.uniform(-1, 1, self.classes)
        return (weight, bias) if self.classes else None

    @cache  # noqa: B019 - a handful of designs, for the life of a test run
    def plan(self) -> Plan:
        x = np.random.default_rng(0).normal(size=(6, 4, self.spec.input_size))
        return calibrate(self.lstm(), x, data_width=self.data_width, head=self.head(), share=self.share)

    def model(self, seed: int = 1) -> Model:
        """Integer weights; every seed but 1 is a retrained model in the same formats."""
        plan, head = self.plan(), self.head(seed)
        return Model(
            cells=quantise_weights(self.lstm(seed).weights, plan),
            head=quantise_linear(plan.head, *head) if plan.head and head else None,
        )

    def expected(
        self, model: Model, x: Codes, h0: Codes | None = None, c0: Codes | None = None
    ) -> tuple[Codes, CodeOutputs]:
        """[steps out, elements], and what else the model says of x [T, D] from states, zero where None."""
        zero = [np.zeros((len(model.cells), size), np.int64) for size in (self.spec.output_size, self.spec.hidden_size)]
        inputs = CodeInputs(
            x=x[:, None],
            h0=(zero[0] if h0 is None else h0)[:, None],
            c0=(zero[1] if c0 is None else c0)[:, None],
            lengths=np.array([len(x)]),
        )
        outputs = run(self.spec, self.plan(), model.cells, inputs)
        return emitted(self.plan(), self.output, model.head, outputs.y, inputs.lengths)[0], outputs

    @property
    def element_bytes(self) -> int:
        """Of an element out."""
        return -(-output_format(self.plan(), self.output).width // 8)

    def export(self, folder: Path) -> Export:
        return export(
            self.lstm(),
            self.plan(),
            folder,
            multipliers=self.multipliers,
            pipeline=self.pipeline,
            max_steps=self.max_steps,
            output=self.output,
            projection_multipliers=self.projection_multipliers if self.spec.proj_size else 0,
            share=self.share,
            head=self.head(),
        )


SINGLE = BusDesign(name="single", spec=LSTMSpec(3, 5, peepholes="ifo"), multipliers=7, pipeline=Pipeline())
STACK = BusDesign(
    name="stack",
    spec=LSTMSpec(2, 3, 2, direction="bidirectional", proj_size=2, proj_bias=True),
    multipliers=24,
    pipeline=Pipeline(in_elements=2, memory_stages=1, operand_stages=0, product_stages=1, sum_stages=1),
    output="scores",
    classes=4,
    projection_multipliers=2,
)
IN_TURN = BusDesign(
    name="in_turn",
    spec=LSTMSpec(3, 4, 2, direction="bidirectional", peepholes="ifo"),
    multipliers=7,
    pipeline=Pipeline(memory_stages=1, operand_stages=0, product_stages=1, sum_stages=1),
    share="directions",
)
LAYERS = BusDesign(
    name="layers",
    spec=LSTMSpec(3, 4, 4, peepholes="ifo"),
    multipliers=7,
    pipeline=Pipeline(memory_stages=1, operand_stages=0, product_stages=1, sum_stages=1),
    share="layers",
)
DESIGNS = {design.name: design for design in (SINGLE, STACK, IN_TURN, LAYERS)}
