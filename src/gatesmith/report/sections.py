"""The report's sections: which figures and tables stand under which heading."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from gatesmith.report.figures import (
    DataTable,
    Figure,
    components_figure,
    memory_figure,
    percent,
    roofline_figure,
    throughput_figure,
)
from gatesmith.report.gate_figures import gate_error_figure, gradient_figure, memory_time_figure, saturation_figure
from gatesmith.report.read import Findings, Found
from gatesmith.report.units import human_bytes, human_rate, human_time


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading of the page with its paragraphs, figures and tables.

    Attributes:
        explorer: whether the gates can be explored here, by sequence, signal and unit.
        files: where it comes from, with what a reader must know of their origin.
    """

    id: str
    heading: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[DataTable, ...] = ()
    explorer: str = ""
    files: tuple[Found, ...] = ()


def sections(findings: Findings) -> tuple[Section, ...]:
    """Everything that the results have to say, in the order in which a reader asks."""
    made = [
        *_memory(findings),
        *_profile(findings),
        *_hardware(findings),
        *_gates(findings),
        *_summary(findings),
    ]
    return tuple(made)


def _memory(findings: Findings) -> list[Section]:
    found = findings.of_kind("footprint")
    if not found:
        return []
    off = [line for one in found for line in one.result.data["disagreements"]]
    measured = any(one.result.data["peak"]["measured"] is not None for one in found)
    verdict = (
        f"Off by more than 5 %: {', '.join(off)}; there the formula no longer describes what the device allocates."
        if off
        else "Every line that was measured agrees with its formula within 5 %."
        if measured
        else "Nothing was measured; all figures are predictions."
    )
    return [
        Section(
            id="memory",
            heading="Memory: predicted and measured",
            paragraphs=(
                "Each component has a formula in T steps, N batch, D inputs, H hidden units, L layers, V lanes of a"
                " vector, P threads and s bytes of a number; ⌈H⌉ is H rounded up to whole vectors. What was measured"
                " is what the allocator gave out.",
                verdict,
            ),
            figures=tuple(memory_figure(f"memory-{at}", one.result.data) for at, one in enumerate(found)),
            tables=tuple(_one_step(one.result.data) for one in found[:1]),
            files=found,
        )
    ]


def _one_step(footprint: Mapping[str, Any]) -> DataTable:
    return DataTable(
        caption=f"One step of a cell, N = {footprint['batch']}: the sum N·(D + 6H)·s",
        headings=("layer", "component", "formula", "bytes"),
        rows=tuple(
            (layer, line["component"], line["formula"], line["predicted"])
            for layer, lines in enumerate(footprint["one_step"])
            for line in lines
        ),
    )


def _profile(findings: Findings) -> list[Section]:
    made: list[Section] = []
    for at, found in enumerate(findings.of_kind("profile")):
        data = found.result.data
        figures = [throughput_figure(f"throughput-{at}", data["throughput"])] if data["throughput"] else []
        tables = [_buffers_table(data)]
        if data["components"]:
            figures.append(components_figure(f"components-{at}", data["components"]))
            figures.append(roofline_figure(f"roofline-{at}", data["limits"], data["components"]))
            tables = [_gates_table(data), _bounds_table(data), *tables]
        made.append(
            Section(
                id=f"speed-{at}",
                heading="Speed and bottlenecks",
                paragraphs=(data["bottleneck"]["reason"], *data["dependency_chain"]),
                figures=tuple(figures),
                tables=tuple(tables),
                files=(found,),
            )
        )
    return made


def _gates_table(profile: Mapping[str, Any]) -> DataTable:
    return DataTable(
        caption="Throughput of every gate: its elements over its share of the latency",
        headings=("call", "gate", "elements", "time", "elements/s"),
        rows=tuple(
            (
                f"{part['mode']}, N = {part['batch']}",
                gate["name"],
                gate["formula"],
                human_time(gate["seconds"]),
                human_rate(gate["throughput"]),
            )
            for part in profile["components"]
            for gate in part["gates"]
        ),
    )


def _bounds_table(profile: Mapping[str, Any]) -> DataTable:
    return DataTable(
        caption="Bounds: the least time that each allows, and the most that removing the measured rest could give",
        headings=("call", "bound", "least time", "share of the measured time", "speed-up at most", "what it is"),
        rows=tuple(
            (
                bound["call"],
                bound["name"],
                human_time(bound["seconds"]),
                percent(bound["share"]),
                round(bound["speedup_if_removed"], 2),
                bound["explanation"],
            )
            for bound in profile["bottleneck"]["bounds"]
        ),
    )


