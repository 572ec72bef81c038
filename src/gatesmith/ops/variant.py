"""A spec's features, parameters and noise as the compiled kernel reads them, for cells beyond the plain one."""

from ctypes import Array as CArray
from ctypes import c_void_p, pointer
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from gatesmith.ops.call import Array, Call
from gatesmith.ops.library import CActivation, CCell, CNoise, CRun, CSpec, CVariant, address
from gatesmith.ops.noise import Kind, dropout_scale, zoneout_keep
from gatesmith.spec import ACTIVATION_DEFAULTS, GATES, Activation, LSTMSpec

FUNCTIONS = (
    "sigmoid",
    "tanh",
    "relu",
    "affine",
    "leaky_relu",
    "thresholded_relu",
    "scaled_tanh",
    "hard_sigmoid",
    "elu",
    "softsign",
    "softplus",
)
"""The activation functions in the order of csrc/gatesmith.h."""
assert set(FUNCTIONS) == set(ACTIVATION_DEFAULTS)

NORMS = {
    "none": (None, None, None),
    "gates_and_cell": ("norm_gates", None, "norm_cell"),
    "inputs_and_cell": ("norm_ih", "norm_hh", "norm_cell"),
}
"""Names of the normalisations at their places in ``gatesmith_cell``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """What one training run draws, as arrays of float32: kept until its backward run is over.

    Attributes:
        cells: for each cell, factors of h_{t-1} [N, R] and what zoneout keeps of h [T, N, R] and c [T, N, H].
        dropout: factors of the output of every layer below the last, [T, N, directions * R].
    """

    cells: tuple[tuple[Array | None, Array | None, Array | None], ...]
    dropout: tuple[Array, ...]


def draw_noise(call: Call) -> Noise | None:
    """The same numbers as on every device; None in evaluation and where a spec has no noise."""
    spec, (steps, batch) = call.spec, call.x.shape[:2]
    if not call.training or not (spec.dropout or spec.recurrent_dropout or spec.zoneout_h or spec.zoneout_c):
        return None

    def zoneout(layer: int, direction: str, kind: Kind, rate: float, size: int) -> Array | None:
        if not rate:
            return None
        return zoneout_keep(call.seed, layer, direction, kind, (steps, batch, size), rate).astype(np.float32)

    def recurrent(layer: int, direction: str) -> Array | None:
        if not spec.recurrent_dropout:
            return None
        shape, rate = (batch, spec.output_size), spec.recurrent_dropout
        return dropout_scale(call.seed, layer, direction, "recurrent_dropout", shape, rate).astype(np.float32)

    cells = tuple(
        (
            recurrent(layer, direction),
            zoneout(layer, direction, "zoneout_h", spec.zoneout_h, spec.output_size),
            zoneout(layer, direction, "zoneout_c", spec.zoneout_c, spec.hidden_size),
        )
        for layer, direction, _ in spec.cells()
    )
    shape = (steps, batch, spec.num_directions * spec.output_size)
    below = range(spec.num_layers - 1) if spec.dropout else ()
    dropout = tuple(
        dropout_scale(call.seed, layer, "forward", "dropout", shape, spec.dropout).astype(np.float32) for layer in below
    )
    return Noise(cells=cells, dropout=dropout)


@lru_cache(maxsize=1024)
def c_spec(spec: LSTMSpec, *, training: bool = False) -> CSpec:
    """A spec as the library reads it; without a variant where the plain cell does what it says."""
    reverse = spec.direction == "reverse"
    sizes = CSpec(spec.input_size, spec.hidden_size, spec.num_layers, spec.num_directions, reverse)
    if is_variant(spec, training=training):
        sizes.variant = pointer(_variant(spec))
    return sizes


@lru_cache(maxsize=1024)
def is_variant(spec: LSTMSpec, *, training: bool) -> bool:
    """Whether a run takes more than the plain cell, to which a forget bias is a second bias.

    Dropout does nothing in evaluation, and dropout between layers nothing with one layer.
    """
    if not training:
        spec = replace(spec, dropout=0.0, recurrent_dropout=0.0)
    if spec.num_layers == 1:
        spec = replace(spec, dropout=0.0, residual=False)
    return not replace(spec, forget_bias=0.0).is_standard


def _variant(spec: LSTMSpec) -> CVariant:
    directions = [spec.activations_of(direction) for direction in spec.directions] * 2
    triples = ((CActivation * 3)(*(_activation(a) for a in triple)) for triple in directions[:2])
    return CVariant(
        proj_size=spec.proj_size,
        peepholes=_bits(spec.peepholes),
        full_peepholes=_bits(spec.full_peepholes),
        derived_gate=_bits(spec.derived_gate),
        layer_norm=list(NORMS).index(spec.layer_norm),
        drop_states=spec.drop_states,
        residual=spec.residual,
        gate_clip=spec.gate_clip or 0.0,
        cell_clip=spec.cell_clip or 0.0,
        proj_clip=spec.proj_clip or 0.0,
        forget_bias=spec.forget_bias,
        zoneout_h=spec.zoneout_h,
        zoneout_c=spec.zoneout_c,
        activations=((CActivation * 3) * 2)(*triples),
    )


def _activation(activation: Activation) -> CActivation:
    return CActivation(FUNCTIONS.index(activation.name), activation.alpha or 0.0, activation.beta or 0.0)


def _bits(gates: str) -> int:
    return sum(1 << GATES.index(gate) for gate in gates)


def c_cells(spec: LSTMSpec, arrays: Any) -> CArray[CCell]:
    """The C view of the parameters (or gradients) of every cell; the arrays must be contiguous and stay alive."""

    def at(name: str | None, suffix: str) -> int | None:
        array = arrays.get(f"{name}_{suffix}") if name else None
        return None if array is None else address(array)

    triple = c_void_p * 3
    return (CCell * len(spec.cells()))(
        *(
            CCell(
                w_ih=at("weight_ih", suffix),
                w_hh=at("weight_hh", suffix),
                b=at("bias", suffix),
                peepholes=triple(*(at(f"peephole_{gate}", suffix) for gate in "ifo")),
                w_hr=at("weight_hr", suffix),
                b_hr=at("bias_hr", suffix),
                norm_gain=triple(*(at(name and f"{name}_gain", suffix) for name in NORMS[spec.layer_norm])),
                norm_shift=triple(*(at(name and f"{name}_shift", suffix) for name in NORMS[spec.layer_norm])),
            )
            for _, _, suffix in spec.cells()
        )
    )


def set_noise(run: CRun, noise: Noise | None) -> None:
    """Point a run at its noise, which must stay alive."""
    if noise is None:
        return
    run.noise = (CNoise * len(noise.cells))(
        *(CNoise(*(None if array is None else address(array) for array in cell)) for cell in noise.cells)
    )
    if noise.dropout:
        run.dropout = (c_void_p * len(noise.dropout))(*(address(array) for array in noise.dropout))
