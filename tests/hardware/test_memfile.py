"""Memory images: the words as the contract orders them, and that they read back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixed.plans import RANDOM, cell_plans, cell_weights, variants

from gatesmith.errors import ExportError
from gatesmith.fixed.linear import LinearPlan, LinearWeights
from gatesmith.hardware.memfile import (
    bias_words,
    cell_files,
    from_hex,
    linear_texts,
    pack,
    products_per_word,
    read_weights,
    table_words,
    to_hex,
    unpack,
    weight_words,
)

many = settings(derandomize=True, deadline=None, max_examples=150)


@many
@given(st.data(), st.integers(1, 20))
def test_unpack_undoes_pack(data: st.DataObject, width: int) -> None:
    codes = data.draw(st.lists(st.integers(-(2 ** (width - 1)), 2 ** (width - 1) - 1), max_size=9))
    assert unpack(pack(codes, width), width, len(codes)) == codes


def test_the_first_field_is_lowest() -> None:
    assert pack([1, -1, 2], 4) == 0x2F1


@many
@given(st.data(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 60))
def test_weight_words_are_the_stream_of_products(
    data: st.DataObject, inputs: int, hidden: int, multipliers: int
) -> None:
    cell = data.draw(cell_plans(input_size=inputs, hidden_size=hidden))
    weights = cell_weights(np.random.default_rng(hidden), cell, RANDOM)
    rows, columns = 4 * hidden, inputs + hidden
    words = weight_words(weights, cell.w_width, multipliers)
    size = multipliers if multipliers <= rows else multipliers // rows * rows
    for product in range(rows * columns):
        row, column = product % rows, product // rows
        matrix, at = (weights.w_ih, column) if column < inputs else (weights.w_hh, column - inputs)
        field = (words[product // size] >> (product % size * cell.w_width)) & (2**cell.w_width - 1)
        assert field == int(matrix[row, at]) % 2**cell.w_width
    assert len(words) == -(-rows * columns // size)
    used = rows * columns - (len(words) - 1) * size
    assert words[-1] >> (used * cell.w_width) == 0


@many
@given(st.data(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 60))
def test_weights_read_back_from_text(data: st.DataObject, inputs: int, hidden: int, multipliers: int) -> None:
    cell = data.draw(cell_plans(input_size=inputs, hidden_size=hidden, spec=data.draw(variants(inputs, hidden))))
    weights = cell_weights(np.random.default_rng(inputs), cell, RANDOM)
    lanes = data.draw(st.integers(1, cell.output_size))
    files = cell_files(cell, [weights], multipliers, lanes)
    again = read_weights(cell, files, multipliers, lanes)
    for name in ("w_ih", "w_hh", "b"):
        assert (getattr(again, name) == getattr(weights, name)).all()
    assert (weights.p is None and again.p is None) or (again.p == weights.p).all()
    if weights.projection:
        assert again.projection
        assert (again.projection.w == weights.projection.w).all()
        assert (again.projection.b == weights.projection.b).all()


@pytest.mark.parametrize(("multipliers", "expected"), [(1, 1), (12, 12), (13, 12), (23, 12), (24, 24), (47, 36)])
def test_wide_words_hold_whole_columns(multipliers: int, expected: int) -> None:
    assert products_per_word(3, multipliers) == expected


@many
@given(st.data())
def test_bias_and_table_words(data: st.DataObject) -> None:
    cell = data.draw(cell_plans(input_size=2, hidden_size=3))
    weights = cell_weights(np.random.default_rng(3), cell, RANDOM)
    for unit, word in enumerate(bias_words(weights, cell.b_width)):
        assert unpack(word, cell.b_width, 4) == weights.b[4 * unit : 4 * unit + 4].tolist()
    table = cell.cell_table
    for at, word in enumerate(table_words(table, cell.slope_width)):
        assert unpack(word, cell.a_width, 1) == [table.value[at]]
        assert unpack(word >> cell.a_width, cell.slope_width, 1) == [table.slope[at]]
        assert word >> (cell.a_width + cell.slope_width) == 0


def test_words_of_a_projection_hold_the_outputs_of_one_element() -> None:
    plan = LinearPlan(
        input_size=2, output_size=3, x_width=8, x_frac=7, w_width=4, w_frac=3, b_width=8, y_width=8, y_frac=6
    )
    weights = LinearWeights(w=np.array([[1, 2], [3, 4], [5, 6]]), b=np.array([1, -1, 2]))
    assert linear_texts(plan, weights, 2) == ("31\n05\n42\n06\n", "01\nff\n02\n")


def test_hex_has_one_padded_word_a_line() -> None:
    assert to_hex([0, 0xABC, 5], 13) == "0000\n0abc\n0005\n"
    assert from_hex("0000\n0abc\n0005\n", 13) == [0, 0xABC, 5]


@pytest.mark.parametrize("text", ["0x12\n", "-1\n", "zz\n", "0_1\n", "@10\n", "3fff\n", "00000\n"])
def test_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(ExportError, match="expected a hexadecimal word of 13 bits"):
        from_hex(text, 13)


def test_a_wrong_number_of_words_is_refused() -> None:
    from tests.fixed.test_cell import PLAIN

    weights = cell_weights(np.random.default_rng(0), PLAIN, RANDOM)
    files = cell_files(PLAIN, [weights], 16)
    with pytest.raises(ExportError, match="a weight file holds 9 words; expected 10"):
        read_weights(PLAIN, files | {"WeightFile": files["WeightFile"].split("\n", 1)[1]}, 16)
    with pytest.raises(ExportError, match="a bias file holds 6 words; expected 5"):
        read_weights(PLAIN, files | {"BiasFile": files["BiasFile"] + "0\n"}, 16)
