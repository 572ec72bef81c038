"""Memory images for $readmemh: integers packed into words, words as hexadecimal text, and back."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gatesmith.analysis.hardware_memories import words_in_sets
from gatesmith.errors import ExportError
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.linear import LinearPlan, LinearWeights
from gatesmith.fixed.qformat import Codes
from gatesmith.fixed.tables import Table
from gatesmith.fixed.weights import CellWeights

HEAD_WEIGHT, HEAD_BIAS = "weights/head_weight.hex", "weights/head_bias.hex"
MAX_WORDS = 1 << 26
"""More words than any memory that these files describe; bounds what an untrusted file makes us read."""


def pack(codes: Sequence[int], width: int) -> int:
    """One word from two's-complement fields of ``width`` bits, the first in the lowest bits."""
    mask, word = (1 << width) - 1, 0
    for at, code in enumerate(codes):
        word |= (int(code) & mask) << (at * width)
    return word


def unpack(word: int, width: int, count: int) -> list[int]:
    """The first ``count`` fields of a word; undoes :func:`pack`."""
    sign, fields = 1 << (width - 1), [(word >> (at * width)) & ((1 << width) - 1) for at in range(count)]
    return [field - 2 * sign if field & sign else field for field in fields]


def to_hex(words: Iterable[int], width: int) -> str:
    """Text for $readmemh: one word of ``width`` bits in each line."""
    digits = -(-width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)


