"""Activation tables: half of a symmetric function in equal segments, interpolated linearly in integers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gatesmith.errors import FormatError
from gatesmith.fixed.qformat import Codes, QFormat, Reals, round_shift

Z_INTEGER_BITS = 3
"""z covers [-8, 8): sign, three integer bits, and the rest is fraction."""

CHUNK = 1 << 20
"""Codes that the exhaustive error scan evaluates at once; bounds its memory at 24 bits."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A function with a symmetry: f(-z) = offset - f(z), offset 0 (odd) or 1 (a sigmoid)."""

    function: Callable[[Reals], Reals]
    offset: int


def _sigmoid(z: Reals) -> Reals:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


CURVES = {
    "sigmoid": Curve(function=_sigmoid, offset=1),
    "tanh": Curve(function=np.tanh, offset=0),
    "hard_sigmoid": Curve(function=lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0), offset=1),
    "hard_tanh": Curve(function=lambda z: np.clip(z, -1.0, 1.0), offset=0),
}
"""Every function that a plan can name. The hard ones are exact in a table of 16 segments already."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One activation as the hardware evaluates it.

    Attributes:
        value: [2^A] the function at a segment's left end, in a's format (``Q1.{a_width - 2}``).
        slope: [2^A] the difference to the right end.
        clip: bound on the magnitude of z, as a code; 0 for none.
    """

    name: str
    z_width: int
    a_width: int
    value: Codes
    slope: Codes
    clip: int = 0

    @property
    def z_format(self) -> QFormat:
        return z_format(self.z_width)

    @property
    def a_format(self) -> QFormat:
        return a_format(self.a_width)

    @property
    def segment_bits(self) -> int:
        """F: bits of z within a segment."""
        return self.z_width - 1 - (self.value.size.bit_length() - 1)

    @property
    def slope_width(self) -> int:
        """Bits that hold every slope."""
        return max(signed_bits(int(self.slope.min())), signed_bits(int(self.slope.max())))

    def __call__(self, z: Codes) -> Codes:
        """Codes of f(z) from codes of z; any shape."""
        segment_bits = self.segment_bits
        magnitude = np.minimum(np.abs(z), self.z_format.max_code)
        segment = magnitude >> segment_bits
        rest = magnitude & ((1 << segment_bits) - 1)
        positive = self.value[segment] + round_shift(self.slope[segment] * rest, segment_bits)
        offset = CURVES[self.name].offset << self.a_format.fraction
        return np.where(z < 0, offset - positive, positive)


@lru_cache(maxsize=64)
def build_table(name: str, *, z_width: int, a_width: int, table_bits: int, clip: int = 0) -> Table:
    """The table of a named curve, with ``2^min(table_bits, z_width - 1)`` segments.

    ``clip`` bounds the magnitude of z, as a code; 0 for none. It is exact where it is an end of a segment.

    Inner end points lie off the curve by half the mean sagitta of the two segments that they join, which halves the
    error of a chord; the first stays on the curve, so that tanh(0) = 0 and sigmoid(0) = 1/2 are exact.

    Error: 5.6e-5 (tanh) and 2.0e-5 (sigmoid) at most, at z_width 16, a_width 18, 256 segments.

    Raises:
        FormatError: the name is unknown.
    """
    if name not in CURVES:
        raise FormatError(f"activation {name!r} is unknown; expected one of {', '.join(CURVES)}")
    function = _clipped(name, z_width, clip)
    ends = np.linspace(0.0, 1 << Z_INTEGER_BITS, (1 << min(table_bits, z_width - 1)) + 1)
    real = function(ends)
    sagitta = function((ends[:-1] + ends[1:]) / 2) - (real[:-1] + real[1:]) / 2
    if min(table_bits, z_width - 1) < z_width - 1:  # where every code is an end point there is no chord
        real[1:-1] += (sagitta[:-1] + sagitta[1:]) / 4
        real[-1] += sagitta[-1] / 2
    codes = a_format(a_width).quantise(np.clip(real, 0.0, 1.0))
    return Table(name=name, z_width=z_width, a_width=a_width, clip=clip, value=codes[:-1], slope=np.diff(codes))


def worst_case_error(table: Table) -> float:
    """Largest absolute difference between the table and the real function, over every code of z."""
    z_codes = z_format(table.z_width)
    function, worst = _clipped(table.name, table.z_width, table.clip), 0.0
    for start in range(z_codes.min_code, z_codes.max_code + 1, CHUNK):
        z = np.arange(start, min(start + CHUNK, z_codes.max_code + 1), dtype=np.int64)
        error = table.a_format.dequantise(table(z)) - function(z_codes.dequantise(z))
        worst = max(worst, float(np.abs(error).max()))
    return worst


def _clipped(name: str, z_width: int, clip: int) -> Callable[[Reals], Reals]:
    function = CURVES[name].function
    if not clip:
        return function
    bound = float(z_format(z_width).dequantise(clip))
    return lambda z: function(np.clip(z, -bound, bound))


def z_format(z_width: int) -> QFormat:
    """Format of a pre-activation: [-8, 8)."""
    return QFormat(width=z_width, fraction=z_width - 1 - Z_INTEGER_BITS)


def a_format(a_width: int) -> QFormat:
    """Format of an activation: [-2, 2), so that 1.0 is representable."""
    return QFormat(width=a_width, fraction=a_width - 2)


def signed_bits(value: int) -> int:
    """Bits of the narrowest two's complement that holds ``value``."""
    return (value if value >= 0 else -value - 1).bit_length() + 1
