"""Measures how fast an operator is, where its time goes, and which bound holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatesmith.analysis.bottleneck import beats_a_limit, bounds_of
from gatesmith.analysis.bounds import (
    Bound,
    Buffer,
    buffers,
    compute_seconds,
    dependency_chain,
    weight_seconds,
)
from gatesmith.analysis.cost import work
from gatesmith.analysis.footprint import footprint, this_kernel, too_large
from gatesmith.analysis.limits import Limits, machine_limits
from gatesmith.analysis.results import save_result
from gatesmith.analysis.stages import (
    Components,
    backward_components,
    forward_components,
)
from gatesmith.analysis.timing import Latency, time_in_turn
from gatesmith.errors import InputError
from gatesmith.ops import cpu
from gatesmith.ops.call import Call, make_call
from gatesmith.ops.devices import engine_for
from gatesmith.spec import LSTMSpec
from gatesmith.weights import Weights, initialise

BATCHES = (1, 4, 16, 64)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Point:
    """Latency and throughput of one kind of call at one batch size.

    Attributes:
        mode: "inference", or "training" for forward and backward together.
    """

    mode: str
    batch: int
    latency: Latency
    flops: int

    @property
    def sequences_per_second(self) -> float:
        """Batch over median latency."""
        return self.batch / self.latency.median

    def to_dict(self) -> dict[str, Any]:
        latency = self.latency
        return {
            "mode": self.mode,
            "batch": self.batch,
            "median_seconds": latency.median,
            "p10_seconds": latency.p10,
            "p90_seconds": latency.p90,
            "p99_seconds": latency.p99,
            "min_seconds": latency.least,
            "repeats": latency.repeats,
            "sequences_per_second": self.sequences_per_second,
            "gflops": self.flops / latency.median / 1e9,
        }


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What :func:`profile` measured; components, bounds and limits are the compiled kernel's.

    Attributes:
        bounds: of the forward call, then of the backward one, each with the bound that holds first.
        not_measured: why nothing was run, as a sentence; None where it was.
    """

    spec: LSTMSpec
    device: str
    steps: int
    threads: int
    throughput: tuple[Point, ...]
    components: tuple[Components, ...]
    bounds: tuple[tuple[Bound, ...], ...]
    limits: Limits | None
    buffers: tuple[Buffer, ...]
    not_measured: str | None = None

    @property
    def bound(self) -> Bound | None:
        """The one that holds in the forward call; None where no components were measured."""
        return self.bounds[0][0] if self.bounds else None

    @property
    def reason(self) -> str:
        """What limits the operator, in a sentence."""
        if self.not_measured:
            return self.not_measured
        if self.bound is None:
            return f"Components are measured on device 'cpu' alone; this is {self.device!r}."
        held, whole = self.bound, self.components[0].whole.least
        return (
            f"The {held.name} allows no less than {held.seconds * 1e6:,.1f} µs of the {whole * 1e6:,.1f} µs that a"
            f" {held.call} takes ({held.share:.0%}); without it at most {held.speedup_if_removed:.3g} times as fast."
        )

    def to_dict(self) -> dict[str, Any]:
        held = self.bound
        return {
            "spec": self.spec.to_json(),
            "device": self.device,
            "steps": self.steps,
            "threads": self.threads,
            "throughput": [point.to_dict() for point in self.throughput],
            "components": [part.to_dict(self.limits) for part in self.components if self.limits],
            "limits": self.limits.to_dict() if self.limits else None,
            "bottleneck": {
                "bound": held.name if held else "unknown",
                "reason": self.reason,
                "bounds": [bound.to_dict() for bounds in self.bounds for bound in bounds],
            },
            "buffers": [buffer.to_dict() for buffer in self.buffers],
            "not_measured": self.not_measured,
            "dependency_chain": list(dependency_chain(self.spec, self.steps)),
        }

    def save(self, path: str | Path, *, title: str = "") -> None:
        """Write the result file that :func:`gatesmith.report.write_report` reads."""
        save_result(path, "profile", self.to_dict(), title=title)


