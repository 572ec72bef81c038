"""Launching the kernels of ``kernels``: a spec as their constants, the tiling, one launch or one for each step."""

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from triton import OutOfResources

from gatesmith.ops import noise
from gatesmith.ops.cuda import kernels
from gatesmith.ops.cuda.tiling import Machine, Pass, Tiling, choose_tiling, smaller
from gatesmith.ops.cuda.transfer import upload
from gatesmith.spec import Activation, LSTMSpec

INTERPRETER = Machine(multiprocessors=1, shared_bytes=1 << 20)
"""Triton's interpreter runs one program after the other, so no two of them can meet at a barrier."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recurrence:
    """The recurrence of a stack of lanes, as both passes see it.

    Attributes:
        w_hh: [R, 4, H, H]
        w_below: [R, 4, H, H], W_ih of a wave's layers (the first one's is never read); None where lanes are directions.
        lengths, order: [N] int64; ``order`` lists the sequences by falling length.
        peepholes: [R, 3, H] of i, f, o; None where there are none.
        scale: [R, N, H] float32, factors of h_{t-1}; None without recurrent dropout.
        keep_h, keep_c: [T, N, R, H] float32, drawn shares of the old state; None in evaluation.
        tilings: by pass, in place of the choice by size.
    """

    spec: LSTMSpec
    steps: int
    w_hh: Tensor
    lengths: Tensor
    order: Tensor
    w_below: Tensor | None = None
    peepholes: Tensor | None = None
    scale: Tensor | None = None
    keep_h: Tensor | None = None
    keep_c: Tensor | None = None
    tilings: dict[Pass, Tiling] | None = None

    def run_forward(self, z: Tensor, h: Tensor, c: Tensor | None, h0: Tensor, h_now: Tensor, c_now: Tensor) -> None:
        """Fill h, and where c is given c and z; ``h_now`` and ``c_now`` go from the initial to the final state."""
        tensors = (z, self.w_hh, self._w_below, h, h if c is None else c, h0, h_now, c_now)
        self._launch("forward", tensors, keep=c is not None)

    def run_backward(self, z: Tensor, dy: Tensor, c: Tensor, dz: Tensor, c0: Tensor, dh: Tensor, dc: Tensor) -> None:
        """Fill dz; ``dh`` and ``dc`` go from the final state's gradients to the initial one's, W_hh's share apart.

        Args:
            dy: [T, N, R, H]; of a wave [T, N, H], of its last lane.
        """
        self._launch("backward", (z, self.w_hh, self._w_below, dy, c, dz, c0, dh, dc), keep=True)

    @property
    def lanes(self) -> int:
        return len(self.w_hh)

    @property
    def _w_below(self) -> Tensor:
        return self.w_hh if self.w_below is None else self.w_below

    def tiling(self, pass_: Pass) -> Tiling:
        if self.tilings is not None:
            return self.tilings[pass_]
        return choose_tiling(
            pass_,
            hidden=self.spec.hidden_size,
            batch=len(self.lengths),
            lanes=self.lanes,
            matrices=1 if self.w_below is None else 2,
            element_bytes=self.w_hh.element_size(),
            machine=machine_of(self.w_hh.device),
        )

    def _launch(self, pass_: Pass, tensors: Sequence[Tensor], *, keep: bool) -> None:
        spec, tiling, batch = self.spec, self.tiling(pass_), len(self.lengths)
        hidden_tiles, batch_tiles, lanes = tiling.grid(spec.hidden_size, batch, self.lanes)
        barrier = self.lengths.new_zeros((lanes, batch_tiles), dtype=torch.int32)
        optional = (self.peepholes, self.scale, self.keep_h, self.keep_c)
        unused = self.w_hh
        given = (*tensors, self.lengths, self.order, *(unused if t is None else t for t in optional), barrier)
        # Directions share a launch unless their activations, which are compiled in, differ.
        apart = spec.reverse_activations is not None
        launches = [(index, 1) for index in range(lanes)] if apart else [(0, lanes)]
        steps = self.steps + (0 if self.w_below is None else lanes - 1)
        spans = [(0, steps)] if tiling.persistent else [(step, step + 1) for step in range(steps)]
        with _on(self.w_hh.device):
            for first_lane, count in launches:
                for first, last in spans:
                    grid, sizes = (hidden_tiles, batch_tiles, count), (batch, spec.hidden_size, first, last, first_lane)
                    tiling = self._launch_once(pass_, tiling, grid, given, sizes, keep=keep)

    def _launch_once(
        self,
        pass_: Pass,
        tiling: Tiling,
        grid: tuple[int, int, int],
        tensors: Sequence[Tensor],
        sizes: Sequence[int],
        *,
        keep: bool,
    ) -> Tiling:
        """The tiling that ran: a smaller one where the compiled kernel takes more of a multiprocessor than there is."""
        while True:
            try:
                kernels.KERNELS[pass_][grid](
                    *tensors,
                    *sizes,
                    **self.constants(pass_, tiling, direction=sizes[-1], keep=keep),
                    num_warps=tiling.num_warps,
                    num_stages=2,
                    # The driver then refuses a grid that can't be resident at once; else it would wait for ever.
                    launch_cooperative_grid=tiling.persistent,
                    enable_fp_fusion=True,
                )
            except OutOfResources:  # said before anything ran
                tiling = smaller(tiling)
            else:
                return tiling

    @classmethod
    def shapes_only(
        cls, spec: LSTMSpec, *, dtype: torch.dtype, tilings: dict[Pass, Tiling], wave: bool = False
    ) -> "Recurrence":
        """One without data, to compile kernels for a device that is not here; never to be run."""
        lanes = spec.num_layers if wave else spec.num_directions
        w_hh = torch.empty((lanes, 4, spec.hidden_size, spec.hidden_size), dtype=dtype, device="meta")
        none = torch.empty(0, dtype=torch.int64)
        peepholes = w_hh if spec.peepholes else None
        return cls(
            spec=spec,
            steps=0,
            w_hh=w_hh,
            w_below=w_hh if wave else None,
            lengths=none,
            order=none,
            peepholes=peepholes,
            tilings=tilings,
        )

    def constants(self, pass_: Pass, tiling: Tiling, *, direction: int, keep: bool) -> dict[str, Any]:
        """What is compiled into the kernel of one pass, for a launch that begins with ``direction``."""
        spec = self.spec
        zoneout = "none"
        if spec.zoneout_h or spec.zoneout_c:
            zoneout = "expected" if self.keep_h is None and self.keep_c is None else "drawn"
        tf32 = self.w_hh.dtype == torch.float32 and allows_tf32()
        return {
            "R": self.lanes,
            "WAVE": self.w_below is not None,
            "REVERSE": spec.direction == "reverse",
            "PRECISION": "widened" if self.w_hh.is_cpu else "tf32" if tf32 else "ieee",
            "BLOCK_N": tiling.block_n,
            "BLOCK_H": tiling.block_h,
            "BLOCK_K": tiling.block_k,
            "K_TILES": tiling.k_tiles,
            "RESIDENT": tiling.resident,
            "BARRIER": tiling.persistent,
            "ACTIVATIONS": tuple(_as_constant(a) for a in spec.activations_of(spec.directions[direction])),
            "COUPLED": spec.coupled_gates,
            "PEEPHOLES": self.peepholes is not None,
            "GATE_CLIP": float(spec.gate_clip or 0.0),
            "CELL_CLIP": float(spec.cell_clip or 0.0),
            "SCALED": self.scale is not None,
            "ZONEOUT": zoneout,
            "RATE_H": float(spec.zoneout_h),
            "RATE_C": float(spec.zoneout_c),
        } | ({"KEEP": keep, "FORGET_BIAS": float(spec.forget_bias)} if pass_ == "forward" else {})


def draw_recurrent_dropout(spec: LSTMSpec, layers: range, seed: int | None, like: Tensor) -> Tensor | None:
    """[R, N, H] float32: the factors of h_{t-1}, the same numbers as on every device; ``like`` is [T, N, R, H]."""
    if seed is None or not spec.recurrent_dropout:
        return None
    _, batch, _, hidden = like.shape
    drawn = [
        noise.dropout_scale(seed, layer, direction, "recurrent_dropout", (batch, hidden), spec.recurrent_dropout)
        for layer in layers
        for direction in spec.directions
    ]
    return as_float32(np.stack(drawn), like)


def draw_zoneout(
    spec: LSTMSpec, layers: range, kind: noise.Kind, rate: float, seed: int | None, like: Tensor
) -> Tensor | None:
    """[T, N, R, H] float32: 1 where a unit keeps its old state."""
    if seed is None or not rate:
        return None
    steps, batch, _, hidden = like.shape
    drawn = [
        noise.zoneout_keep(seed, layer, direction, kind, (steps, batch, hidden), rate)
        for layer in layers
        for direction in spec.directions
    ]
    return as_float32(np.stack(drawn, axis=2), like)


def as_float32(values: noise.Array, like: Tensor) -> Tensor:
    """Numbers drawn on the host, on the device of ``like``."""
    return upload(torch.from_numpy(np.ascontiguousarray(values, np.float32)), like)


@lru_cache(maxsize=16)
def machine_of(device: torch.device) -> Machine:
    """What :func:`choose_tiling` needs to know of a device."""
    if device.type != "cuda":
        return INTERPRETER
    properties = cast("Any", torch.cuda.get_device_properties(device))  # pyright: ignore[reportUnknownMemberType]
    return Machine(
        multiprocessors=properties.multi_processor_count, shared_bytes=properties.shared_memory_per_block_optin
    )


def allows_tf32() -> bool:
    """Whether PyTorch's switch lets float32 products of CUDA tensors round their factors to tf32."""
    matmul = cast("Any", torch.backends.cuda.matmul)
    # Since 2.9 a switch of its own says it; reading the older one would then be an error where the new one was set.
    if hasattr(matmul, "fp32_precision"):
        return matmul.fp32_precision == "tf32"
    return torch.get_float32_matmul_precision() != "highest"


def _as_constant(activation: Activation) -> tuple[str, float, float]:
    return activation.name, activation.alpha or 0.0, activation.beta or 0.0


@contextlib.contextmanager
def _on(device: torch.device) -> Generator[None]:
    """Triton launches on the current device, which need not be the tensors'."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            yield
    else:
        yield
