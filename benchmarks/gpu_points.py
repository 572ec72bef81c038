"""The points of the GPU benchmark, and for each the floor: what bytes, operations and barriers alone would take."""

from dataclasses import dataclass
from math import ceil

from gatesmith.ops.cuda.tiling import H100, Pass, choose_tiling

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
PEAK_FLOPS = {"float32": 67e12, "bfloat16": 989e12, "float16": 989e12}
"""Of an H100 SXM, dense, from its data sheet; float32 without tf32."""
MEMORY_BYTES_PER_SECOND = 3.35e12
CACHE_BYTES_PER_SECOND = 5.5e12
"""L2 to all multiprocessors: an assumption, of the order that microbenchmarks report."""
SHARED_BYTES_PER_SECOND = 128 * 1.755e9
"""Of one multiprocessor: 128 bytes a clock at the boost clock."""
BARRIER_SECONDS = 1.2e-6
"""All programs meet once through L2: an assumption, two round trips of about 0.6 µs."""


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

    def is_home_of_cudnn(self, dtype: str) -> bool:
        """Whether cuDNN can run this persistently: padded, H <= 192, or fp16 in its multiples."""
        if self.ragged:
            return False
        single = self.layers == self.directions == 1
        fits = self.hidden <= 1024 and self.hidden % 128 == 0 and self.batch % 8 == 0
        return self.hidden <= 192 or (dtype == "float16" and single and fits)


POINTS = (
    Point(batch=16, steps=1024, inputs=768, hidden=768),
    Point(batch=64, steps=256, inputs=512, hidden=512),
    Point(batch=128, steps=64, inputs=1024, hidden=1024),
    Point(batch=1, steps=1000, inputs=256, hidden=256),
    Point(batch=256, steps=100, inputs=128, hidden=128),
    Point(batch=32, steps=500, inputs=320, hidden=320, layers=2, directions=2),
    Point(batch=64, steps=256, inputs=512, hidden=512, ragged=True),
    Point(batch=256, steps=100, inputs=128, hidden=128, ragged=True),
)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Seconds that one pass can't go below on an H100, by cause; a step pays its largest one, and a barrier.

    Attributes:
        products: the input projection of all steps (with dW and dx in the backward pass), by operations.
        memory: z, h and c through memory once.
        cache: of one step, h (or dz) from L2 to every program, and W_hh where it is not resident.
        shared: of one step, the program's part of W_hh out of shared memory.
        operations: of one step, the recurrent product.
        total: all of it: products, and every step's largest cause with its barrier.
    """

    products: float
    memory: float
    cache: float
    shared: float
    operations: float
    total: float
    programs: int
    resident: bool
    persistent: bool


def floor_of(point: Point, dtype: str, pass_: Pass) -> Floor:
    """The floor of one pass over all layers, with the tiling that would be launched."""
    size, peak = ELEMENT_BYTES[dtype], PEAK_FLOPS[dtype]
    tiling = choose_tiling(
        pass_,
        hidden=point.hidden,
        batch=point.batch,
        lanes=point.directions,
        element_bytes=size,
        machine=H100,
    )
    grid = tiling.grid(point.hidden, point.batch, point.directions)
    programs = grid[0] * grid[1] * grid[2]
    inner = point.hidden if pass_ == "forward" else 4 * point.hidden
    part = inner * (4 * tiling.block_h if pass_ == "forward" else tiling.block_h) * size
    read = programs * (inner * min(tiling.block_n, point.batch) * size + (0 if tiling.resident else part))
    cache = read / CACHE_BYTES_PER_SECOND
    shared = part / SHARED_BYTES_PER_SECOND * ceil(programs / H100.multiprocessors)
    cells = point.batch * point.hidden * point.directions
    operations = 2 * 4 * cells * point.hidden / peak
    rows = point.steps * point.batch
    products = memory = 0.0
    for layer in range(point.layers):
        inputs = point.inputs if layer == 0 else point.directions * point.hidden
        one = 2 * rows * 4 * point.hidden * point.directions * inputs
        recurrent = 2 * rows * 4 * point.hidden * point.directions * point.hidden
        products += (one if pass_ == "forward" else 2 * one + recurrent) / peak
        memory += rows * point.hidden * point.directions * (9 * size + 4) / MEMORY_BYTES_PER_SECOND
    step = max(cache, shared, operations, memory / (point.layers * point.steps)) + BARRIER_SECONDS
    return Floor(
        products=products,
        memory=memory,
        cache=cache,
        shared=shared,
        operations=operations,
        total=products + point.layers * point.steps * step,
        programs=programs,
        resident=tiling.resident,
        persistent=tiling.persistent,
    )
