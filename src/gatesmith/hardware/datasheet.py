"""The data sheet of an exported design: one HTML page, readable offline, from the same tables that the tests hold."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gatesmith.equations import equations
from gatesmith.fixed.cell import CellPlan
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import QFormat
from gatesmith.hardware.blocks import block_diagram
from gatesmith.hardware.emitted import output_format, output_size
from gatesmith.hardware.options import HEAD_OUTPUTS, Options
from gatesmith.hardware.registers import CONSTANTS, CONSTANTS_OFFSET, REGISTERS, WINDOW_BYTES
from gatesmith.hardware.templates import TEMPLATES, filled
from gatesmith.hardware.timing import cell_output_size, timing
from gatesmith.spec import LSTMSpec

RESULTS = "build/synthesis-*.json"
"""Where `gatesmith synthesize` leaves what it found, inside an export."""
READ_CLOCKS, WRITE_CLOCKS = 8, 4
"""Clocks from the handshake of an address to that of its answer, a read's beyond MemoryStages; held in simulation."""
RESULT_FIELDS = {"target", "bus", "luts", "ffs", "dsps", "brams", "mhz", "mhz_per_seed", "device", "tools"}

Row = Sequence[object]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """What the page is about.

    Attributes:
        engines: parameters of each ``lstm``, by name.
        design: the word in the register DESIGN.
        results: of synthesis, as ``Synthesis.to_dict`` writes them.
    """

    name: str
    top: str
    spec: LSTMSpec
    plan: Plan
    options: Options
    engines: Mapping[str, Mapping[str, int]]
    design: int
    results: Sequence[Mapping[str, Any]] = field(default=())


def read_results(folder: Path) -> list[Mapping[str, Any]]:
    """What synthesis found about an export, one for each target; a file that is no result doesn't count."""
    found: list[Mapping[str, Any]] = []
    for path in sorted(folder.glob(RESULTS)):
        try:
            values: object = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(values, dict) and set(cast("dict[str, Any]", values)) >= RESULT_FIELDS:
            found.append(cast("dict[str, Any]", values))
    return found


