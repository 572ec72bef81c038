"""What an export adds to sources and weights, so that a hardware team takes the folder as it is.

A top module with the user's name and numbers, a test bench with vectors, a Makefile, file lists and constraints. Only
names and numbers are filled in: all logic stands in rtl/, in SystemVerilog.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from gatesmith.errors import ExportError
from gatesmith.fixed.linear import LinearWeights
from gatesmith.fixed.model import CodeInputs, run
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat
from gatesmith.fixed.weights import CellWeights
from gatesmith.hardware.datasheet import Sheet, render
from gatesmith.hardware.emitted import emitted, output_format
from gatesmith.hardware.memfile import to_hex
from gatesmith.hardware.options import Options
from gatesmith.hardware.templates import filled
from gatesmith.hardware.verilator import Parameter, literal
from gatesmith.spec import LSTMSpec

DATA_SHEET = "datasheet.html"
WRAPPER, TESTBENCH = "lstm_axi", "lstm_testbench"
VECTOR_FILES = ("stimulus", "expected", "first_states", "last_states")
VECTOR_LENGTHS = (5, 1, 8, 2, 3)
"""Steps of the sequences in the vectors: short, single, and longer than the pipeline is deep in small designs."""

MODULE = re.compile(r"module (\w+) #\(\n(?P<parameters>.*?)\n\) \((?P<ports>.*?)\n\);\n", re.DOTALL)
PARAMETER = re.compile(
    r"^  parameter (?P<type>[^=\n]*?)(?P<name>\w+) = (?P<value>.+?)(?P<rest>,?(?: +//.*)?)$", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Handover:
    """Everything the files are made from.

    Attributes:
        stack: the parameters of ``lstm_stack``.
        engines: parameters of each ``lstm`` in it, by name.
        weights: integer weights of every cell; head: of a classifier's head, where it is in the design.
        memories: the memory files, relative to the folder.
        sources: the SystemVerilog that the design is compiled from.
    """

    name: str
    spec: LSTMSpec
    plan: Plan
    options: Options
    stack: Mapping[str, Parameter]
    engines: Mapping[str, Mapping[str, int]]
    weights: tuple[CellWeights, ...]
    head: LinearWeights | None
    memories: Sequence[str]
    sources: Sequence[Path]


def top_module(name: str) -> str:
    """The module that a design is, and its file's stem."""
    return f"{name}_top"


def handover_paths(name: str) -> tuple[str, ...]:
    """The files of :func:`handover_files`, which don't depend on what is in them."""
    return (
        f"rtl/{top_module(name)}.sv",
        f"{name}.core",
        "Makefile",
        "constraints/ecp5.lpf",
        "constraints/xilinx7.xdc",
        DATA_SHEET,
        "simulation/testbench.sv",
        *(f"simulation/{vectors}.hex" for vectors in VECTOR_FILES),
    )


def handover_files(design: Handover) -> dict[str, str]:
    """The text of each file, by its path in the folder.

    Raises:
        ExportError: the design has the name of one of the sources.
    """
    top = top_module(design.name)
    if any(source.stem == top for source in design.sources):
        raise ExportError(f"the name {design.name!r} would hide gatesmith's own module {top}; choose another")
    wrapper = next(source for source in design.sources if source.stem == WRAPPER)
    testbench = (wrapper.parent / "testbench" / f"{TESTBENCH}.sv").read_text()
    parameters = {**design.stack, "Design": (design_word(design.stack),)}
    vectors, numbers = test_vectors(design)
    names = {
        "name": design.name,
        "top": top,
        "sources": "\n".join(f"      - rtl/{source.name}" for source in design.sources),
        "memories": "\n".join(f"      - {path}: {{copyto: {path}}}" for path in design.memories),
        "vectors": "\n".join(
            f"      - {path}: {{copyto: {path}}}" for path in (f"simulation/{v}.hex" for v in vectors)
        ),
    }
    return {
        f"rtl/{top}.sv": shell(wrapper.read_text(), top, parameters),
        f"{design.name}.core": filled("design.core", names),
        "Makefile": filled("Makefile", names),
        "constraints/ecp5.lpf": filled("ecp5.lpf", names),
        "constraints/xilinx7.xdc": filled("xilinx7.xdc", names),
        DATA_SHEET: data_sheet(design.name, design.spec, design.plan, design.options, design.stack, design.engines),
        "simulation/testbench.sv": with_defaults(testbench, numbers).replace(
            f"  {WRAPPER} u_design", f"  {top} u_design"
        ),
        **{f"simulation/{vectors_of}.hex": text for vectors_of, text in vectors.items()},
    }


