"""Activation tables: their error over every code, their symmetry, and the interpolation against plain integers."""

import numpy as np
import pytest
from tests.fixed.scalar import activate
from tests.tolerances import TOLERANCES

from gatesmith.errors import FormatError
from gatesmith.fixed.tables import CURVES, Table, build_table, worst_case_error

SIZES = [(16, 18, 8), (16, 18, 4), (12, 14, 8), (8, 10, 8), (5, 4, 1), (20, 22, 10)]


def every_code(table: Table) -> np.ndarray:
    form = table.z_format
    return np.arange(form.min_code, form.max_code + 1, dtype=np.int64)


def default_table(name: str) -> Table:
    return build_table(name, z_width=16, a_width=18, table_bits=8)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_error_over_every_code_at_16_bits(name: str) -> None:
    error = worst_case_error(default_table(name))
    print(f"{name}: {error:.2e}")
    assert error < TOLERANCES["activation_table_16_bits"]


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_error_agrees_with_a_plain_scan(name: str) -> None:
    table = default_table(name)
    z = every_code(table) / 2.0**12
    real = np.tanh(z) if name == "tanh" else 1 / (1 + np.exp(-z))
    assert worst_case_error(table) == pytest.approx(np.abs(table(every_code(table)) / 2.0**16 - real).max(), rel=1e-6)


@pytest.mark.parametrize(("name", "bits"), [("hard_sigmoid", 4), ("hard_tanh", 3)])
def test_hard_curves_are_exact_in_few_segments(name: str, bits: int) -> None:
    table = build_table(name, z_width=16, a_width=18, table_bits=bits)
    assert worst_case_error(table) <= table.a_format.resolution


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_error_scan_sees_a_single_wrong_entry(name: str) -> None:
    table = default_table(name)
    value = table.value.copy()
    value[100] += 64
    broken = Table(name=name, z_width=16, a_width=18, value=value, slope=table.slope)
    assert worst_case_error(broken) > 64 * table.a_format.resolution - worst_case_error(table)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CURVES)
def test_symmetric_monotone_and_within_range(name: str, size: tuple[int, int, int]) -> None:
    table = build_table(name, z_width=size[0], a_width=size[1], table_bits=size[2])
    codes, one = table(every_code(table)), 1 << (size[1] - 2)
    offset = CURVES[name].offset * one
    inner = codes[1:]  # without the most negative code, which has no opposite
    assert (inner + inner[::-1] == offset).all()
    assert codes[0] == codes[1]
    assert (np.diff(codes) >= 0).all()
    assert codes.min() >= offset - one
    assert codes.max() <= one
    assert int(table(np.array([0]))[0]) == offset // 2


@pytest.mark.parametrize("size", SIZES[1:5])
@pytest.mark.parametrize("name", CURVES)
def test_interpolation_is_the_contract_s(name: str, size: tuple[int, int, int]) -> None:
    z_width, a_width, table_bits = size
    table = build_table(name, z_width=z_width, a_width=a_width, table_bits=table_bits)
    plan = {"z_width": z_width, "a_width": a_width, "table_bits": table_bits}
    entries = list(zip(table.value.tolist(), table.slope.tolist(), strict=True))
    codes = every_code(table)[:: max(1, 2**z_width // 509)]
    assert table(codes).tolist() == [activate(z, plan, entries, offset=CURVES[name].offset) for z in codes.tolist()]


@pytest.mark.parametrize("name", CURVES)
def test_slopes_fit_their_width(name: str) -> None:
    table = default_table(name)
    half = 1 << (table.slope_width - 1)
    assert -half <= table.slope.min()
    assert half // 2 <= table.slope.max() < half


def test_more_segments_help_wide_data() -> None:
    coarse, fine = (build_table("tanh", z_width=20, a_width=22, table_bits=bits) for bits in (8, 10))
    assert worst_case_error(fine) < worst_case_error(coarse) / 8


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(FormatError, match="activation 'relu' is unknown; expected one of sigmoid, tanh"):
        build_table("relu", z_width=16, a_width=18, table_bits=8)
