"""A linear map in integers, exact up to one rounding of each sum: a classifier's head, or the projection of h."""

from dataclasses import dataclass

import numpy as np

from gatesmith.errors import FormatError
from gatesmith.fixed.qformat import MAX_BITS, Codes, QFormat, Reals, require_integer, round_shift, saturate

BOUNDS = {
    "input_size": (1, 1 << 20),
    "output_size": (1, 1 << 16),
    "x_width": (4, 24),
    "x_frac": (-32, 48),
    "w_width": (2, 18),
    "w_frac": (-32, 48),
    "b_width": (2, 60),
    "y_width": (4, 24),
    "y_frac": (-32, 48),
    "y_clip": (0, (1 << 23) - 1),
}
"""Smallest and largest value of every integer of a linear map's plan."""


@dataclass(frozen=True, kw_only=True)
class LinearPlan:
    """Every format of a linear map from x to y; ``y_clip`` is a code, 0 for no clip.

    Raises:
        FormatError: a value is out of range, or a sum could leave 63 bits.
    """

    input_size: int
    output_size: int
    x_width: int
    x_frac: int
    w_width: int
    w_frac: int
    b_width: int
    y_width: int
    y_frac: int
    y_clip: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            require_integer(f"{name} of a linear map", getattr(self, name), least, most)
        if self.y_clip > self.y_format.max_code:
            raise FormatError(
                f"y_clip of a linear map is {self.y_clip}; expected at most {self.y_format.max_code} in {self.y_format}"
            )
        shift = self.acc_frac - self.y_frac
        bits = max(self.acc_width, shift) + 2 if shift > 0 else self.acc_width - shift
        if bits > MAX_BITS:
            raise FormatError(
                f"a linear map's sum needs {bits} bits; expected at most {MAX_BITS}, choose narrower formats"
            )

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
    def acc_frac(self) -> int:
        return self.x_frac + self.w_frac

    @property
    def acc_width(self) -> int:
        """Bits with which a sum can't overflow."""
        products = self.input_size << (self.w_width - 1 + self.x_width - 1)
        return 1 + (products + (1 << (self.b_width - 1))).bit_length()


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearWeights:
    """Codes of a linear map.

    Attributes:
        w: [outputs, inputs] in the plan's ``w_format``.
        b: [outputs] in ``b_format``.
    """

    w: Codes
    b: Codes


def quantise_linear(plan: LinearPlan, weight: Reals, bias: Reals) -> LinearWeights:
    """Codes of a weight [outputs, inputs] and a bias [outputs].

    Raises:
        FormatError: a shape doesn't belong to the plan.
    """
    shapes, expected = (weight.shape, bias.shape), ((plan.output_size, plan.input_size), (plan.output_size,))
    if shapes != expected:
        raise FormatError(f"weight and bias of a linear map have shapes {shapes}; the plan expects {expected}")
    return LinearWeights(w=plan.w_format.quantise(weight), b=plan.b_format.quantise(bias))


def sums_of(weights: LinearWeights, x: Codes) -> Codes:
    """[N, outputs] exact sums of x [N, inputs]."""
    return x @ weights.w.T + weights.b


def rounded(plan: LinearPlan, sums: Codes) -> Codes:
    """Sums in y's fraction, each rounded once, not yet saturated."""
    return round_shift(sums, plan.acc_frac - plan.y_frac)


def bounded(plan: LinearPlan, wide: Codes) -> Codes:
    """What :func:`rounded` gave, in ``y_format``: saturated, then clipped."""
    y = saturate(wide, plan.y_width)
    return np.clip(y, -plan.y_clip, plan.y_clip) if plan.y_clip else y
