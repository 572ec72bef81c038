"""Rounding, saturation and formats against exact fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesmith.errors import FormatError
from gatesmith.fixed.qformat import QFormat, format_for_range, round_shift, saturate

exhaustive = settings(derandomize=True, deadline=None, max_examples=300)
formats = st.builds(QFormat, width=st.integers(2, 40), fraction=st.integers(-20, 40), signed=st.booleans())


@exhaustive
@given(st.integers(-(2**50), 2**50), st.integers(-8, 40))
def test_round_shift_is_half_up(value: int, shift: int) -> None:
    expected = floor(Fraction(value) / Fraction(2) ** shift + Fraction(1, 2))
    assert int(round_shift(np.int64(value), shift)) == expected


def test_round_shift_sends_every_half_up() -> None:
    assert round_shift(np.array([-3, -2, -1, 0, 1, 2, 3]), 1).tolist() == [-1, -1, 0, 0, 1, 1, 2]


@exhaustive
@given(st.integers(-(2**60), 2**60), st.integers(2, 62))
def test_saturate_moves_to_the_nearest_end(value: int, width: int) -> None:
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    assert int(saturate(np.int64(value), width)) == sorted((low, value, high))[1]


@exhaustive
@given(formats, st.floats(allow_nan=False, allow_infinity=False))
def test_quantise_rounds_the_exact_value(form: QFormat, value: float) -> None:
    exact = floor(Fraction(value) * Fraction(2) ** form.fraction + Fraction(1, 2))
    assert int(form.quantise(value)) == min(max(exact, form.min_code), form.max_code)


@exhaustive
@given(formats, st.data())
def test_quantise_undoes_dequantise(form: QFormat, data: st.DataObject) -> None:
    code = data.draw(st.integers(form.min_code, form.max_code))
    assert int(form.quantise(form.dequantise(code))) == code


def test_quantise_just_below_a_half_rounds_down() -> None:
    assert int(QFormat(width=8, fraction=0).quantise(0.49999999999999994)) == 0


def test_infinities_saturate_and_nan_is_refused() -> None:
    form = QFormat(width=8, fraction=4)
    assert form.quantise([np.inf, -np.inf]).tolist() == [127, -128]
    with pytest.raises(FormatError, match=r"not a number to Q3\.4"):
        form.quantise([0.0, np.nan])


def test_format_facts() -> None:
    form = QFormat(width=16, fraction=12)
    assert (form.min, form.max, form.resolution, str(form)) == (-8.0, 8.0 - 2**-12, 2**-12, "Q3.12")
    unsigned = QFormat(width=8, fraction=8, signed=False)
    assert (unsigned.min, unsigned.max, str(unsigned)) == (0.0, 255 / 256, "UQ0.8")
    assert form.holds(np.array([-32768, 32767]))
    assert not form.holds(np.array([32768]))
    assert form.holds(np.array([], np.int64))


@exhaustive
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(4, 32))
def test_format_for_range_is_the_finest_that_holds_it(low: float, high: float, width: int) -> None:
    low, high = sorted((low, high))
    form = format_for_range(low, high, width=width)
    for value in (low, high):
        assert abs(form.dequantise(form.quantise(value)) - value) <= form.resolution / 2
    if form.fraction < 64 and (low or high):
        finer = QFormat(width=width, fraction=form.fraction + 1)
        exact = [floor(Fraction(v) * Fraction(2) ** finer.fraction + Fraction(1, 2)) for v in (low, high)]
        assert not finer.holds(np.array([np.clip(e, -(2**62), 2**62) for e in exact], np.int64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 1, "fraction": 0}, "width is 1; expected an integer from 2 to 63"),
        ({"width": 64, "fraction": 0}, "width is 64"),
        ({"width": True, "fraction": 0}, "width is True"),
        ({"width": 8, "fraction": 65}, "fraction is 65; expected an integer from -64 to 64"),
        ({"width": 8, "fraction": 1.5}, "fraction is 1.5"),
    ],
)
def test_impossible_formats_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        QFormat(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high", "message"), [(0.0, np.inf, "not finite"), (-1e30, 0.0, "too wide for 8 bits")])
def test_impossible_ranges_are_refused(low: float, high: float, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        format_for_range(low, high, width=8)
