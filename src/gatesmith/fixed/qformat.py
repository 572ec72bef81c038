"""Fixed-point formats, and the one place where gatesmith rounds and saturates; everything else calls it.

Codes are int64 NumPy arrays. A plan guarantees that no intermediate needs more than ``MAX_BITS`` bits: no wrap.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatesmith.errors import FormatError

Codes = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

MAX_BITS = 63
"""Widest signed intermediate of any plan, its rounding constant included; one bit below int64."""


def round_shift(value: Codes, shift: int) -> Codes:
    """``value * 2^-shift``, rounded half up: floor((value + 2^(shift-1)) / 2^shift); exact where shift <= 0."""
    if shift > 0:
        return (value + (1 << (shift - 1))) >> shift
    return value << -shift


def saturate(value: Codes, width: int) -> Codes:
    """The nearest value that ``width`` bits in two's complement hold."""
    return np.clip(value, -(1 << (width - 1)), (1 << (width - 1)) - 1)


@dataclass(frozen=True, kw_only=True)
class QFormat:
    """Codes of ``width`` bits that stand for ``code * 2^-fraction``; written Qm.f where signed.

    A fraction may be negative (a code is then a multiple of a power of two) or exceed the width.

    Raises:
        FormatError: the width is not 1 to 63 (2 to 63 where signed), or the fraction not an integer of at most 64.
    """

    width: int
    fraction: int
    signed: bool = True

    def __post_init__(self) -> None:
        require_integer("width", self.width, 2 if self.signed else 1, MAX_BITS)
        require_integer("fraction", self.fraction, -64, 64)

    def __str__(self) -> str:
        return f"{'Q' if self.signed else 'UQ'}{self.width - self.signed - self.fraction}.{self.fraction}"

    @property
    def min_code(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max_code(self) -> int:
        return (1 << (self.width - self.signed)) - 1

    @property
    def resolution(self) -> float:
        """The value of one code step."""
        return math.ldexp(1.0, -self.fraction)

    @property
    def min(self) -> float:
        return math.ldexp(self.min_code, -self.fraction)

    @property
    def max(self) -> float:
        return math.ldexp(self.max_code, -self.fraction)

    def quantise(self, value: npt.ArrayLike) -> Codes:
        """Nearest codes of real values: rounded half up, saturated. Same shape.

        Error: at most half a resolution within [min, max].

        Raises:
            FormatError: a value is not a number.
        """
        real = np.asarray(value, np.float64)
        if np.isnan(real).any():
            raise FormatError(f"can't quantise a value that is not a number to {self}; expected real numbers")
        with np.errstate(over="ignore"):
            scaled = np.clip(np.ldexp(real, self.fraction), -(2.0**62), 2.0**62)
        floor = np.floor(scaled)
        rounded = floor + (scaled - floor >= 0.5)  # floor(scaled + 0.5) would round the sum itself
        return np.clip(rounded.astype(np.int64), self.min_code, self.max_code)

    def dequantise(self, codes: npt.ArrayLike) -> Reals:
        """The real values of codes; exact up to 53 bits."""
        return np.ldexp(np.asarray(codes, np.int64).astype(np.float64), -self.fraction)

    def holds(self, codes: Codes) -> bool:
        """Whether every code is within the width."""
        return bool(codes.size == 0 or (codes.min() >= self.min_code and codes.max() <= self.max_code))


def format_for_range(low: float, high: float, *, width: int) -> QFormat:
    """The signed format of ``width`` bits with the finest resolution that holds [low, high] without saturation.

    Raises:
        FormatError: the range is not finite.
    """
    bound = max(abs(low), abs(high))
    if not math.isfinite(bound):
        raise FormatError(f"the range [{low}, {high}] is not finite; expected real numbers to calibrate on")
    if bound == 0:
        return QFormat(width=width, fraction=width - 1)
    fraction = min(width - math.frexp(bound)[1], 64)  # |bound| < 2^exponent, so this is right or one too many
    while fraction > -64:
        candidate = QFormat(width=width, fraction=fraction)
        half = candidate.resolution / 2
        if low >= candidate.min - half and high < candidate.max + half:
            return candidate
        fraction -= 1
    raise FormatError(f"the range [{low}, {high}] is too wide for {width} bits; scale the data")


def require_integer(name: str, value: object, least: int, most: int) -> int:
    """``value`` itself, checked as an untrusted integer.

    Raises:
        FormatError: it is no integer, or outside [least, most].
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise FormatError(f"{name} is {value!r}; expected an integer from {least} to {most}")
    return value