def render(sheet: Sheet) -> str:
    """The page as text."""
    pipeline, spec = sheet.options.pipeline, sheet.spec
    features = output_size(sheet.plan, sheet.options.output, spec.num_directions * spec.output_size)
    waves = ("stream_in", "stream_out", "register_write", "register_read")
    return filled(
        "datasheet.html",
        {
            "name": html.escape(sheet.name),
            "top": html.escape(sheet.top),
            "style": (TEMPLATES / "datasheet.css").read_text(),
            "overview": _overview(sheet),
            "blocks": block_diagram(spec, sheet.options),
            "multipliers": str(sheet.options.multipliers),
            "equations": html.escape(equations(spec)),
            "formats": _formats(sheet),
            "ports": _ports(sheet),
            "in_beats": _counted(-(-spec.input_size // pipeline.in_elements), "beat"),
            "out_beats": _counted(-(-features // pipeline.out_elements), "beat") + " out",
            "window": str(WINDOW_BYTES),
            "registers": _registers(),
            "write_clocks": str(WRITE_CLOCKS),
            "read_clocks": str(pipeline.memory_stages + READ_CLOCKS),
            "load": _loading(sheet.options),
            "cycles": _cycles(sheet),
            "resources": _resources(sheet),
            "errors": _errors(sheet),
            "limits": "" if spec.direction == "forward" else REVERSE_LIMITS.format(sheet.options.max_steps),
            "files": _files(sheet),
            **{name: (TEMPLATES / "waves" / f"{name}.svg").read_text() for name in waves},
        },
    )


FORMAT_COLUMNS = ("tensor", "format", "bits", "fraction", "range")
OUTPUT_WORDS = {
    "sequence": "h of every step",
    "last": "h of the last step of each sequence",
    "scores": "scores of a linear head on the last step of each sequence",
    "class": "the class with the largest score, from the last step of each sequence",
}
LOAD = (
    "<li>To load weights: SELECT a cell, and write its weight file to LOAD in order, each word in pieces of 32 bits,"
    " lowest first; do the same with every other MEMORY for which WORDS is not 0.</li>"
)
SHARED_LOAD = (
    "<li>A weight, bias or peephole file with in_turn in its name is that of all cells of an engine: the words of one"
    " cell after the other, all but the last filled up to a power of two. Each cell is loaded with its own.</li>"
)
SHARED = {
    who: f"{cells} take turns in one engine, step by step; weights and states of each are its own, the flags of"
    " SATURATED are those of all"
    for who, cells in {"directions": "both directions of a layer", "layers": "layers of one size"}.items()
}
TURNS = "{} sequences take turns, step by step, with tid 0 … {}: the states of each are its own"
REVERSE_LIMITS = (
    "<li>A reverse direction holds whole sequences, of at most {} steps (MaxSteps).</li>\n"
    "<li>KEEP has no effect on reverse directions.</li>"
)


def _loading(options: Options) -> str:
    if not options.writable_weights:
        return ""
    return LOAD + ("\n" + SHARED_LOAD if options.share in SHARED else "")


def _overview(sheet: Sheet) -> str:
    spec, options = sheet.spec, sheet.options
    slowest = max(clocks for _, clocks in _clocks(sheet))
    projected = f", projected R = {spec.proj_size}" if spec.proj_size else ""
    rows = [
        ("Module", f"{sheet.top} in rtl/{sheet.top}.sv"),
        ("Model", f"LSTM, {_counted(spec.num_layers, 'layer')}, {spec.direction}"),
        ("Sizes", f"input D = {spec.input_size}, hidden H = {spec.hidden_size}{projected}"),
        ("Output", OUTPUT_WORDS[options.output]),
        ("Multipliers", f"P = {options.multipliers} in each of {_counted(len(sheet.engines), 'engine')}"),
        *([("Sharing", SHARED[options.share])] if options.share in SHARED else []),
        *(
            [("Interleaving", TURNS.format(options.interleave, options.interleave - 1))]
            if options.interleave > 1
            else []
        ),
        ("Weights and biases", "RAM, loaded over the control bus" if options.writable_weights else "ROM"),
        ("Throughput", f"a time step every {slowest:,} clocks, in a sequence whose streams never wait"),
        ("Design word", f"0x{sheet.design:08x}"),
    ]
    return table("", (), rows)


def _formats(sheet: Sheet) -> str:
    """One table for all cells that have the same formats, which the directions of a layer do."""
    names: dict[CellPlan, list[str]] = {}
    for (_, _, name), cell in zip(sheet.spec.cells(), sheet.plan.cells, strict=True):
        names.setdefault(cell, []).append(name)
    tables = [_cell_formats(", ".join(cells), cell) for cell, cells in names.items()]
    head = sheet.plan.head
    if head and sheet.options.output in HEAD_OUTPUTS:
        named = [("weights", head.w_format), ("biases", head.b_format), ("scores", head.y_format)]
        tables.append(table("Formats of the head", FORMAT_COLUMNS, [_format_row(*one) for one in named]))
    return "\n".join(tables)


def _cell_formats(names: str, cell: CellPlan) -> str:
    named = [
        ("x, input", cell.x_format),
        ("h, hidden state", cell.h_format),
        ("c, cell state", cell.c_format),
        ("W_ih, weights of x", cell.w_ih_format),
        ("W_hh, weights of h", cell.w_hh_format),
        ("b, biases", cell.b_format),
        ("z, pre-activations", cell.z_format),
        ("i, f, g, o, gates", cell.a_format),
        *([("peephole weights", cell.p_format)] if cell.peepholes else []),
        *_projection_formats(cell),
    ]
    rows: list[Row] = [_format_row(*one) for one in named]
    rows.append(("sums", "exact", cell.acc_width, cell.acc_frac, "can't overflow"))
    return table(f"Formats of {names}", FORMAT_COLUMNS, rows)


def _projection_formats(cell: CellPlan) -> list[tuple[str, QFormat]]:
    if cell.projection is None:
        return []
    map_ = cell.projection
    return [
        ("r, projection of h, read by the next step", map_.y_format),
        ("W_hr, weights of the projection", map_.w_format),
        ("b_hr, its biases", map_.b_format),
    ]


def _format_row(what: str, form: QFormat) -> Row:
    return what, form, form.width, form.fraction, _range(form)


def _ports(sheet: Sheet) -> str:
    pipeline = sheet.options.pipeline
    formats = (sheet.plan.x_format, output_format(sheet.plan, sheet.options.output))
    x, y = (8 * -(-form.width // 8) for form in formats)
    into, out = pipeline.in_elements, pipeline.out_elements
    rows = [
        ("clk", "in", 1, "the one clock; everything happens at its rising edge"),
        ("rst", "in", 1, "synchronous, active high, one clock or longer, at any time"),
        ("s_axis_tdata", "in", x * into, f"x, {_counted(into, 'element')} of {x} bits in a beat"),
        ("s_axis_tvalid, s_axis_tready", "in, out", 1, "handshake of x"),
        ("s_axis_tlast", "in", 1, "with the last beat of a sequence"),
        ("s_axis_tid, m_axis_tid", "in, out", *_turns(sheet.options.interleave)),
        ("m_axis_tdata", "out", y * out, f"output, {_counted(out, 'element')} of {y} bits in a beat"),
        ("m_axis_tvalid, m_axis_tready", "out, in", 1, "handshake of the output"),
        ("m_axis_tlast", "out", 1, "with the last beat of a sequence"),
        ("s_axil_awaddr, s_axil_araddr", "in", 12, "byte addresses"),
        ("s_axil_wdata, s_axil_rdata", "in, out", 32, "words; s_axil_wstrb has to be all ones"),
        ("s_axil_…", "", "", "the other signals of AXI4-Lite; awprot and arprot are not looked at"),
    ]
    return table("", ("port", "direction", "bits", "meaning"), rows)


def _turns(contexts: int) -> tuple[int, str]:
    """Bits and meaning of ``tid``."""
    if contexts == 1:
        return 1, "not looked at, and 0: this design does not interleave"
    return (contexts - 1).bit_length(), "whose step it is, of sequences that take turns; one for all beats of a step"


def _registers() -> str:
    rows = [(f"0x{one.offset:03x}", one.name, one.access, one.meaning) for one in REGISTERS]
    rows.append((f"0x{CONSTANTS_OFFSET:03x} …", "constants", "read", "of the selected cell, below"))
    tables = [table("All registers", ("address", "name", "access", "meaning"), rows)]
    for one in REGISTERS:
        if one.fields:
            fields = [(bits.bits, bits.name, bits.meaning) for bits in one.fields]
            tables.append(table(f"Fields of {one.name}", ("bits", "field", "meaning"), fields))
    constants = [(f"0x{CONSTANTS_OFFSET + 4 * at:03x}", name, meaning) for at, (name, meaning) in enumerate(CONSTANTS)]
    return "\n".join([*tables, table("Constants of the selected cell", ("address", "parameter", "meaning"), constants)])


def _cycles(sheet: Sheet) -> str:
    rows: list[Row] = []
    for (name, parameters), (words, clocks) in zip(sheet.engines.items(), _clocks(sheet), strict=True):
        products = 4 * parameters["HiddenSize"] * (parameters["InputSize"] + cell_output_size(parameters))
        products *= parameters["WeightSets"]
        share = products / (parameters["Multipliers"] * clocks)
        rows.append((name, products, words, clocks, f"{share:.1%}"))
    return table("This design", ("engine", "products", "words", "cycles per step", "multipliers busy"), rows)


def _clocks(sheet: Sheet) -> list[tuple[int, float]]:
    """(words of a step, clocks between time steps, to two digits) of every engine."""
    found = [timing(parameters, chained=sheet.options.chained) for parameters in sheet.engines.values()]
    return [(one.words, round(one.cycles_per_step, 2)) for one in found]


def _resources(sheet: Sheet) -> str:
    if not sheet.results:
        return (
            "<p>Not mapped yet: <code>gatesmith synthesize --bus</code> on this folder fills this table, with"
            " <code>--pnr</code> also the clock; <code>make synth</code> maps the design with Yosys alone.</p>"
        )
    rows = [
        (
            f"{one['target']}, {one['device']}" if one["device"] else one["target"],
            sheet.top if one["bus"] else "lstm_stack",
            *(one[kind] for kind in ("luts", "ffs", "dsps", "brams")),
            f"{one['mhz']:.1f}" if one["mhz"] else "–",
            ", ".join(f"{mhz:.1f}" for mhz in one["mhz_per_seed"]) or "–",
            ", ".join(f"{tool} {version}" for tool, version in one["tools"].items()),
        )
        for one in sheet.results
    ]
    head = (
        "target",
        "module",
        "LUTs",
        "FFs",
        "multipliers",
        "block RAMs",
        "MHz, median",
        "MHz of seeds 1, 2, …",
        "tools",
    )
    said = (
        "<p>All cells; lstm_stack is everything within the bus. Frequencies are the router's estimates, not measured"
        " on silicon.</p>"
    )
    return table("", head, rows) + said


def _errors(sheet: Sheet) -> str:
    rows = [
        ("tlast inside a step", "the rest of the step counts as zeros and the sequence ends; FLAGS.LENGTH_ERROR"),
        ("tlast missing", "the sequence goes on: nobody can see this error"),
        ("STATE or LOAD written while busy", "SLVERR, FLAGS.BUSY_ERROR; nothing changes"),
        ("STATE read while busy, or STATE or LOAD beyond the last word", "SLVERR; nothing changes"),
        ("unmapped or misaligned address, less than four bytes", "SLVERR; nothing changes"),
        ("a value beyond its format", "it is saturated; SATURATED of the cell tells of which kind it was"),
        ("soft reset", "as rst, but for bus, memories and states; at most two beats that were offered may follow"),
    ]
    if sheet.spec.direction != "forward":
        rows.insert(2, (f"a sequence of more than {sheet.options.max_steps} steps", "it is cut there; FLAGS.OVERFLOW"))
    return table("", ("what", "what happens"), rows)


def _files(sheet: Sheet) -> str:
    rows = [
        ("files.f", "all SystemVerilog, in order of compilation"),
        (f"rtl/{sheet.top}.sv", "the top module, whose parameters are this design's numbers"),
        ("weights/", "memory contents for $readmemh, relative to where a tool runs (parameter Files)"),
        ("simulation/", "self-checking test bench, and vectors of the integer model"),
        ("Makefile", "make sim, make lint, make synth: Verilator and Yosys, no Python"),
        (f"{sheet.name}.core", "description for FuseSoC, CAPI2"),
        ("constraints/", "examples for ECP5 and Xilinx 7, to edit"),
        ("manifest.json", "specification, formats, parameters, and the SHA-256 of every file"),
    ]
    return table("", ("file", "what it is"), rows)


def table(caption: str, head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table whose first column names its rows; integers stand to the right."""
    lines, rows = ['<div class="table"><table>'], list(rows)
    if caption:
        lines.append(f"<caption>{html.escape(caption)}</caption>")
    if head:
        right = [isinstance(value, int) for value in rows[0]]
        kinds = [' class="number"' if number else "" for number in right]
        names = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>' for name, kind in zip(head, kinds, strict=True)
        )
        lines.append(f"<thead><tr>{names}</tr></thead>")
    for first, *others in rows:
        cells = "".join(map(_cell, others))
        lines.append(f'<tr><th scope="row">{html.escape(str(first))}</th>{cells}</tr>')
    return "\n".join([*lines, "</table></div>"])


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _range(form: QFormat) -> str:
    step = 2.0**-form.fraction
    return f"{form.min_code * step:g} … {form.max_code * step:g}"