def from_hex(text: str, width: int) -> list[int]:
    """The words of a file that :func:`to_hex` wrote; the text is untrusted.

    Raises:
        ExportError: a line is no hexadecimal number, or is wider than ``width`` bits.
    """
    lines = text.split()
    if len(lines) > MAX_WORDS:
        raise ExportError(f"a memory file has {len(lines)} words; expected at most {MAX_WORDS}")
    digits, words = set("0123456789abcdefABCDEF"), list[int]()
    for number, line in enumerate(lines, start=1):
        if not set(line) <= digits or len(line) > -(-width // 4) or int(line, 16) >> width:
            raise ExportError(
                f"word {number} of a memory file is {line[:40]!r}; expected a hexadecimal word of {width} bits"
            )
        words.append(int(line, 16))
    return words


def products_per_word(hidden_size: int, multipliers: int) -> int:
    """How many weights stand in one word: P, or whole columns where P is above 4H."""
    column = 4 * hidden_size
    return multipliers if multipliers <= column else multipliers // column * column


def weight_words(weights: CellWeights, width: int, multipliers: int) -> list[int]:
    """The stream of all products of a step, column after column, P to a word; the last word is padded with zeros."""
    stream = np.concatenate([weights.w_ih, weights.w_hh], axis=1).T.ravel()  # [(D + R) * 4H]
    size = products_per_word(len(weights.w_hh) // 4, multipliers)
    return [pack(stream[start : start + size].tolist(), width) for start in range(0, stream.size, size)]


def bias_words(weights: CellWeights, width: int) -> list[int]:
    """One word for each unit, ``{b_o, b_g, b_f, b_i}``."""
    return [pack(unit, width) for unit in weights.b.reshape(-1, 4).tolist()]


def peephole_words(weights: CellWeights, width: int) -> list[int]:
    """One word for each unit, ``{p_o, p_f, p_i}``; none where there are no peepholes."""
    if weights.p is None:
        return []
    return [pack([i, f, o], width) for i, f, _, o in weights.p.reshape(-1, 4).tolist()]


def table_words(table: Table, slope_width: int) -> list[int]:
    """One word for each segment, ``{slope, value}``."""
    pairs = zip(table.value.tolist(), table.slope.tolist(), strict=True)
    return [pack([value], table.a_width) | pack([slope], slope_width) << table.a_width for value, slope in pairs]


def linear_texts(plan: LinearPlan, weights: LinearWeights, lanes: int) -> tuple[str, str]:
    """The text of a linear map's weight and bias file.

    A word holds the weights of ``lanes`` outputs of one element, filled up with zeros; one bias is a word.
    """
    turns = -(-plan.output_size // lanes)
    padded = np.zeros((turns * lanes, plan.input_size), np.int64)
    padded[: plan.output_size] = weights.w
    words = (pack(word, plan.w_width) for word in padded.T.reshape(-1, lanes).tolist())
    biases = (pack([code], plan.b_width) for code in weights.b.tolist())
    return to_hex(words, lanes * plan.w_width), to_hex(biases, plan.b_width)


def cell_files(
    cell: CellPlan, sets: Sequence[CellWeights], multipliers: int, projection_multipliers: int = 1
) -> dict[str, str]:
    """The text of the memory files of an engine, by the SystemVerilog parameter that names the file.

    Args:
        sets: the weights of each cell that it computes; several follow each other in a file, see :func:`in_sets`.
    """
    word = products_per_word(cell.hidden_size, multipliers) * cell.w_width
    entry = cell.a_width + cell.slope_width
    more: dict[str, str] = {}
    if cell.peepholes:
        words = in_sets([peephole_words(weights, cell.p_width) for weights in sets])
        more["PeepholeFile"] = to_hex(words, 3 * cell.p_width)
    if cell.projection and sets[0].projection:
        texts = linear_texts(cell.projection, sets[0].projection, projection_multipliers)
        more |= dict(zip(("ProjWeightFile", "ProjBiasFile"), texts, strict=True))
    return {
        "WeightFile": to_hex(in_sets([weight_words(one, cell.w_width, multipliers) for one in sets]), word),
        "BiasFile": to_hex(in_sets([bias_words(one, cell.b_width) for one in sets]), 4 * cell.b_width),
        "SigmoidFile": to_hex(table_words(cell.gate_table, cell.slope_width), entry),
        "TanhFile": to_hex(table_words(cell.candidate_table, cell.slope_width), entry),
        "OutputFile": to_hex(table_words(cell.cell_table, cell.slope_width), entry),
        **more,
    }


def in_sets(sets: Sequence[Sequence[int]]) -> list[int]:
    """The words of several memories of one size in one; all but the last are filled up to a power of two."""
    *filled, last = sets
    filling = [0] * (words_in_sets(len(last), 2) - 2 * len(last))
    return [word for words in filled for word in (*words, *filling)] + list(last)


def head_files(plan: LinearPlan, weights: LinearWeights) -> dict[str, str]:
    """The text of a head's memory files by path."""
    return dict(zip((HEAD_WEIGHT, HEAD_BIAS), linear_texts(plan, weights, 1), strict=True))


def read_linear(what: str, plan: LinearPlan, weight_text: str, bias_text: str, lanes: int = 1) -> LinearWeights:
    """The integer weights in the text of a linear map's files; undoes :func:`linear_texts`.

    Raises:
        ExportError: a file holds too few or too many words, or text that is no word.
    """
    weights, biases = from_hex(weight_text, lanes * plan.w_width), from_hex(bias_text, plan.b_width)
    _require_count(f"{what} weight", len(weights), plan.input_size * -(-plan.output_size // lanes))
    _require_count(f"{what} bias", len(biases), plan.output_size)
    w = np.array([unpack(word, plan.w_width, lanes) for word in weights], np.int64).reshape(plan.input_size, -1)
    return LinearWeights(
        w=np.ascontiguousarray(w[:, : plan.output_size].T),
        b=np.array([unpack(word, plan.b_width, 1)[0] for word in biases], np.int64),
    )


def read_weights(
    cell: CellPlan,
    texts: Mapping[str, str],
    multipliers: int,
    projection_multipliers: int = 1,
    *,
    at: int = 0,
    sets: int = 1,
) -> CellWeights:
    """The integer weights in the texts of an engine's files, of the set ``at``; undoes :func:`cell_files`.

    Raises:
        ExportError: a file holds too few or too many words, or text that is no word.
    """
    column, columns = 4 * cell.hidden_size, cell.input_size + cell.output_size
    size = products_per_word(cell.hidden_size, multipliers)
    words = _of_set(
        "weight", from_hex(texts["WeightFile"], size * cell.w_width), -(-column * columns // size), at, sets
    )
    stream: Codes = np.array([unpack(word, cell.w_width, size) for word in words], np.int64).ravel()
    matrix = stream[: column * columns].reshape(columns, column).T
    units = _of_set("bias", from_hex(texts["BiasFile"], 4 * cell.b_width), cell.hidden_size, at, sets)
    b = np.array([unpack(unit, cell.b_width, 4) for unit in units], np.int64).ravel()
    p = _read_peepholes(cell, texts["PeepholeFile"], at, sets) if cell.peepholes else None
    projection = None
    if cell.projection:
        given = texts["ProjWeightFile"], texts["ProjBiasFile"]
        projection = read_linear("projection", cell.projection, *given, projection_multipliers)
    w_ih, w_hh = matrix[:, : cell.input_size], matrix[:, cell.input_size :]
    return CellWeights(w_ih=w_ih, w_hh=w_hh, b=b, p=p, projection=projection)


def _read_peepholes(cell: CellPlan, text: str, at: int, sets: int) -> Codes:
    words = _of_set("peephole", from_hex(text, 3 * cell.p_width), cell.hidden_size, at, sets)
    p = np.zeros((cell.hidden_size, 4), np.int64)
    p[:, [0, 1, 3]] = [unpack(word, cell.p_width, 3) for word in words]
    return p.ravel()


def _of_set(what: str, words: list[int], count: int, at: int, sets: int) -> list[int]:
    """The ``count`` words of one set; undoes :func:`in_sets`."""
    _require_count(what, len(words), words_in_sets(count, sets))
    return words[words_in_sets(count, at + 1) - count :][:count]


def _require_count(what: str, given: int, expected: int) -> None:
    if given != expected:
        raise ExportError(f"a {what} file holds {given} words; expected {expected}, export it again")
