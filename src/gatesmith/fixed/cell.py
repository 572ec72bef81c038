"""The formats of one cell, between real numbers and integers, named as in docs/fixed-point.md."""

from dataclasses import dataclass
from functools import cached_property

from gatesmith.errors import FormatError
from gatesmith.fixed.linear import LinearPlan
from gatesmith.fixed.qformat import MAX_BITS, QFormat, require_integer
from gatesmith.fixed.tables import CURVES, Table, a_format, build_table, z_format

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


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """Every format of one cell (layer and direction), named as in the contract's table.

    ``peepholes`` names the gates that see c, a subset of "ifo"; ``z_clip`` and ``c_clip`` are codes, 0 for no clip.
    ``projection`` maps h to r, which then leaves the cell and is read by the next step in h's place.

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
    projection: LinearPlan | None = None

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
        if self.projection:
            self._require_projection(self.projection)
        for name, bits in self.intermediate_widths().items():
            if bits > MAX_BITS:
                raise FormatError(f"{name} needs {bits} bits; expected at most {MAX_BITS}, choose narrower formats")

    def _require_projection(self, projection: LinearPlan) -> None:
        if projection.input_size != self.hidden_size or projection.x_format != self.h_format:
            raise FormatError(
                f"the projection reads {projection.input_size} elements in {projection.x_format}; expected"
                f" {self.hidden_size} in {self.h_format}, those of h"
            )
        if projection.output_size > self.hidden_size:
            raise FormatError(
                f"the projection has {projection.output_size} elements; expected at most H = {self.hidden_size}"
            )

    @property
    def output_size(self) -> int:
        """R: elements of the projection, or of h where there is none."""
        return self.projection.output_size if self.projection else self.hidden_size

    @cached_property
    def y_format(self) -> QFormat:
        """Of what leaves the cell and is read by the next step: the projection, or h where there is none."""
        return self.projection.y_format if self.projection else self.h_format

    @cached_property
    def x_format(self) -> QFormat:
        return QFormat(width=self.x_width, fraction=self.x_frac)

    @cached_property
    def h_format(self) -> QFormat:
        return QFormat(width=self.h_width, fraction=self.h_frac)

    @cached_property
    def c_format(self) -> QFormat:
        return QFormat(width=self.c_width, fraction=self.c_frac)

    @cached_property
    def w_ih_format(self) -> QFormat:
        return QFormat(width=self.w_width, fraction=self.w_ih_frac)

    @cached_property
    def w_hh_format(self) -> QFormat:
        return QFormat(width=self.w_width, fraction=self.w_hh_frac)

    @cached_property
    def p_format(self) -> QFormat:
        return QFormat(width=self.p_width, fraction=self.p_frac)

    @cached_property
    def b_format(self) -> QFormat:
        return QFormat(width=self.b_width, fraction=self.acc_frac)

    @cached_property
    def z_format(self) -> QFormat:
        return z_format(self.z_width)

    @cached_property
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
        return max(0, self.y_format.fraction + self.w_hh_frac - self.x_frac - self.w_ih_frac)

    @property
    def h_shift(self) -> int:
        """Left shift that brings products with the h (or r) before to the accumulator's fraction."""
        return max(0, self.x_frac + self.w_ih_frac - self.y_format.fraction - self.w_hh_frac)

    @property
    def acc_frac(self) -> int:
        return self.x_frac + self.x_shift + self.w_ih_frac

    @property
    def operand_width(self) -> int:
        """Bits of a shifted x or h (or r), the multiplier's second operand."""
        return max(self.x_width + self.x_shift, self.y_format.width + self.h_shift)

    @property
    def acc_width(self) -> int:
        """Bits with which the accumulator can't overflow, by the contract's formula."""
        from_x = self.input_size << (self.w_width - 1 + self.x_width - 1 + self.x_shift)
        from_h = self.output_size << (self.w_width - 1 + self.y_format.width - 1 + self.h_shift)
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


def _bits_in_round_shift(width: int, shift: int) -> int:
    """Signed bits of ``value + 2^(shift - 1)``, or of ``value << -shift``, for a value of ``width`` bits."""
    return max(width, shift + 1) + 1 if shift > 0 else width - shift
