"""Commands on the way to silicon: quantize, export, simulate, synthesize."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gatesmith.classifier import Array, Classifier
from gatesmith.cli.console import JsonFlag, out, progress_bar, read_text, show, show_json
from gatesmith.weights import Weights

ModelArgument = Annotated[
    Path, typer.Argument(help="Weights, as written by `gatesmith convert`, or the folder of `gatesmith train`.")
]
DataOption = Annotated[str, typer.Option("--data", help="japanese-vowels, or a .npz or .npy file with x [T, N, D].")]
FolderArgument = Annotated[Path, typer.Argument(help="A folder written by `gatesmith export`.")]


def add_to(app: typer.Typer) -> None:
    """Register this room's commands."""
    app.command()(quantize)
    app.command()(export)
    app.command()(simulate)
    app.command()(synthesize)
    app.command()(energy)


def quantize(
    model: ModelArgument,
    plan_file: Annotated[Path, typer.Option("--out", help="Where the plan of formats goes, as JSON.")],
    data: DataOption = "japanese-vowels",
    data_width: Annotated[int, typer.Option(help="Bits of x and h at most, 8 to 24.")] = 16,
    weight_width: Annotated[int, typer.Option(help="Bits of the weights, 4 to 18.")] = 8,
    cell_width: Annotated[int | None, typer.Option(help="Bits of the cell state.")] = None,
    table_bits: Annotated[int, typer.Option(help="2^bits segments in each activation table.")] = 8,
    hard_activations: Annotated[
        bool, typer.Option("--hard-activations", help="Piecewise linear gates and candidate, whatever the model says.")
    ] = False,
    share: Annotated[str, typer.Option(help="layers: one plan for all of one size, to share an engine.")] = "none",
    as_json: JsonFlag = False,
) -> None:
    """Choose a fixed-point format for every tensor, from the ranges on calibration data."""
    from gatesmith.datasets import load
    from gatesmith.files import write_atomically
    from gatesmith.fixed import calibrate
    from gatesmith.fixed.accuracy import measure_accuracy

    (weights, head), sequences = _load_model(model), load(data)
    plan = calibrate(
        weights,
        sequences.x,
        sequences.lengths,
        data_width=data_width,
        weight_width=weight_width,
        cell_width=cell_width,
        table_bits=table_bits,
        hard_activations=hard_activations,
        share=share,
        head=head,
    )
    report = measure_accuracy(weights, plan, sequences.x, sequences.lengths)
    write_atomically(plan_file, plan.to_json() + "\n")
    show(report.to_dict(), as_json=as_json, title=f"Quantised, plan in {plan_file}")


