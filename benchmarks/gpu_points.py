"""The points of the GPU benchmark, and for each the floor: what bytes, operations and barriers alone would take."""

from dataclasses import dataclass
from math import ceil

from gatesmith.ops.cuda.tiling import H100, Pass, Tiling, choose_tiling, runs_as_wave

PASSES: tuple[Pass, ...] = ("forward", "backward")
ELEMENT_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}
PEAK_FLOPS = {"float32": 67e12, "tf32": 494e12, "bfloat16": 989e12, "float16": 989e12}
"""Of an H100 SXM, dense, from its data sheet; tf32 is float32 with PyTorch's switch for it."""
MEMORY_BYTES_PER_SECOND = 3.35e12
CACHE_BYTES_PER_SECOND = 5.5e12
"""L2 to all multiprocessors: an assumption, of the order that microbenchmarks report."""
SHARED_BYTES_PER_SECOND = 128 * 1.755e9
"""Of one multiprocessor: 128 bytes a clock at the boost clock."""
BARRIER_SECONDS = 1.2e-6
"""All programs meet once through L2: an assumption, two round trips of about 0.6 µs."""
LAUNCH_SECONDS = 2.5e-6
"""A step that is a launch of its own: an assumption, of the order that microbenchmarks report."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Sizes of one measurement; ``ragged`` draws lengths uniformly from 1 to T."""

    batch: int
    steps: int
    inputs: int
    hidden: int
    layers: int = 1
    directions: int = 1
    ragged: bool = False

    @property
    def name(self) -> str:
        extra = "" if self.layers == self.directions == 1 else f" L{self.layers} R{self.directions}"
        return f"({self.batch}, {self.steps}, {self.inputs}, {self.hidden}){extra}{' ragged' if self.ragged else ''}"

    def kind(self, dtype: str) -> str:
        """How the issue's targets group it: ragged, at cuDNN's persistent home, outside; or beyond its list."""
        if self.layers > 1 and self.directions == 1:
            return "wave"
        if self.ragged:
            return "ragged"
        single = self.layers == self.directions == 1
        fits = self.hidden <= 1024 and self.hidden % 128 == 0 and self.batch % 8 == 0
        at_home = self.hidden <= 192 or (dtype == "float16" and single and fits)
        return "home" if at_home else "outside"

    def runs_as_wave(self, dtype: str) -> bool:
        """Whether all layers are one launch on an H100."""
        size = ELEMENT_BYTES[dtype]
        given = {"hidden": self.hidden, "batch": self.batch, "layers": self.layers, "element_bytes": size}
        return self.layers > 1 and self.directions == 1 and runs_as_wave(**given, machine=H100)

    def tiling(self, pass_: Pass, dtype: str) -> Tiling:
        """What would be launched on an H100."""
        wave = self.runs_as_wave(dtype)
        return choose_tiling(
            pass_,
            hidden=self.hidden,
            batch=self.batch,
            lanes=self.layers if wave else self.directions,
            matrices=2 if wave else 1,
            element_bytes=ELEMENT_BYTES[dtype],
            machine=H100,
        )


POINTS = (
    Point(batch=16, steps=1024, inputs=768, hidden=768),
    Point(batch=64, steps=256, inputs=512, hidden=512),
    Point(batch=128, steps=64, inputs=1024, hidden=1024),
    Point(batch=1, steps=1000, inputs=256, hidden=256),
    Point(batch=256, steps=100, inputs=128, hidden=128),
    Point(batch=32, steps=500, inputs=320, hidden=320, layers=2, directions=2),
    Point(batch=32, steps=500, inputs=320, hidden=320, layers=2),
    Point(batch=64, steps=256, inputs=512, hidden=512, ragged=True),
    Point(batch=256, steps=100, inputs=128, hidden=128, ragged=True),
)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Seconds that one pass can't go below on an H100, by cause; a step pays its largest one, and a barrier.

    Attributes:
        flops: of the whole pass.
        bytes: x, y, z, h, c and weights through memory once.
        products: the products over all steps: of the input forward; of dW and dx backward.
        cache: of one step, h (or dz) from L2 to every program, and the weights where they are not resident.
        shared: of one step, the program's part of the weights out of shared memory.
        operations: of one step, the recurrent products.
        barriers: of all steps (launches, where a step is one).
        total: products, and every step's largest cause with its barrier.
    """

    flops: float
    bytes: float
    products: float
    cache: float
    shared: float
    operations: float
    barriers: float
    total: float
    programs: int
    tiling: Tiling


def floor_of(point: Point, dtype: str, pass_: Pass) -> Floor:
    """The floor of one pass over all layers, with the tiling that would be launched."""
    size, peak = ELEMENT_BYTES[dtype], PEAK_FLOPS[dtype]
    wave, tiling = point.runs_as_wave(dtype), point.tiling(pass_, dtype)
    lanes, matrices = (point.layers, 2) if wave else (point.directions, 1)
    rounds = point.steps + point.layers - 1 if wave else point.steps * point.layers
    tiles_h, tiles_n, _ = tiling.grid(point.hidden, point.batch, lanes)
    programs = tiles_h * tiles_n * lanes
    inner = point.hidden if pass_ == "forward" else 4 * point.hidden
    part = matrices * inner * (4 * tiling.block_h if pass_ == "forward" else tiling.block_h) * size
    seen = matrices * inner * min(tiling.block_n, point.batch) * size
    cache = programs * (seen + (0 if tiling.resident else part)) / CACHE_BYTES_PER_SECOND
    shared = part / SHARED_BYTES_PER_SECOND * ceil(programs / H100.multiprocessors)
    recurrent = 2 * 4 * point.batch * point.hidden * lanes * point.hidden * matrices  # of a step
    outside, moved = _outside(point, pass_, size, wave=wave)
    step = max(cache, shared, recurrent / peak, moved / MEMORY_BYTES_PER_SECOND / rounds)
    barriers = rounds * (BARRIER_SECONDS if tiling.persistent else LAUNCH_SECONDS)
    return Floor(
        flops=outside + recurrent * rounds,
        bytes=moved,
        products=outside / peak,
        cache=cache,
        shared=shared,
        operations=recurrent / peak,
        barriers=barriers,
        total=outside / peak + rounds * step + barriers,
        programs=programs,
        tiling=tiling,
    )


def _outside(point: Point, pass_: Pass, size: int, *, wave: bool) -> tuple[float, float]:
    """(operations of the products over all steps, bytes through memory)"""
    rows, rows_of_w = point.steps * point.batch, 4 * point.hidden * point.directions
    operations = moved = 0.0
    for layer in range(point.layers):
        inputs = point.inputs if layer == 0 else point.directions * point.hidden
        one = 2 * rows * rows_of_w * inputs
        inside = wave and layer > 0  # its product with the layer below is part of the recurrence
        operations += 0 if inside else one  # W_ih x forward, dx backward
        if pass_ == "backward":
            operations += one + 2 * rows * rows_of_w * point.hidden  # dW_ih and dW_hh
        moved += rows * (inputs + point.hidden * point.directions * 9) * size  # x, h, z there and back
        moved += rows * point.hidden * point.directions * 4 + rows_of_w * (inputs + point.hidden) * size  # c, weights
    return operations, moved
