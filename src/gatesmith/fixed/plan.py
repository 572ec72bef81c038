"""The frozen plan of formats between real numbers and integers, named as in docs/fixed-point.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, cast

from gatesmith.errors import FormatError
from gatesmith.fixed.head import HeadPlan
from gatesmith.fixed.qformat import MAX_BITS, QFormat, require_integer
from gatesmith.fixed.tables import CURVES, Table, a_format, build_table, z_format
from gatesmith.spec import SIGMOID, TANH, Activation, LSTMSpec

BOUNDS = {
    "input_size": (1, 1 << 20),
    "hidden_size": (1, 1 << 20),
    "x_width": (4, 24),
    "x_frac": (-32, 48),
    "h_width": (4, 24),
    "h_frac": (0, 23),
    "w_width": (2, 18),
    "w_ih_frac": (-32, 48),
    "w_hh_frac": (-32, 48),
    "b_width": (2, 60),
    "z_width": (5, 24),
    "a_width": (4, 27),
    "c_width": (4, 32),
    "c_frac": (0, 31),
    "p_width": (2, 18),
    "p_frac": (-32, 48),
    "z_clip": (0, (1 << 23) - 1),
    "c_clip": (0, (1 << 31) - 1),
    "table_bits": (1, 12),
}
"""Smallest and largest value of every integer of a cell's plan."""

PEEPHOLES = ("", "i", "f", "o", "if", "io", "fo", "ifo")