def data_sheet(
    name: str,
    spec: LSTMSpec,
    plan: Plan,
    options: Options,
    stack: Mapping[str, Parameter],
    engines: Mapping[str, Mapping[str, int]],
    results: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page about a design, with what synthesis found; arguments as of :class:`Handover`."""
    return render(
        Sheet(
            name=name,
            top=top_module(name),
            spec=spec,
            plan=plan,
            options=options,
            engines=engines,
            design=design_word(stack),
            results=results,
        )
    )


def design_word(stack: Mapping[str, Parameter]) -> int:
    """What the register DESIGN tells: the first 32 bits of the SHA-256 of the manifest's ``stack``."""
    text = json.dumps(stack, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def with_defaults(source: str, values: Mapping[str, Parameter | str]) -> str:
    """A module with other defaults for some of its parameters."""
    left = set(values)

    def replaced(match: re.Match[str]) -> str:
        if match["name"] not in values:
            return match[0]
        left.discard(match["name"])
        value = _literal(match["type"], values[match["name"]])
        return f"  parameter {match['type']}{match['name']} = {value}{match['rest']}"

    text = PARAMETER.sub(replaced, source)
    if left:
        raise ExportError(f"the SystemVerilog has no parameter {min(left)}; install gatesmith again")
    return text


def shell(wrapper: str, top: str, values: Mapping[str, Parameter | str]) -> str:
    """A module that is the wrapper with a design's numbers for defaults: the same parameters, the same ports."""
    header = MODULE.search(wrapper)
    if header is None:
        raise ExportError(f"the module {WRAPPER} of this installation can't be read; install gatesmith again")
    declared = with_defaults(header[0], values).replace(f"module {header[1]} ", f"module {top} ")
    parameters = ", ".join(f".{match['name']}({match['name']})" for match in PARAMETER.finditer(header["parameters"]))
    lines = (line.split("//")[0] for line in header["ports"].splitlines())
    ports = ", ".join(f".{match[1]}({match[1]})" for line in lines if (match := re.search(r"(\w+)\s*,?\s*$", line)))
    return "".join(
        (
            f"// The design {top}: {WRAPPER} with this model's sizes and formats. By gatesmith.\n",
            "`default_nettype none\n",
            declared,
            f"  {WRAPPER} #(\n    {_folded(parameters)}\n  ) u_design (\n    {_folded(ports)}\n  );\n",
            "endmodule\n`default_nettype wire\n",
        )
    )


def test_vectors(design: Handover) -> tuple[dict[str, str], dict[str, Parameter | str]]:
    """The texts of the vector files, and the parameters of the test bench that go with them."""
    spec, plan, pipeline = design.spec, design.plan, design.options.pipeline
    longest = design.options.max_steps if spec.direction != "forward" else max(VECTOR_LENGTHS)
    contexts = design.options.interleave
    count = max(len(VECTOR_LENGTHS), contexts)
    lengths = [min(length, longest) for length, _ in zip(cycle(VECTOR_LENGTHS), range(count), strict=False)]
    order = _turns(lengths, contexts)
    generator = np.random.default_rng(0)
    inputs = _random_inputs(generator, design, lengths)
    outputs = run(spec, plan, design.weights, inputs)
    out_format = output_format(plan, design.options.output)
    in_width = _bytes(plan.x_format) * 8 * pipeline.in_elements
    out_width = _bytes(out_format) * 8 * pipeline.out_elements
    given = [inputs.x[:length, n] for n, length in enumerate(lengths)]
    kept = emitted(plan, design.options.output, design.head, outputs.y, inputs.lengths)
    sent = _in_turn([_beats(one, plan.x_format, pipeline.in_elements) for one in given], order, contexts, in_width)
    wanted = _in_turn([_beats(one, out_format, pipeline.out_elements) for one in kept], order, contexts, out_width)
    id_width = max(1, (contexts - 1).bit_length())
    ends = [count - contexts + (context - count) % contexts for context in range(contexts)]  # the last of each context
    texts = {
        "stimulus": to_hex(sent, in_width + 1 + id_width),
        "expected": to_hex(wanted, out_width + 1 + id_width),
        "first_states": "".join(_states(inputs.h0[:, n], inputs.c0[:, n]) for n in range(contexts)),
        "last_states": "".join(_states(outputs.h_n[:, n], outputs.c_n[:, n]) for n in ends),
    }
    return texts, {
        "InWidth": in_width,
        "OutWidth": out_width,
        "InBeats": len(sent),
        "OutBeats": len(wanted),
        "Sequences": len(lengths),
        "Steps": sum(lengths),
        "Cells": len(plan.cells),
        "Contexts": contexts,
        "OutputSize": spec.output_size,
        "HiddenSize": spec.hidden_size,
        "Patience": 10_000 + 100 * sum(4 * c.hidden_size * (c.input_size + c.hidden_size) for c in plan.cells),
        "Design": (design_word(design.stack),),
    }


def _random_inputs(generator: np.random.Generator, design: Handover, lengths: Sequence[int]) -> CodeInputs:
    """Codes anywhere in their formats; sequences n of a context begin from the same states, as the hardware does."""
    cells, batch, spec, contexts = design.plan.cells, len(lengths), design.spec, design.options.interleave

    def states(form: QFormat, size: int) -> Codes:
        return _codes(generator, form, (contexts, size))[np.arange(batch) % contexts]  # [N, R] or [N, H]

    return CodeInputs(
        x=_codes(generator, design.plan.x_format, (max(lengths), batch, design.spec.input_size)),
        h0=np.stack([states(cell.y_format, spec.output_size) for cell in cells]),
        c0=np.stack([states(cell.c_format, spec.hidden_size) for cell in cells]),
        lengths=np.array(lengths, np.int64),
    )


def _codes(generator: np.random.Generator, form: QFormat, shape: tuple[int, ...]) -> Codes:
    return generator.integers(form.min_code, form.max_code + 1, size=shape)


def _bytes(form: QFormat) -> int:
    return -(-form.width // 8)


def _turns(lengths: Sequence[int], contexts: int) -> list[tuple[int, bool]]:
    """(sequence, whether the step is its last) of every step; sequence n is in context n mod contexts."""
    waiting = [list(range(context, len(lengths), contexts)) for context in range(contexts)]
    left, order = list(lengths), list[tuple[int, bool]]()
    while any(waiting):
        for sequences in filter(None, waiting):
            n = sequences[0]
            left[n] -= 1
            order.append((n, not left[n]))
            if not left[n]:
                sequences.pop(0)
    return order


def _in_turn(
    beats: Sequence[Sequence[Sequence[int]]], order: Sequence[tuple[int, bool]], contexts: int, width: int
) -> list[int]:
    """Beats ``{tid, tlast, tdata}`` in the order of steps, from those of each sequence, or of its last step alone."""
    stream, steps = list[int](), [iter(sequence) for sequence in beats]
    alone = [len(sequence) == 1 for sequence in beats]
    for n, last in order:
        if last or not alone[n]:
            stream += [beat | n % contexts << width + 1 for beat in next(steps[n])]
    return stream


def _beats(sequence: Codes, form: QFormat, elements: int) -> list[list[int]]:
    """Beats ``{tlast, tdata}`` of each step [steps, features], filled up to whole beats with zeros."""
    bits = 8 * _bytes(form)
    steps, features = sequence.shape
    padded = np.zeros((steps, -(-features // elements) * elements), np.int64)
    padded[:, :features] = sequence
    words = padded.reshape(steps, -1, elements).tolist()
    beats = [
        [sum((code & (1 << bits) - 1) << at * bits for at, code in enumerate(word)) for word in step] for step in words
    ]
    beats[-1][-1] |= 1 << bits * elements
    return beats


def _states(h: Codes, c: Codes) -> str:
    """[cells, R] and [cells, H] as words of 32 bits: of each cell h, then c."""
    return to_hex([int(code) & 0xFFFFFFFF for code in np.concatenate([h, c], axis=1).ravel()], 32)


def _literal(kind: str, value: Parameter | str) -> str:
    """As :func:`gatesmith.hardware.verilator.literal`, but for readers: fields one by one, bits as bits."""
    if isinstance(value, tuple):
        fields = [f"32'd{field}" if 0 <= field < 1 << 31 else f"32'h{field & 0xFFFFFFFF:08x}" for field in value]
        return fields[0] if len(fields) == 1 else f"{{{', '.join(reversed(fields))}}}"
    return f"1'b{value}" if kind.startswith("bit") else literal(value)


def _folded(items: str) -> str:
    """A list of connections in lines of a readable length."""
    lines = [""]
    for item in items.split(", "):
        if len(lines[-1]) + len(item) > 100:
            lines.append("")
        lines[-1] += f"{item}, "
    return "\n    ".join(line.rstrip() for line in lines).rstrip(",")