def profile(
    model: LSTMSpec | Weights,
    steps: int,
    *,
    batches: Sequence[int] = BATCHES,
    component_batch: int | None = None,
    device: str = "cpu",
    training: bool = True,
    seconds: float = 10.0,
    progress: Progress | None = None,
) -> Profile:
    """Measure throughput over batch sizes, the time of every component, and the bounds.

    Args:
        model: what to run; a spec runs with initial weights. Where it is too large for this machine's memory, nothing
            is run: the result says so, and what the machine's limits allow at least.
        steps: T of the sequences, which are random: time doesn't depend on values.
        batches: sizes N to time.
        component_batch: N of the call that is taken apart; the middle one of ``batches`` if None.
        device: where to run; components and bounds are for ``"cpu"`` alone.
        training: whether to time backward too.
        seconds: about how long to measure in all.
        progress: called before each part.

    Raises:
        InputError: a size is less than 1, or there is no batch size.
        UnsupportedError: the device isn't there or can't run the spec.
    """
    sizes = sorted(set(batches))
    if not sizes or sizes[0] < 1 or steps < 1 or (component_batch is not None and component_batch < 1):
        raise InputError(f"batches are {list(batches)} and steps {steps}; expected sizes of at least 1")
    spec = model.spec if isinstance(model, Weights) else model
    taken_apart = component_batch or sizes[len(sizes) // 2]
    inside = device == "cpu"
    reason = too_large(footprint(spec, max(sizes[-1], taken_apart), steps, training=training, measure=False).peak)
    if reason:
        return _predicted(spec, steps, taken_apart, device, reason)
    weights = model if isinstance(model, Weights) else initialise(spec)
    total = len(sizes) + (4 if inside else 0)
    say = progress or _silent
    each = seconds / (2 * len(sizes) if inside else len(sizes))
    points: list[Point] = []
    for at, batch in enumerate(sizes):
        say(at, total, f"throughput at N = {batch}")
        points += _throughput(_call(weights, steps, batch, device), device, training=training, seconds=each)
    threads = cpu.num_threads() if not cpu.missing() else 1
    made = Profile(
        spec=weights.spec,
        device=device,
        steps=steps,
        threads=threads,
        throughput=tuple(points),
        components=(),
        bounds=(),
        limits=None,
        buffers=buffers(weights.spec, taken_apart, steps, this_kernel()),
    )
    if not inside:
        return made
    return _look_inside(made, weights, taken_apart, training=training, seconds=seconds / 2, say=say, at=len(sizes))


def _predicted(spec: LSTMSpec, steps: int, batch: int, device: str, reason: str) -> Profile:
    """What is known of a call that is not run: bytes that move, and the least time that the machine's limits allow."""
    limits = machine_limits() if device == "cpu" and not cpu.missing() else None
    if limits:
        weights, level = weight_seconds(spec, steps, limits, products=1)
        least = {
            "arithmetic": compute_seconds(spec, batch, steps, limits, products=1),
            f"weights from {level}": weights,
        }
        name = max(least, key=lambda one: least[one])
        reason += f"; a forward call at N = {batch} would take at least {least[name]:,.3g} s ({name})"
    return Profile(
        spec=spec,
        device=device,
        steps=steps,
        threads=cpu.num_threads() if limits else 1,
        throughput=(),
        components=(),
        bounds=(),
        limits=limits,
        buffers=buffers(spec, batch, steps, this_kernel()),
        not_measured=reason,
    )


def _look_inside(
    made: Profile, weights: Weights, batch: int, *, training: bool, seconds: float, say: Progress, at: int
) -> Profile:
    total, call = at + 4, _call(weights, made.steps, batch, "cpu")
    say(at, total, "limits of this machine")
    limits = machine_limits()
    say(at + 1, total, "components of forward")
    components = [forward_components(call, seconds=seconds / 3)]
    if training:
        say(at + 2, total, "components of backward")
        components.append(backward_components(call, seconds=seconds / 3))
    say(at + 3, total, "bounds")
    bounds = tuple(bounds_of(part, call, limits, seconds=seconds / 6) for part in components)
    if any(beats_a_limit(part, ranked) for part, ranked in zip(components, bounds, strict=True)):
        # Nothing is faster than a limit: the limits were measured while something else ran.
        limits = machine_limits(again=True)
        bounds = tuple(bounds_of(part, call, limits, seconds=seconds / 6) for part in components)
    return replace(made, limits=limits, components=tuple(components), bounds=bounds)


def _throughput(call: Call, device: str, *, training: bool, seconds: float) -> list[Point]:
    engine: Any = engine_for(device, call)
    steps, batch, _ = call.x.shape
    flops = sum(stage.flops for stage in work(call.spec, batch, steps, call.x.itemsize))
    variants: dict[str, Callable[[], object]] = {"inference": lambda: engine.forward(call)}
    if training and hasattr(engine, "backward"):
        outputs = engine.forward(call)
        gradients = (np.ones_like(outputs.y), np.ones_like(outputs.h_n), np.ones_like(outputs.c_n))
        variants["training"] = lambda: engine.backward(engine.forward_for_training(call)[1], *gradients)
    times = time_in_turn(variants, seconds=seconds)
    factor = {"inference": 1, "training": 3}
    return [
        Point(mode=mode, batch=batch, latency=latency, flops=factor[mode] * flops) for mode, latency in times.items()
    ]


def _call(weights: Weights, steps: int, batch: int, device: str) -> Call:
    dtype = np.float32 if device == "cpu" else weights.dtype
    x = np.random.default_rng(0).normal(size=(steps, batch, weights.spec.input_size)).astype(dtype)
    return make_call(weights, x)


def _silent(_: int, __: int, ___: str) -> None:
    """Progress that nobody asked for."""