def _buffers_table(profile: Mapping[str, Any]) -> DataTable:
    return DataTable(
        caption="Bytes that move in one step, and how often each buffer is used again",
        headings=("buffer", "size", "read per step", "written per step", "times used"),
        rows=tuple(
            (
                buffer["name"],
                human_bytes(buffer["bytes"]),
                human_bytes(buffer["read_per_step"]),
                human_bytes(buffer["written_per_step"]),
                round(buffer["reuse"], 1),
            )
            for buffer in profile["buffers"]
        ),
    )


def _hardware(findings: Findings) -> list[Section]:
    found = findings.of_kind("hardware")
    if not found:
        return []
    data = found[0].result.data
    return [
        Section(
            id="hardware",
            heading="Hardware: cycles and memories",
            paragraphs=tuple(data["sentences"]),
            tables=(
                DataTable(
                    caption="Cycles per step against the products over the multipliers",
                    headings=("cell", "D", "H", "P", "4H(D + H)/P", "predicted", "measured", "multipliers busy"),
                    rows=tuple(
                        (
                            cell["name"],
                            cell["input_size"],
                            cell["hidden_size"],
                            cell["multipliers"],
                            cell["floor_cycles"],
                            cell["predicted_cycles"],
                            "" if cell["measured_cycles"] is None else round(cell["measured_cycles"], 2),
                            percent(cell["utilisation"]),
                        )
                        for cell in data["cells"]
                    ),
                ),
                DataTable(
                    caption="Memories of the export",
                    headings=("cell", "memory", "formula", "words", "bits of a word", "bits", "kind", "blocks"),
                    rows=tuple(
                        (
                            memory["cell"],
                            memory["memory"],
                            memory["formula"],
                            memory["words"],
                            memory["width"],
                            memory["bits"],
                            memory["kind"],
                            memory["blocks"],
                        )
                        for memory in data["memories"]
                    ),
                ),
                *_synthesis_table(data["synthesised"]),
            ),
            files=found,
        )
    ]


def _synthesis_table(synthesised: Mapping[str, Any]) -> tuple[DataTable, ...]:
    rows = tuple(
        (name, value) for name, value in synthesised.items() if isinstance(value, int | float | str) and value != ""
    )
    return (DataTable(caption="After synthesis", headings=("resource", "value"), rows=rows),) if rows else ()


def _gates(findings: Findings) -> list[Section]:
    made: list[Section] = []
    for at, found in enumerate(findings.of_kind("inspection")):
        data = found.result.data
        names = [f"layer {cell['layer']}, {cell['direction']}" for cell in data["cells"]]
        figures = [gradient_figure(f"gradients-{at}", data["gradients"], names)]
        for cell, name in enumerate(names):
            figures.append(memory_time_figure(f"remember-{at}-{cell}", name, data["cells"][cell]))
            figures.append(saturation_figure(f"saturation-{at}-{cell}", name, data["cells"][cell]))
        if data["gate_errors"]:
            figures.append(gate_error_figure(f"gate-errors-{at}", data["gate_errors"], names))
        made.append(
            Section(
                id=f"gates-section-{at}",
                heading="Gates: what the model does with its sequences",
                paragraphs=(f"Over {data['sequences']} sequences, {data['steps']} steps in all.",),
                figures=tuple(figures),
                explorer=f"gates-{at}" if found.result.arrays else "",
                files=(found,),
            )
        )
    return made


def _summary(findings: Findings) -> list[Section]:
    if not findings.summary:
        return []
    rows: list[tuple[Any, ...]] = []
    for name, value in findings.summary.items():
        if isinstance(value, Mapping):
            parts = cast("Mapping[str, Any]", value)
            rows += [(f"{_words(name)}, {part}", number) for part, number in parts.items()]
        else:
            rows.append((_words(name), value))
    table = DataTable(caption="Everything that the demo counted", headings=("figure", "value"), rows=tuple(rows))
    return [Section(id="summary", heading="The demo's figures", tables=(table,))]


def _words(name: str) -> str:
    return name.replace("_", " ")
