"""What an export is asked for beyond the plan: lanes, pipeline stages, buffers and outputs; numbers alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

from gatesmith.errors import ExportError
from gatesmith.fixed.support import SHARES

MAX_MULTIPLIERS = 1 << 16
MAX_STEPS = 1 << 16
MAX_INTERLEAVE = 64
HEAD_OUTPUTS = ("scores", "class")
OUTPUTS = ("sequence", "last", *HEAD_OUTPUTS)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Parameters of the SystemVerilog that change latency but no value.

    Attributes:
        in_elements: of x in one beat of the stream; above 1 they divide floor(P / 4H).
        out_elements: of the output in one beat, likewise; with both directions they divide H.
        link_elements: the same between layers.
        memory_stages: read latency of memories: 0 combinational, 1, 2 for block RAM with its output register, 3 for
            one before its inputs, too.
        operand_stages, product_stages: registers before and after a multiplier.
        sum_stages: registers after adders and comparisons, 0 or 1.

    Raises:
        ExportError: a value is out of range.
    """

    in_elements: int = 1
    out_elements: int = 1
    link_elements: int = 1
    memory_stages: int = 3
    operand_stages: int = 2
    product_stages: int = 3
    sum_stages: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            _require(name, getattr(self, name), least, most)

    def stages(self) -> dict[str, int]:
        """The parameters that every module shares, by their names in SystemVerilog."""
        return {
            "MemoryStages": self.memory_stages,
            "OperandStages": self.operand_stages,
            "ProductStages": self.product_stages,
            "SumStages": self.sum_stages,
        }


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the hardware of a plan is built.

    Attributes:
        multipliers: P, products in a clock cycle, for each cell.
        max_steps: longest sequence that a reverse direction can turn around.
        output: "sequence" for every step, "last" for the last one of each sequence, "scores" of a head on the last
            one, or the "class" with the largest score.
        writable_weights: weights and biases in RAM that the control bus can load, instead of ROM.
        projection_multipliers: products of a projection in a clock, for each cell; 0 for as many as cost no time.
        interleave: sequences that take turns in each cell, step by step, each with states of its own; a power of two.
        share: cells that take turns in one engine: "none", both "directions" of a layer, or "layers" of one size.

    Raises:
        ExportError: a value is out of range.
    """

    multipliers: int = 16
    pipeline: Pipeline = field(default_factory=Pipeline)
    max_steps: int = 64
    output: str = "sequence"
    writable_weights: bool = False
    projection_multipliers: int = 0
    interleave: int = 1
    share: str = "none"

    def __post_init__(self) -> None:
        _require("multipliers", self.multipliers, 1, MAX_MULTIPLIERS)
        _require("max_steps", self.max_steps, 1, MAX_STEPS)
        _require("projection_multipliers", self.projection_multipliers, 0, MAX_MULTIPLIERS)
        _require("interleave", self.interleave, 1, MAX_INTERLEAVE)
        if self.interleave & (self.interleave - 1):
            raise ExportError(f"interleave is {self.interleave}; expected a power of two from 1 to {MAX_INTERLEAVE}")
        if self.share not in SHARES:
            raise ExportError(f"share is {self.share!r}; expected {', '.join(SHARES)}")
        if self.output not in OUTPUTS:
            raise ExportError(f"output is {self.output!r}; expected {', '.join(OUTPUTS)}")
        if not isinstance(self.writable_weights, bool):
            raise ExportError(f"writable_weights is {self.writable_weights!r}; expected true or false")

    @property
    def chained(self) -> bool:
        """Whether cells that take turns in an engine are layers, each of which reads what the one before hands back."""
        return self.share == "layers"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> "Options":
        """Build options from plain, untrusted values.

        Raises:
            ExportError: a field is missing, unknown or out of range.
        """
        given = _fields("the options", values, cls)
        given["pipeline"] = Pipeline(**_fields("the pipeline", given["pipeline"], Pipeline))
        return cls(**given)


def pipeline_of(pipeline: str | Pipeline) -> Pipeline:
    """A pipeline by its name in ``PIPELINES``, or itself.

    Raises:
        ExportError: there is none of that name.
    """
    if isinstance(pipeline, Pipeline):
        return pipeline
    if pipeline not in PIPELINES:
        raise ExportError(f"the pipeline is {pipeline!r}; expected {', '.join(PIPELINES)}, or a Pipeline")
    return PIPELINES[pipeline]


def _fields(what: str, values: object, kind: type) -> dict[str, Any]:
    names = [one.name for one in fields(kind)]
    if not isinstance(values, Mapping) or set(cast("Mapping[str, Any]", values)) != set(names):
        raise ExportError(f"{what} of an export have to be an object with {', '.join(names)}; export it again")
    return dict(cast("Mapping[str, Any]", values))


def _require(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ExportError(f"{name} is {value!r}; expected an integer from {least} to {most}")


_RANGES = {
    "in_elements": (1, 1 << 12),
    "out_elements": (1, 1 << 12),
    "link_elements": (1, 1 << 12),
    "memory_stages": (0, 3),
    "operand_stages": (0, 4),
    "product_stages": (0, 8),
    "sum_stages": (0, 1),
}

PIPELINES = {
    "deep": Pipeline(),
    "middle": Pipeline(memory_stages=1, operand_stages=0, product_stages=1, sum_stages=1),
    "shallow": Pipeline(memory_stages=0, operand_stages=0, product_stages=0, sum_stages=0),
}
"""Deep suits 200 MHz on ECP5; middle takes fewer cells and half of the frequency; shallow takes the fewest clocks."""
