"""The head of a classifier in integers: a linear map of the last step's output, and the class with the largest sum."""

from dataclasses import dataclass

import numpy as np

from gatesmith.errors import FormatError
from gatesmith.fixed.qformat import MAX_BITS, Codes, QFormat, Reals, require_integer, round_shift, saturate

BOUNDS = {
    "input_size": (1, 1 << 20),
    "classes": (1, 1 << 16),
    "x_width": (4, 24),
    "x_frac": (-32, 48),
    "w_width": (2, 18),
    "w_frac": (-32, 48),
    "b_width": (2, 60),
    "y_width": (4, 24),
    "y_frac": (-32, 48),
}
"""Smallest and largest value of every integer of a head's plan."""


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """Every format of a head: x is the last layer's output, y are the scores.

    Raises:
        FormatError: a value is out of range, or a sum could leave 63 bits.
    """

    input_size: int
    classes: int
    x_width: int
    x_frac: int
    w_width: int
    w_frac: int
    b_width: int
    y_width: int
    y_frac: int

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            require_integer(f"head.{name}", getattr(self, name), least, most)
        shift = self.acc_frac - self.y_frac
        bits = max(self.acc_width, shift) + 2 if shift > 0 else self.acc_width - shift
        if bits > MAX_BITS:
            raise FormatError(f"the head's sum needs {bits} bits; expected at most {MAX_BITS}, choose narrower formats")

    @property
    def x_format(self) -> QFormat:
        return QFormat(width=self.x_width, fraction=self.x_frac)

    @property
    def w_format(self) -> QFormat:
        return QFormat(width=self.w_width, fraction=self.w_frac)

    @property
    def b_format(self) -> QFormat:
        return QFormat(width=self.b_width, fraction=self.acc_frac)

    @property
    def y_format(self) -> QFormat:
        return QFormat(width=self.y_width, fraction=self.y_frac)

    @property
    def class_format(self) -> QFormat:
        """Of the number of a class, which is never negative."""
        return QFormat(width=max(1, (self.classes - 1).bit_length()) + 1, fraction=0)

    @property
    def acc_frac(self) -> int:
        return self.x_frac + self.w_frac

    @property
    def acc_width(self) -> int:
        """Bits with which a sum can't overflow."""
        products = self.input_size << (self.w_width - 1 + self.x_width - 1)
        return 1 + (products + (1 << (self.b_width - 1))).bit_length()


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadWeights:
    """Codes of a head.

    Attributes:
        w: [K, F] in the plan's ``w_format``.
        b: [K] in ``b_format``.
    """

    w: Codes
    b: Codes


def quantise_head(plan: HeadPlan, weight: Reals, bias: Reals) -> HeadWeights:
    """Codes of a head's weight [K, F] and bias [K].

    Raises:
        FormatError: a shape doesn't belong to the plan.
    """
    shapes, expected = (weight.shape, bias.shape), ((plan.classes, plan.input_size), (plan.classes,))
    if shapes != expected:
        raise FormatError(f"the head's weight and bias have shapes {shapes}; the plan expects {expected}")
    return HeadWeights(w=plan.w_format.quantise(weight), b=plan.b_format.quantise(bias))


def sums_of(weights: HeadWeights, x: Codes) -> Codes:
    """[N, K] exact sums of x [N, F]."""
    return x @ weights.w.T + weights.b


def scores_of(plan: HeadPlan, weights: HeadWeights, x: Codes) -> Codes:
    """[N, K] scores in ``y_format`` of x [N, F], each rounded once and saturated."""
    return saturate(round_shift(sums_of(weights, x), plan.acc_frac - plan.y_frac), plan.y_width)


def classes_of(weights: HeadWeights, x: Codes) -> Codes:
    """[N] the class with the largest exact sum, the first of equal ones."""
    return sums_of(weights, x).argmax(axis=1).astype(np.int64)


def last_steps(y: Codes, lengths: Codes) -> Codes:
    """[N, F] the last valid step of y [T, N, F]; of a sequence without steps the first."""
    return y[np.maximum(lengths, 1) - 1, np.arange(y.shape[1])]