def export(
    model: ModelArgument,
    plan_file: Annotated[Path, typer.Option("--plan", help="The plan, from `gatesmith quantize`.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder, or an earlier export to replace.")],
    multipliers: Annotated[int, typer.Option("--multipliers", "-P", help="Products in each clock cycle.")] = 16,
    name: Annotated[str, typer.Option(help="Name of the design, a SystemVerilog identifier.")] = "lstm",
    pipeline: Annotated[
        str, typer.Option(help="Registers: deep (fast clock), middle, or shallow (few clocks).")
    ] = "deep",
    max_steps: Annotated[int, typer.Option(help="Longest sequence that a reverse direction can turn around.")] = 64,
    output: Annotated[
        str,
        typer.Option(help="sequence: every step; last: the last one; scores or class: of a classifier's head on it."),
    ] = "sequence",
    writable_weights: Annotated[
        bool, typer.Option("--writable-weights", help="Weights in RAM that the control bus loads, instead of ROM.")
    ] = False,
    projection_multipliers: Annotated[
        int, typer.Option(help="Products of a projection in each clock cycle; 0 for as many as cost no time.")
    ] = 0,
    interleave: Annotated[
        int, typer.Option(help="Sequences that take turns in each cell, so that none waits for its h: 1, 2, 4, …")
    ] = 1,
    share: Annotated[
        str,
        typer.Option(help="directions, or layers: one engine for both of a layer, or for layers of one size, in turn."),
    ] = "none",
    device: Annotated[str | None, typer.Option(help="Refuse what an FPGA can't hold, such as lfe5u-25f.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write SystemVerilog, memory files and a manifest."""
    from gatesmith.fixed import Plan
    from gatesmith.hardware.export import export as run

    plan, (weights, head) = Plan.from_json(read_text(plan_file)), _load_model(model)
    exported = run(
        weights,
        plan,
        folder,
        multipliers=multipliers,
        name=name,
        pipeline=pipeline,
        max_steps=max_steps,
        output=output,
        writable_weights=writable_weights,
        projection_multipliers=projection_multipliers,
        interleave=interleave,
        share=share,
        head=head,
        device=device,
    )
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    values = {
        "folder": str(folder),
        "name": name,
        "cells": ", ".join(cell.name for cell in exported.cells),
        "multipliers": multipliers,
        "files": files,
    }
    show(values, as_json=as_json, title=f"Exported to {folder}")


def simulate(
    folder: FolderArgument,
    data: DataOption = "japanese-vowels",
    limit: Annotated[int | None, typer.Option(help="Only the first so many sequences.")] = None,
    simulator: Annotated[
        Literal["verilator", "cxxrtl"],
        typer.Option(help="cxxrtl: another front end, another simulator, a tenth as fast."),
    ] = "verilator",
    timeout: Annotated[float, typer.Option(help="Seconds after which the simulator is stopped.")] = 600.0,
    as_json: JsonFlag = False,
) -> None:
    """Run the exported hardware on real sequences and compare every element with the integer model."""
    from gatesmith.datasets import load
    from gatesmith.hardware.verify import verify

    sequences = load(data)[slice(limit)]
    with progress_bar("simulating", enabled=not as_json) as progress:
        result = verify(
            folder,
            sequences.x,
            sequences.lengths,
            simulator=simulator,
            timeout_s=timeout,
            progress=progress,
        )
    show(result.to_dict(), as_json=as_json, title=f"Simulated {folder}")
    result.require_equal()


def synthesize(
    folder: FolderArgument,
    target: Annotated[str, typer.Option(help="ecp5, xc7, ice40, gowin or nexus.")] = "ecp5",
    pnr: Annotated[bool, typer.Option("--pnr", help="Place and route too (ECP5), for the clock frequency.")] = False,
    seeds: Annotated[int, typer.Option(help="How many placements to try.")] = 1,
    pins: Annotated[bool, typer.Option("--pins", help="Place the ports at pins, not as a part of a design.")] = False,
    bus: Annotated[bool, typer.Option("--bus", help="The module that is handed over, with the bus around.")] = False,
    device: Annotated[str | None, typer.Option(help="Fail where an FPGA can't hold it, such as lfe5u-25f.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Map the exported hardware onto an FPGA with open tools."""
    from gatesmith.hardware.devices import device_named, require_fit, require_predicted_fit
    from gatesmith.hardware.manifest import load_export
    from gatesmith.hardware.record import record_synthesis
    from gatesmith.hardware.synthesize import synthesize as run

    chosen = device_named(device) if device else None
    if chosen:
        target = chosen.target
        require_predicted_fit(chosen, load_export(folder).engines)
    with progress_bar("synthesising", enabled=not as_json) as progress:
        result = run(folder, target=target, pnr=pnr, seeds=seeds, pins=pins, bus=bus, progress=progress)
    record_synthesis(folder, result.to_dict())
    show(result.to_dict(), as_json=as_json, title=f"Synthesised {folder} for {target}")
    if chosen:
        require_fit(chosen, result.to_dict())
    if not as_json and not pnr:
        out.print("hint: add --pnr for the clock frequency")


def energy(
    folder: FolderArgument,
    data: DataOption = "japanese-vowels",
    limit: Annotated[int, typer.Option(help="Only the first so many sequences.")] = 20,
    valid_duty: Annotated[float, typer.Option(min=0.01, max=1, help="Share of clocks in which x is offered.")] = 1.0,
    table_file: Annotated[Path | None, typer.Option("--table", help="Your own energies, as JSON.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Estimate joules per time step of the whole model, from the switching in a simulation of real sequences.

    A second simulation, in which no memory ever rests, shows what the read enables save.
    """
    from gatesmith.datasets import load
    from gatesmith.hardware.consumption import measure_savings
    from gatesmith.hardware.energy import HOROWITZ_45_NM, EnergyTable
    from gatesmith.hardware.jobs import Stimulus
    from gatesmith.report.hardware_tables import energy_table, model_energy_table, savings_table

    table = HOROWITZ_45_NM if table_file is None else EnergyTable.from_json(read_text(table_file))
    sequences = load(data)[slice(limit)]
    stimulus = Stimulus(valid_duty=valid_duty)
    with progress_bar("simulating", enabled=not as_json):
        found, restless = measure_savings(folder, sequences.x, sequences.lengths, table=table, stimulus=stimulus)
    if as_json:
        show_json({**found.to_dict(), "without_enables": restless.to_dict()})
        return
    out.print(model_energy_table(found))
    for name, part in found.parts.items():
        out.print(energy_table(name, part))
    out.print(savings_table(found, restless))


def _load_model(path: Path) -> tuple[Weights, tuple[Array, Array] | None]:
    """The weights in a file, or those of a classifier in a folder with its head."""
    if not path.is_dir():
        return Weights.load(path), None
    classifier = Classifier.load(path)
    return classifier.lstm, (classifier.head_weight, classifier.head_bias)
