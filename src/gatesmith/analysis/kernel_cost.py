"""What the compiled kernel holds beside its operands, by the formulas of csrc/memory.cpp; always float32.

A panel is V hidden units, one vector register of them; ⌈H⌉ and ⌈D⌉ are H and D rounded up to whole panels.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gatesmith.analysis import variant_cost
from gatesmith.analysis.cost import Line
from gatesmith.analysis.variant_cost import H_PADDING, Sizes, Terms, show
from gatesmith.ops.variant import is_variant
from gatesmith.spec import LSTMSpec

FLOAT, POINTER = 4, 8

HOISTED_TILES = 8
"""Tiles of rows whose input projection is one product where the batch is small."""

HOIST_ABOVE_WEIGHTS, HOISTED_STEPS = 1 << 22, 4
"""Floats of packed weights beyond which the input projection of so many steps is one product too."""

SHORT_FLOATS = 64
"""Rows of x and y of at most so many floats are moved between the order of the batch and that of lengths."""

ROW_BYTES = 48
"""What a thread keeps for each sequence of a variant: its rank, row and time, and where its x, h and y lie."""

CHUNK_ROWS = 512
"""Rows of dz that one product of the backward pass takes, at least; and of a chunk that all layers run, about."""

LAYERED_STEPS = 16
"""The fewest steps of such a chunk."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What of the kernel its memory depends on.

    Attributes:
        lanes: V, floats of one vector register.
        tile_rows: M, sequences that one tile takes.
        threads: P, each with a scratch of its own.
    """

    lanes: int = 16
    tile_rows: int = 6
    threads: int = 1


TARGETS = {"avx512": (16, 6), "avx2": (8, 3), "portable": (4, 2)}
"""(V, M) of every instruction set, as csrc/simd.h has them on x86-64."""


def lines(
    spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, training: bool, recompute: bool
) -> tuple[Line, ...]:
    """Packed weights, workspace and tape of one run without noise, in bytes and in symbols."""
    if is_variant(spec, training=False):
        parts = _variant_parts(spec, batch, steps, kernel, training=training, recompute=recompute)
    else:
        parts = _plain_parts(spec, batch, steps, kernel, training=training, recompute=recompute)
    return tuple(Line(component=name, formula=formula, predicted=count) for name, formula, count in parts)


def _plain_parts(
    spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, training: bool, recompute: bool
) -> list[tuple[str, str, int]]:
    parts = [("packed weights", *_packed(spec, kernel))]
    if training:
        parts.append(("packed weights of backward", *_packed_backward(spec, kernel)))
        parts.append(("training tape", *_tape(spec, batch, steps, kernel, recompute=recompute)))
    workspaces = [_forward_workspace(spec, batch, steps, kernel, training=training)]
    if training:
        workspaces.append(_backward_workspace(spec, batch, steps, kernel, recompute=recompute))
    parts.append(("workspace", *max(workspaces, key=lambda workspace: workspace[1])))
    return parts


def _variant_parts(
    spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, training: bool, recompute: bool
) -> list[tuple[str, str, int]]:
    cells = [_sizes(spec, layer, direction, kernel) for layer, direction, _ in spec.cells()]
    parts = [("packed weights", *_over(cells, variant_cost.packed))]
    if training:
        parts.append(("packed weights of backward", *_over(cells, variant_cost.packed_backward)))
        parts.append(("training tape", *_variant_tape(cells, batch, steps, recompute=recompute)))
    workspaces = [
        _variant_forward_workspace(
            spec, batch, steps, kernel, keeps_steps=training and not recompute, training=training
        )
    ]
    if training:
        workspaces.append(_variant_backward_workspace(spec, batch, steps, kernel, recompute=recompute))
    parts.append(("workspace", *max(workspaces, key=lambda workspace: workspace[1])))
    return parts


def _variant_tape(cells: list[Sizes], batch: int, steps: int, *, recompute: bool) -> tuple[str, int]:
    """The trace of every step, or the states at every chunk's beginning; and y of the layers below the last."""
    spec, rows = cells[0].spec, steps * batch
    chunks = -(-steps // _chunk_steps(batch, steps))

    def kept(sizes: Sizes) -> Terms:
        if recompute:
            states = f"{chunks}N·(⌈H⌉ + ⌈R⌉ + {H_PADDING})"
            return [(states, chunks * batch * (sizes.hidden + sizes.h_row))]
        return variant_cost.trace(sizes, batch + rows, rows, keeps_steps=True)

    formula, count = _over(cells, kept)
    below = (spec.num_layers - 1) * rows * spec.num_directions * spec.output_size * FLOAT
    formula += f" + {spec.num_layers - 1}·T·N·{_width(spec)}·s" if below else ""
    return formula + ("" if recompute else ", S = (T + 1)·N, Z = T·N"), count + below


def _variant_forward_workspace(
    spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, keeps_steps: bool, training: bool
) -> tuple[str, int]:
    """A chunk of hoisted input projections for each thread, and the trace of one step where the tape keeps none."""
    cells = [_sizes(spec, 0, direction, kernel) for direction in spec.directions]
    scratch, symbols = _variant_scratch(cells[0], batch, kernel)
    count, parts = 16 * batch + scratch, ["16·N", symbols]
    if not keeps_steps:
        formula, traces = _over(cells, lambda sizes: variant_cost.trace(sizes, 2 * batch, batch, keeps_steps=False))
        count += traces
        parts.append(formula)
    if not training and spec.num_layers > 1:
        layered = steps if spec.drop_states else _layered_steps(spec, batch, steps)
        count += layered * batch * spec.num_directions * spec.output_size * FLOAT + (
            8 * batch if layered < steps else 0
        )
        parts.append(_layered(layered, steps, spec))
    return " + ".join(parts) + ("" if keeps_steps else ", S = 2N, Z = N"), count


def _variant_backward_workspace(
    spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, recompute: bool
) -> tuple[str, int]:
    """Gradients of a chunk of K rows, its trace where it is computed again, and the weights' gradients as packed."""
    chunk = _chunk_steps(batch, steps) * batch
    inputs = max(spec.layer_input_size(layer) for layer in range(spec.num_layers))
    cells = [_sizes(spec, 0, direction, kernel, inputs=inputs) for direction in spec.directions]

    def held(sizes: Sizes) -> Terms:
        again = variant_cost.trace(sizes, batch + chunk, chunk, keeps_steps=True) if recompute else []
        return variant_cost.gradients(sizes, batch, chunk) + again

    formula, count = _over(cells, held)
    formula = f"16·N + {formula}"
    count += 16 * batch
    if recompute:
        scratch, symbols = _variant_scratch(cells[0], batch, kernel)
        formula, count = f"{formula} + {symbols}", count + scratch
    if spec.num_directions == 2:
        formula, count = f"{formula} + T·N·D_max·s", count + steps * batch * inputs * FLOAT
    between = min(2, spec.num_layers - 1)
    if between:
        formula += f" + {between}·T·N·{_width(spec)}·s"
        count += between * steps * batch * spec.num_directions * spec.output_size * FLOAT
    return formula + f", K = {chunk}" + (", S = N + K, Z = K" if recompute else ""), count


def _variant_scratch(sizes: Sizes, batch: int, kernel: Kernel) -> tuple[int, str]:
    hoisted = HOISTED_TILES * kernel.tile_rows
    each = ROW_BYTES * batch + hoisted * (POINTER + 4 * sizes.hidden * FLOAT)
    return kernel.threads * each, f"P·({hoisted}·(4⌈H⌉·s + {POINTER}) + {ROW_BYTES}·N)"


def _sizes(spec: LSTMSpec, layer: int, direction: str, kernel: Kernel, *, inputs: int | None = None) -> Sizes:
    return Sizes(
        spec=spec,
        inputs=inputs or spec.layer_input_size(layer),
        direction=direction,
        lanes=kernel.lanes,
        tile_rows=kernel.tile_rows,
    )


def _over(cells: list[Sizes], terms: Callable[[Sizes], Terms]) -> tuple[str, int]:
    """The formula of the first cell, and the sum over all of them in bytes."""
    count = sum(variant_cost.total(terms(sizes)) for sizes in cells) * FLOAT
    formula = f"({show(terms(cells[0]))})·s"
    return (formula if len(cells) == 1 else f"Σ over {len(cells)} cells {formula}"), count


def _layered_steps(spec: LSTMSpec, batch: int, steps: int) -> int:
    """Steps that all layers run before any goes on, where no reverse direction needs the whole of the layer below."""
    return steps if spec.num_directions == 2 else min(steps, max(LAYERED_STEPS, CHUNK_ROWS // max(1, batch)))


def _layered(layered: int, steps: int, spec: LSTMSpec) -> str:
    return f"T·N·{_width(spec)}·s" if layered == steps else f"{layered}·N·{_width(spec)}·s + 8·N"


def _chunk_steps(batch: int, steps: int) -> int:
    return min(max(CHUNK_ROWS // max(1, batch), 1), max(1, steps))


def _packed(spec: LSTMSpec, kernel: Kernel) -> tuple[str, int]:
    hidden = _padded(spec.hidden_size, kernel)
    return _over_cells(spec, "4⌈H⌉·(1 + {d} + H)·s", lambda d: 4 * hidden * (1 + d + spec.hidden_size) * FLOAT)


def _packed_backward(spec: LSTMSpec, kernel: Kernel) -> tuple[str, int]:
    hidden = _padded(spec.hidden_size, kernel)
    return _over_cells(spec, "4⌈H⌉·(⌈H⌉ + ⌈{d}⌉)·s", lambda d: 4 * hidden * (hidden + _padded(d, kernel)) * FLOAT)


def _tape(spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, recompute: bool) -> tuple[str, int]:
    """c of every step, the gates unless they are computed again, and y of the layers below the last."""
    hidden, rows = _padded(spec.hidden_size, kernel), steps * batch
    kept, gates = ("(T + 1)·N·⌈H⌉", 0) if recompute else ("(5T + 1)·N·⌈H⌉", 4 * rows)
    formula, count = _over_cells(spec, f"{kept}·s", lambda _: hidden * (batch + rows + gates) * FLOAT)
    below = (spec.num_layers - 1) * rows * spec.num_directions * spec.hidden_size * FLOAT
    return (formula + f" + {spec.num_layers - 1}·T·N·{_width(spec)}·s" if below else formula), count + below


def _forward_workspace(spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, training: bool) -> tuple[str, int]:
    """A chunk of hoisted input projections for each thread, h of two steps, and running c where there is no tape."""
    hidden, both = _padded(spec.hidden_size, kernel), spec.num_directions
    inputs = max(spec.layer_input_size(layer) for layer in range(spec.num_layers))
    hoisted, floor = HOISTED_TILES * kernel.tile_rows, kernel.tile_rows
    if batch < floor or 4 * hidden * (1 + inputs + spec.hidden_size) > HOIST_ABOVE_WEIGHTS:
        hoisted = max(hoisted, HOISTED_STEPS * batch)
    short = SHORT_FLOATS if spec.hidden_size <= SHORT_FLOATS else 0
    scratch = (3 * batch + hoisted) * POINTER + hoisted * 4 * hidden * FLOAT
    scratch += (batch * 32 + (batch + 2) * short * FLOAT) if short else 0
    count = 16 * batch + kernel.threads * scratch + both * 2 * batch * (hidden + H_PADDING) * FLOAT
    rows = f"{short}·(N + 2)·s + 56·N" if short else "24·N"
    symbols = [f"16·N + P·({hoisted}·(4⌈H⌉·s + 8) + {rows})", f"{2 * both}·N·(⌈H⌉ + {H_PADDING})·s"]
    if not training:
        count += both * hidden * batch * FLOAT
        symbols.append(f"{'2·' if both == 2 else ''}N·⌈H⌉·s")
    if not training and spec.num_layers > 1:
        layered = _layered_steps(spec, batch, steps)
        count += layered * batch * both * spec.hidden_size * FLOAT + (8 * batch if layered < steps else 0)
        symbols.append(_layered(layered, steps, spec))
    return " + ".join(symbols), count


def _backward_workspace(spec: LSTMSpec, batch: int, steps: int, kernel: Kernel, *, recompute: bool) -> tuple[str, int]:
    """dz and the features of two chunks of K rows, the weights' gradients as they are packed, and running dc."""
    hidden, directions = _padded(spec.hidden_size, kernel), spec.num_directions
    chunk = _chunk_steps(batch, steps) * batch
    inputs = max(spec.layer_input_size(layer) for layer in range(spec.num_layers))
    features = 1 + inputs + spec.hidden_size
    tiled = -(-features // kernel.tile_rows) * kernel.tile_rows
    dz = 3 if recompute else 2
    each = hidden * batch + dz * 4 * hidden * chunk + 2 * tiled * chunk + 4 * hidden * features
    between = min(2, spec.num_layers - 1) * steps * batch * directions * spec.hidden_size
    reverse = steps * batch * inputs if directions == 2 else 0
    d = "D" if spec.num_layers == 1 else "D_max"
    formula = f"(N·⌈H⌉ + {4 * dz}K·⌈H⌉ + 2K·(1 + {d} + H) + 4⌈H⌉·(1 + {d} + H))·s"
    formula = f"2·{formula}" if directions == 2 else formula
    formula += f" + T·N·{d}·s" if reverse else ""
    formula += f" + {min(2, spec.num_layers - 1)}·T·N·{_width(spec)}·s" if between else ""
    return f"16·N + {formula}, K = {chunk}", 16 * batch + (directions * each + reverse + between) * FLOAT


def _over_cells(spec: LSTMSpec, formula: str, count: Callable[[int], int]) -> tuple[str, int]:
    """A formula for one cell, and its sum over all of them; ``{d}`` in it stands for what a layer reads."""
    cells = spec.cells()
    total = sum(count(spec.layer_input_size(layer)) for layer, _, _ in cells)
    symbols = formula.format(d="D" if spec.num_layers == 1 else "D_l")
    return (symbols if len(cells) == 1 else f"Σ over {len(cells)} cells {symbols}"), total


def _padded(size: int, kernel: Kernel) -> int:
    return -(-size // kernel.lanes) * kernel.lanes


def _width(spec: LSTMSpec) -> str:
    size = "R" if spec.proj_size else "H"
    return f"2{size}" if spec.num_directions == 2 else size
