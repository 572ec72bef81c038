"""Write a folder that any hardware tool takes as it is: SystemVerilog, memory files, a file list, and a manifest."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

from gatesmith.errors import ExportError, UnsupportedError
from gatesmith.fixed.linear import LinearWeights, quantise_linear
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.support import unsupported_feature
from gatesmith.fixed.weights import quantise_weights
from gatesmith.hardware.buildable import require_buildable
from gatesmith.hardware.devices import device_named, require_predicted_fit
from gatesmith.hardware.handover import Handover, handover_files, top_module
from gatesmith.hardware.instances import engine_files, engines_of, exported_cells, memory_files, stack_parameters
from gatesmith.hardware.manifest import (
    FILE_LIST,
    FORMAT,
    MANIFEST,
    Export,
    load_export,
    read_export_head,
    read_export_weights,
    read_manifest,
)
from gatesmith.hardware.memfile import head_files
from gatesmith.hardware.names import require_identifier
from gatesmith.hardware.options import HEAD_OUTPUTS, Options, Pipeline, pipeline_of
from gatesmith.ops.call import Array
from gatesmith.ops.operator import LSTM
from gatesmith.weights import Weights

__all__ = ["Export", "export", "load_export", "read_export_head", "read_export_weights", "source_files"]

TOOL_FOLDER = "build"
"""Where simulation and synthesis may leave files inside an export; not part of it, and replaced with it."""


def export(
    lstm: LSTM | Weights,
    plan: Plan,
    folder: str | Path,
    *,
    multipliers: int = 16,
    name: str = "lstm",
    pipeline: str | Pipeline = "deep",
    max_steps: int = 64,
    output: str = "sequence",
    writable_weights: bool = False,
    head: tuple[Array, Array] | None = None,
    projection_multipliers: int = 0,
    interleave: int = 1,
    share: str = "none",
    device: str | None = None,
) -> Export:
    """Write SystemVerilog, memory files, a file list and a manifest into ``folder``; beside, then renamed.

    Args:
        lstm: the operator, or its weights.
        plan: from :func:`gatesmith.fixed.calibrate`.
        folder: new, empty, or an earlier export, which is replaced.
        multipliers: P, products in a clock cycle, for each cell.
        name: of the design, a SystemVerilog identifier.
        pipeline: "deep", "middle", "shallow", or every number of it.
        max_steps: longest sequence that a reverse direction can turn around.
        output: "sequence" for h of every step, "last" for that of the last step of each sequence, "scores" of the
            head on the last step, or the "class" with the largest score.
        head: weight [K, features] and bias [K] of a classifier's head, where the output asks for it.
        writable_weights: weights and biases in RAM that the control bus can load, instead of ROM.
        interleave: sequences that take turns in each cell, step by step, each with states of its own: 1, 2, 4, … 64.
            A step of one fills the clocks in which another waits for its h.
        share: "directions" for one engine instead of two for both directions of a layer, which take turns in it, step
            by step: half of the multipliers, and each fills the clocks in which the other waits for its h. "layers"
            for one engine for all layers of one size, which are all where D = H, else all but the first; their plan has
            to be calibrated with the same ``share``.
        projection_multipliers: products of a projection in a clock, at most R; 0 for as many as it takes to cost no
            time, at most P.
        device: refuse what this FPGA can't hold; one of ``gatesmith.hardware.devices.DEVICES``.

    Raises:
        UnsupportedError: the hardware can't express the spec; nothing is written.
        FormatError: the plan doesn't belong to the spec.
        ExportError: the name, an option or the folder can't be used, or the device is too small.
        InputError: the device is unknown.
    """
    weights = lstm.weights if isinstance(lstm, LSTM) else lstm
    feature = unsupported_feature(weights.spec)
    if feature:
        raise UnsupportedError(f"the hardware can't express {feature}; nothing was written")
    require_identifier(name)
    options = Options(
        multipliers=multipliers,
        pipeline=pipeline_of(pipeline),
        max_steps=max_steps,
        output=output,
        writable_weights=writable_weights,
        projection_multipliers=projection_multipliers,
        interleave=interleave,
        share=share,
    )
    require_buildable(weights.spec, plan, options)
    head_codes = _head_codes(plan, options, head)
    contents = {f"rtl/{source.name}": source.read_bytes() for source in source_files()}
    sources = tuple(contents)
    contents[FILE_LIST] = "".join(f"{path}\n" for path in (*sources, f"rtl/{top_module(name)}.sv")).encode()
    cells, codes = exported_cells(weights.spec, plan, options), quantise_weights(weights, plan)
    for path, text in engine_files(cells, codes).items():
        contents[path] = text.encode()
    if plan.head and head_codes:
        contents |= {path: text.encode() for path, text in head_files(plan.head, head_codes).items()}
    design = Handover(
        name=name,
        spec=weights.spec,
        plan=plan,
        options=options,
        stack=stack_parameters(weights.spec, plan, options),
        engines=engines_of(cells),
        weights=codes,
        head=head_codes,
        memories=memory_files(cells, options),
        sources=source_files(),
    )
    if device:
        require_predicted_fit(device_named(device), design.engines)
    contents |= {path: text.encode() for path, text in handover_files(design).items()}
    manifest = {
        "format": FORMAT,
        "name": name,
        "spec": json.loads(weights.spec.to_json()),
        "plan": plan.to_dict(),
        "options": options.to_dict(),
        "stack": design.stack,
        "cells": [asdict(cell) for cell in cells],
        "sources": list(sources),
        "sha256": {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()},
    }
    contents[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    folder = Path(folder)
    _publish(folder, contents)
    return Export(folder=folder, name=name, spec=weights.spec, plan=plan, options=options, cells=cells, sources=sources)


def _head_codes(plan: Plan, options: Options, head: tuple[Array, Array] | None) -> LinearWeights | None:
    if options.output not in HEAD_OUTPUTS or plan.head is None:
        return None
    if head is None:
        raise ExportError(f"output is {options.output!r}, but no head is given; pass its weight and bias")
    return quantise_linear(plan.head, *head)


def source_files() -> tuple[Path, ...]:
    """The SystemVerilog sources in order of compilation: packages first, then by name.

    Raises:
        ExportError: this installation has none.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "rtl", package.parent.parent / "rtl"):  # installed, and in a checkout
        sources = sorted(folder.glob("*.sv"), key=lambda path: (not path.stem.endswith("_pkg"), path.name))
        if sources:
            return tuple(sources)
    raise ExportError(
        f"no SystemVerilog sources stand beside {package}; expected a folder rtl, install gatesmith again"
    )


def _publish(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files into a folder beside, and rename it; an earlier export moves away first, and back on failure."""
    _require_replaceable(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            fresh, earlier = Path(scratch, "fresh"), Path(scratch, "earlier")
            for path, content in contents.items():
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / path).write_bytes(content)
            if folder.exists():
                folder.rename(earlier)
            try:
                fresh.rename(folder)
            except OSError:
                if earlier.exists():
                    shutil.move(earlier, folder)
                raise
    except OSError as error:
        raise ExportError(f"can't write the folder {folder}: {error.strerror}; choose another") from None


def _require_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportError(f"{folder} is a file; expected a new folder, or an earlier export")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return
    try:
        ours = {MANIFEST, *cast("Mapping[str, object]", read_manifest(folder)["sha256"])}
    except ExportError:
        raise ExportError(
            f"{folder} holds something else ({min(there)}); expected a new or empty folder, or an earlier export"
        ) from None
    foreign = {path for path in there - ours if not path.startswith(f"{TOOL_FOLDER}/")}
    if foreign:
        raise ExportError(f"{folder} holds {min(foreign)}, which gatesmith did not write; move it away first")