GATE_CURVES = {SIGMOID: "sigmoid", Activation(name="hard_sigmoid"): "hard_sigmoid"}
"""Gate activations of a spec that a table computes, by the table's name."""


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """Every format of one cell (layer and direction), named as in the contract's table.

    ``peepholes`` names the gates that see c, a subset of "ifo"; ``z_clip`` and ``c_clip`` are codes, 0 for no clip.

    Raises:
        FormatError: a value is out of range, or a sum could leave 63 bits.
    """

    input_size: int
    hidden_size: int
    x_width: int
    x_frac: int
    h_width: int
    h_frac: int
    w_width: int
    w_ih_frac: int
    w_hh_frac: int
    b_width: int
    z_width: int
    a_width: int
    c_width: int
    c_frac: int
    table_bits: int = 8
    gate_activation: str = "sigmoid"
    cell_activation: str = "tanh"
    peepholes: str = ""
    p_width: int = 8
    p_frac: int = 0
    z_clip: int = 0
    c_clip: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            require_integer(name, getattr(self, name), least, most)
        if self.h_frac > self.h_width - 1:
            raise FormatError(f"h_frac is {self.h_frac}; expected at most h_width - 1 = {self.h_width - 1}")
        if self.c_frac > self.c_width - 1:
            raise FormatError(f"c_frac is {self.c_frac}; expected at most c_width - 1 = {self.c_width - 1}")
        if self.h_frac > 2 * self.a_frac:
            raise FormatError(f"h_frac is {self.h_frac}; expected at most 2 * (a_width - 2) = {2 * self.a_frac}")
        for name, offset in (("gate_activation", 1), ("cell_activation", 0)):
            choices = [curve for curve, row in CURVES.items() if row.offset == offset]
            if getattr(self, name) not in choices:
                raise FormatError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}")
        if self.peepholes not in PEEPHOLES:
            raise FormatError(f"peepholes is {self.peepholes!r}; expected a subset of 'ifo' in that order")
        for name, form in (("z_clip", self.z_format), ("c_clip", self.c_format)):
            if getattr(self, name) > form.max_code:
                raise FormatError(f"{name} is {getattr(self, name)}; expected at most {form.max_code} in {form}")
        for name, bits in self.intermediate_widths().items():
            if bits > MAX_BITS:
                raise FormatError(f"{name} needs {bits} bits; expected at most {MAX_BITS}, choose narrower formats")

    @property
    def x_format(self) -> QFormat:
        return QFormat(width=self.x_width, fraction=self.x_frac)

    @property
    def h_format(self) -> QFormat:
        return QFormat(width=self.h_width, fraction=self.h_frac)

    @property
    def c_format(self) -> QFormat:
        return QFormat(width=self.c_width, fraction=self.c_frac)

    @property
    def w_ih_format(self) -> QFormat:
        return QFormat(width=self.w_width, fraction=self.w_ih_frac)

    @property
    def w_hh_format(self) -> QFormat:
        return QFormat(width=self.w_width, fraction=self.w_hh_frac)

    @property
    def p_format(self) -> QFormat:
        return QFormat(width=self.p_width, fraction=self.p_frac)

    @property
    def b_format(self) -> QFormat:
        return QFormat(width=self.b_width, fraction=self.acc_frac)

    @property
    def z_format(self) -> QFormat:
        return z_format(self.z_width)

    @property
    def a_format(self) -> QFormat:
        return a_format(self.a_width)

    @property
    def z_frac(self) -> int:
        return self.z_format.fraction

    @property
    def a_frac(self) -> int:
        return self.a_format.fraction

    @property
    def x_shift(self) -> int:
        """Left shift that brings products with x to the accumulator's fraction."""
        return max(0, self.h_frac + self.w_hh_frac - self.x_frac - self.w_ih_frac)

    @property
    def h_shift(self) -> int:
        """Left shift that brings products with h to the accumulator's fraction."""
        return max(0, self.x_frac + self.w_ih_frac - self.h_frac - self.w_hh_frac)

    @property
    def acc_frac(self) -> int:
        return self.x_frac + self.x_shift + self.w_ih_frac

    @property
    def operand_width(self) -> int:
        """Bits of a shifted x or h, the multiplier's second operand."""
        return max(self.x_width + self.x_shift, self.h_width + self.h_shift)

    @property
    def acc_width(self) -> int:
        """Bits with which the accumulator can't overflow, by the contract's formula."""
        from_x = self.input_size << (self.w_width - 1 + self.x_width - 1 + self.x_shift)
        from_h = self.hidden_size << (self.w_width - 1 + self.h_width - 1 + self.h_shift)
        return 1 + (from_x + from_h + (1 << (self.b_width - 1))).bit_length()

    @property
    def slope_width(self) -> int:
        """Bits of a slope in any table."""
        return max(table.slope_width for table in (self.gate_table, self.candidate_table, self.cell_table))

    @property
    def gate_table(self) -> Table:
        """Of the gates i, f and o."""
        return self._table(self.gate_activation, self.z_clip)

    @property
    def candidate_table(self) -> Table:
        """Of the candidate g."""
        return self._table(self.cell_activation, self.z_clip)

    @property
    def cell_table(self) -> Table:
        """Of the cell state in the output, which the clip of the gates doesn't bound."""
        return self._table(self.cell_activation, 0)

    def _table(self, name: str, clip: int) -> Table:
        return build_table(name, z_width=self.z_width, a_width=self.a_width, table_bits=self.table_bits, clip=clip)

    def intermediate_widths(self) -> dict[str, int]:
        """Bits of every intermediate of a step, inside :func:`round_shift` too."""
        f_times_c = self.a_width + self.c_width - 1 + max(0, self.a_frac - self.c_frac)
        i_times_g = 2 * self.a_width - 1 + max(0, self.c_frac - self.a_frac)
        c_shift = max(2 * self.a_frac, self.a_frac + self.c_frac) - self.c_frac
        with_peephole = 1 + max(
            self.acc_width + max(0, self.p_frac + self.c_frac - self.acc_frac),
            self.p_width + self.c_width - 1 + max(0, self.acc_frac - self.p_frac - self.c_frac),
        )
        peephole = {
            "a sum with its peephole": _bits_in_round_shift(
                with_peephole, max(self.acc_frac, self.p_frac + self.c_frac) - self.z_frac
            )
        }
        return (peephole if self.peepholes else {}) | {
            "the accumulator": _bits_in_round_shift(self.acc_width, self.acc_frac - self.z_frac),
            "f * c + i * g": _bits_in_round_shift(max(f_times_c, i_times_g) + 1, c_shift),
            "c in the format of z": _bits_in_round_shift(self.c_width, self.c_frac - self.z_frac),
            "o * tanh(c)": _bits_in_round_shift(2 * self.a_width - 1, 2 * self.a_frac - self.h_frac),
            "slope * rest": _bits_in_round_shift(self.slope_width + self.z_width - 1, self.gate_table.segment_bits),
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The formats of every cell of an LSTM, in the order of :meth:`LSTMSpec.cells`, and of a classifier's head.

    All directions of a layer share their h format, so that the layer's output has one format.
    """

    cells: tuple[CellPlan, ...]
    head: HeadPlan | None = None

    def __post_init__(self) -> None:
        if not self.cells:
            raise FormatError("the plan has no cells; expected one for each layer and direction")

    def require(self, spec: LSTMSpec) -> None:
        """Check that the plan belongs to ``spec``.

        Raises:
            FormatError: the number of cells or a size differs, or directions of one layer differ in h's format.
        """
        cells = spec.cells()
        if len(cells) != len(self.cells):
            raise FormatError(f"the plan has {len(self.cells)} cells; expected {len(cells)} for {spec}")
        for (layer, _, name), cell in zip(cells, self.cells, strict=True):
            sizes, expected = (cell.input_size, cell.hidden_size), (spec.layer_input_size(layer), spec.hidden_size)
            if sizes != expected:
                raise FormatError(f"the plan of cell {name} has (D, H) = {sizes}; expected {expected}")
            _require_variant(name, cell, spec)
            first = self.cells[layer * spec.num_directions]
            if cell.h_format != first.h_format or cell.x_format != first.x_format:
                raise FormatError(
                    f"the plan of cell {name} has x in {cell.x_format} and h in {cell.h_format}; expected"
                    f" {first.x_format} and {first.h_format}, the same for both directions of a layer"
                )

        if self.head:
            features, form = spec.num_directions * spec.hidden_size, self.y_format
            if self.head.input_size != features or self.head.x_format != form:
                raise FormatError(
                    f"the plan of the head reads {self.head.input_size} features in {self.head.x_format}; expected"
                    f" {features} in {form}"
                )

    @property
    def x_format(self) -> QFormat:
        """Of the first layer's input."""
        return self.cells[0].x_format

    @property
    def y_format(self) -> QFormat:
        """Of the last layer's output."""
        return self.cells[-1].h_format

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them back."""
        cells = {"cells": [asdict(cell) for cell in self.cells]}
        return cells | ({"head": asdict(self.head)} if self.head else {})

    @classmethod
    def from_dict(cls, values: object) -> "Plan":
        """Build a plan from plain, untrusted values.

        Raises:
            FormatError: a field is missing, unknown or impossible.
        """
        given = _object("the plan", values)
        if set(given) - {"head"} != {"cells"} or not isinstance(given["cells"], list):
            raise FormatError(f"the plan has the fields {', '.join(sorted(given)) or 'none'}; expected a list 'cells'")
        cells = cast("list[object]", given["cells"])
        return cls(
            cells=tuple(_plan_from(CellPlan, f"cell {at} of the plan", cell) for at, cell in enumerate(cells)),
            head=_plan_from(HeadPlan, "the head of the plan", given["head"]) if "head" in given else None,
        )

    def to_json(self) -> str:
        """Indented JSON, the same text for equal plans."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what :meth:`to_json` wrote; the text is untrusted.

        Raises:
            FormatError: as :meth:`from_dict`, or the text is no JSON.
        """
        try:
            values: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"the plan is not valid JSON ({error}); expected an object") from None
        return cls.from_dict(values)


def unsupported_feature(spec: LSTMSpec) -> str | None:
    """The feature of ``spec`` that the integer world can't express, named for a message; None where it has all."""
    if spec.full_peepholes:
        return f"peepholes with a full matrix ({spec.full_peepholes})"
    if spec.proj_size:
        return f"a projection (proj_size = {spec.proj_size})"
    if spec.layer_norm != "none":
        return f"layer normalisation ({spec.layer_norm})"
    if spec.zoneout_h or spec.zoneout_c:
        return f"zoneout (zoneout_h = {spec.zoneout_h}, zoneout_c = {spec.zoneout_c})"
    for name in ("drop_states", "residual"):
        if getattr(spec, name):
            return name
    for direction in spec.directions:
        gates, candidate, output = spec.activations_of(direction)
        if gates not in GATE_CURVES or candidate != TANH or output != TANH:
            return f"the activations ({gates.name}, {candidate.name}, {output.name})"
    return None


def effective_peepholes(spec: LSTMSpec) -> str:
    """The gates that see c in hardware: a coupled gate does where the one that it comes from does."""
    source = {"i": "f", "f": "i"}.get(spec.derived_gate)
    return "".join(
        gate for gate in "ifo" if (source if source and gate == spec.derived_gate else gate) in spec.peepholes
    )


def clip_code(bound: float | None, form: QFormat) -> int:
    """The code at which a clip bounds a tensor, at least 1; 0 where there is no clip, or none that the format feels."""
    if bound is None or bound >= form.max:
        return 0
    return max(1, int(form.quantise(bound)))


def _require_variant(name: str, cell: CellPlan, spec: LSTMSpec) -> None:
    for what, given, expected in (
        ("peepholes of", cell.peepholes, effective_peepholes(spec)),
        ("z_clip", cell.z_clip, clip_code(spec.gate_clip, cell.z_format)),
        ("c_clip", cell.c_clip, clip_code(spec.cell_clip, cell.c_format)),
    ):
        if given != expected:
            raise FormatError(f"the plan of cell {name} has {what} {given!r}; expected {expected!r} for {spec}")


def curves_of(spec: LSTMSpec, direction: str) -> tuple[str, str]:
    """Names of the tables of (gates, candidate and cell) for a supported spec."""
    return GATE_CURVES[spec.activations_of(direction)[0]], "tanh"


def _bits_in_round_shift(width: int, shift: int) -> int:
    """Signed bits of ``value + 2^(shift - 1)``, or of ``value << -shift``, for a value of ``width`` bits."""
    return max(width, shift + 1) + 1 if shift > 0 else width - shift


P = TypeVar("P", CellPlan, HeadPlan)


def _plan_from(kind: type[P], what: str, values: object) -> P:
    given = _object(what, values)
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise FormatError(f"{what} has an unknown field {name!r}; expected {', '.join(known)}")
    for name in known:
        if name not in given:
            raise FormatError(f"{what} lacks {name!r}; expected all of {', '.join(known)}")
    return kind(**given)


def _object(what: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise FormatError(f"{what} is a {type(values).__name__}; expected an object with named fields")
    return {str(name): value for name, value in cast("Mapping[object, Any]", values).items()}
