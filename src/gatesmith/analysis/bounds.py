"""What can't be beaten: the least time that arithmetic, bandwidth, the recurrence, threads and the call allow."""

from dataclasses import asdict, dataclass
from typing import Any

from gatesmith.analysis.cost import work
from gatesmith.analysis.kernel_cost import Kernel
from gatesmith.analysis.limits import Limits
from gatesmith.spec import LSTMSpec

FLOAT = 4


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One lower bound on the time of a call.

    Attributes:
        call: which call, such as "forward, N = 16".
        seconds: the least time that it allows.
        share: of the measured time.
        speedup_if_removed: measured time over the largest of the other bounds: more can't be gained by removing it.
    """

    call: str
    name: str
    seconds: float
    share: float
    speedup_if_removed: float
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """One buffer of a forward run, summed over all cells.

    Attributes:
        read_per_step, written_per_step: bytes; weights are read once for every tile of sequences.
        reuse: how often each of its bytes is read in a call, after it was written or loaded once.
    """

    name: str
    bytes: int
    read_per_step: int
    written_per_step: int
    reuse: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compute_seconds(spec: LSTMSpec, batch: int, steps: int, limits: Limits, *, products: int) -> float:
    """Products at the peak of multiply-adds, and 3 sigmoids and 2 tanhs for each unit and step at their own rate.

    Args:
        products: how often each product is done: 1 forward, 2 backward (dx or dh, and dW).
    """
    flops = sum(stage.flops for stage in work(spec, batch, steps, FLOAT) if stage.stage != "activations")
    units = batch * steps * len(spec.cells()) * spec.hidden_size
    activations = units * (3 / limits.sigmoids + 2 / limits.tanhs) if products == 1 else units / limits.tanhs
    return products * flops / limits.flops + activations


def weight_seconds(spec: LSTMSpec, steps: int, limits: Limits, *, products: int) -> tuple[float, str]:
    """Every weight read once in every step from where all of them fit, and the name of that memory."""
    size = sum(stage.weight_bytes for stage in work(spec, 1, 1, FLOAT))
    level = limits.level_of(size)
    return products * steps * size / limits.bandwidth.get(level, limits.bandwidth["memory"]), level


def rank_bounds(call: str, measured: float, found: dict[str, tuple[float, str]]) -> tuple[Bound, ...]:
    """The bounds of one call, the one that holds first; ``found`` has (seconds, explanation) by name."""
    order = sorted(found, key=lambda name: -found[name][0])
    bounds: list[Bound] = []
    for name in order:
        seconds, explanation = found[name]
        rest = max((found[other][0] for other in order if other != name), default=0.0)
        bounds.append(
            Bound(
                call=call,
                name=name,
                seconds=seconds,
                share=seconds / measured,
                speedup_if_removed=max(1.0, measured / rest) if rest > 0 else float("inf"),
                explanation=explanation,
            )
        )
    return tuple(bounds)


def buffers(spec: LSTMSpec, batch: int, steps: int, kernel: Kernel) -> tuple[Buffer, ...]:
    """Bytes that move between the components in one step of a forward run, and how often each buffer is used again."""
    cells, hidden = len(spec.cells()), spec.hidden_size
    inputs = sum(spec.layer_input_size(layer) for layer, _, _ in spec.cells())
    panels, tiles = -(-hidden // kernel.lanes), -(-batch // kernel.tile_rows)
    w_ih, w_hh = 4 * hidden * inputs * FLOAT, 4 * hidden * hidden * cells * FLOAT
    x, h = batch * inputs * FLOAT, batch * hidden * cells * FLOAT
    return (
        Buffer(name="weights W_ih", bytes=w_ih, read_per_step=w_ih * tiles, written_per_step=0, reuse=steps * tiles),
        Buffer(name="weights W_hh", bytes=w_hh, read_per_step=w_hh * tiles, written_per_step=0, reuse=steps * tiles),
        Buffer(name="input xₜ", bytes=x, read_per_step=x * panels, written_per_step=0, reuse=panels),
        Buffer(name="output hₜ₋₁", bytes=h, read_per_step=h * panels, written_per_step=h, reuse=panels),
        Buffer(name="pre-activations (in registers)", bytes=4 * h, read_per_step=0, written_per_step=0, reuse=1),
        Buffer(name="cell state c", bytes=h, read_per_step=h, written_per_step=h, reuse=1),
    )


def dependency_chain(spec: LSTMSpec, steps: int) -> tuple[str, ...]:
    """What can't be parallel, in sentences."""
    chains = spec.num_layers
    return (
        f"Forward: hₜ and cₜ need hₜ₋₁ and cₜ₋₁, so each cell does {steps} steps in a row,"
        f" and {chains * steps} stand in a row over {chains} layer{'s' * (chains != 1)} unless layers overlap.",
        "W_ih·xₜ of all steps, the sequences of a batch, the units of a layer and the two directions don't wait for"
        " each other.",
        "Backward: dzₜ needs dzₜ₊₁·W_hh and dcₜ₊₁, the same number of steps in a row; dx and dW are products"
        " over many steps at once, off the chain.",
    )
