"""Where the time of a call goes: the kernel is run with stages left out, and what each saves is its time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np

from gatesmith.analysis.cost import Work, work
from gatesmith.analysis.limits import Limits
from gatesmith.analysis.timing import Latency, time_in_turn
from gatesmith.ops import cpu
from gatesmith.ops.call import Call
from gatesmith.ops.library import SKIP
from gatesmith.spec import LSTMSpec

FORWARD = {"input projection": "input", "recurrent product": "recurrent", "activations": "activations"}
BACKWARD = {
    "input gradient": "input",
    "recurrent product": "recurrent",
    "derivatives": "activations",
    "weight gradients": "weights",
}
"""Names of the stages of every cell, and what the kernel calls them when it leaves them out."""

PEEPHOLES, PROJECTION = "peepholes", "projection"
"""Stages, in both directions of time, of the cells that have them; named as the kernel calls them."""

REST, CALL = "data movement", "the call itself"

AGREEMENT = 0.1
"""Parts that miss the whole by a larger share were disturbed, and are timed again."""
RETRIES = 3

METHOD = (
    "The kernel is timed with every combination of its stages left out, in turn; a stage's time is what leaving it out"
    " saves, averaged over all orders of leaving stages out (its Shapley value), from the fastest of {rounds} rounds or"
    " more; where the parts miss the whole by more than a tenth, something else ran, and all of it is timed again."
    " The call itself is timed without any step, and what is left of a run without any stage is data movement. The"
    " whole is timed apart from all of them."
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component of a call.

    Attributes:
        elements: what its throughput counts in one step, such as N * D.
        work: operations and bytes; None where they are not counted.
    """

    name: str
    formula: str
    seconds: float
    elements: int
    steps: int
    work: Work | None

    @property
    def throughput(self) -> float:
        """Elements per second."""
        return self.elements * self.steps / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self, whole: float, limits: Limits) -> dict[str, Any]:
        """Plain values, with the share of ``whole`` and the place on the roofline."""
        flops = self.work.flops if self.work else 0
        moved = (self.work.weight_bytes + self.work.step_bytes) * self.steps if self.work else 0
        return {
            "name": self.name,
            "formula": self.formula,
            "seconds": self.seconds,
            "share": self.seconds / whole,
            "throughput": self.throughput,
            "flops": flops,
            "bytes": moved,
            "gflops": flops / self.seconds / 1e9 if self.seconds > 0 else 0.0,
            "intensity": flops / moved if moved else 0.0,
            "roof": limits.level_of(self.work.weight_bytes + self.work.step_bytes) if self.work else "",
        }


@dataclass(frozen=True, kw_only=True)
class Components:
    """The parts of one call, which add up to it.

    Attributes:
        mode: "forward" or "backward".
        whole: the call as users make it, timed apart from the variants.
    """

    spec: LSTMSpec
    mode: str
    batch: int
    whole: Latency
    parts: tuple[Part, ...]

    @property
    def sum_seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    @property
    def unexplained(self) -> float:
        """(sum of the parts - whole) / whole."""
        return (self.sum_seconds - self.whole.least) / self.whole.least

    @property
    def adds_up(self) -> bool:
        """Whether the parts meet the whole within a tenth, and none is less than nothing by more than that."""
        bound = AGREEMENT * self.whole.least
        return abs(self.unexplained) <= AGREEMENT and all(part.seconds >= -bound for part in self.parts)

    def seconds(self, name: str) -> float:
        return next(part.seconds for part in self.parts if part.name == name)

    def to_dict(self, limits: Limits) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "batch": self.batch,
            "whole_seconds": self.whole.least,
            "sum_seconds": self.sum_seconds,
            "unexplained": self.unexplained,
            "method": METHOD.format(rounds=self.whole.repeats),
            "parts": [part.to_dict(self.whole.least, limits) for part in self.parts],
            "gates": [gate.to_dict(self.whole.least, limits) for gate in gates_of(self, limits)],
        }


def forward_components(call: Call, *, seconds: float) -> Components:
    """Time the stages of a forward run on the compiled kernel."""
    return _components("forward", FORWARD, call, forward_run, seconds)


def backward_components(call: Call, *, seconds: float) -> Components:
    """Time the stages of a backward run on the compiled kernel."""
    return _components("backward", BACKWARD, call, backward_run, seconds)


def stages_of(spec: LSTMSpec, stages: Mapping[str, str]) -> dict[str, str]:
    """``FORWARD`` or ``BACKWARD`` with the stages that this cell has on top."""
    there = {PEEPHOLES: spec.peepholes + spec.full_peepholes, PROJECTION: spec.proj_size}
    return {**stages, **{name: name for name in there if there[name]}}


Run = Callable[[int], object]
"""Runs the kernel without the stages of a mask."""


def forward_run(call: Call) -> Run:
    """A forward run that can be repeated."""
    return lambda skip: cpu.forward(call, skip=skip)


def backward_run(call: Call) -> Run:
    """A backward run that can be repeated, on the tape of one forward run."""
    outputs, tape = cpu.forward_for_training(call)
    return lambda skip: cpu.backward(tape, outputs.y, outputs.h_n, outputs.c_n, skip=skip)


def empty_call(call: Call) -> Call:
    """The same call without any step."""
    return replace(call, x=call.x[:0], lengths=np.zeros_like(call.lengths))


def _components(
    mode: str, stages: Mapping[str, str], call: Call, runner: Callable[[Call], Run], seconds: float
) -> Components:
    stages = stages_of(call.spec, stages)
    run, nothing, names = runner(call), runner(empty_call(call)), tuple(stages)
    variants: dict[str, Callable[[], object]] = {"whole": lambda: run(0), CALL: lambda: nothing(0)}
    for left_out in _subsets(names):
        mask = sum(SKIP[stages[name]] for name in left_out)
        variants[_key(left_out)] = lambda mask=mask: run(mask)
    times = time_in_turn(variants, seconds=seconds)
    made = _taken_apart(mode, names, times, call)
    for _ in range(RETRIES):
        if made.adds_up:
            break
        again = time_in_turn(variants, seconds=seconds)
        # Whatever else runs makes a call slower, never faster.
        times = {name: min(times[name], again[name], key=lambda one: one.least) for name in times}
        made = _taken_apart(mode, names, times, call)
    return made


def _taken_apart(mode: str, names: tuple[str, ...], times: Mapping[str, Latency], call: Call) -> Components:
    least = {left_out: times[_key(left_out)].least for left_out in _subsets(names)}
    parts = _parts(names, least, times[CALL].least, call)
    return Components(spec=call.spec, mode=mode, batch=call.x.shape[1], whole=times["whole"], parts=parts)


def _parts(names: tuple[str, ...], least: Mapping[frozenset[str], float], empty: float, call: Call) -> tuple[Part, ...]:
    """The stages, the call around them and what is left, from the time of every variant and of an empty call."""
    steps, batch, _ = call.x.shape
    counted = {stage.stage: stage for stage in work(call.spec, batch, steps, call.x.itemsize)}
    shares = {name: shapley(name, names, least) for name in names}
    shares[CALL] = empty
    shares[REST] = least[frozenset(names)] - empty
    return tuple(
        Part(name=name, seconds=share, steps=steps, work=_work_of(name, counted), **_elements(name, call))
        for name, share in shares.items()
    )


def shapley(name: str, names: tuple[str, ...], seconds: Mapping[frozenset[str], float]) -> float:
    """Average of what leaving ``name`` out saves, over all orders in which stages can be left out (Shapley, 1953)."""
    others, count = [other for other in names if other != name], len(names)
    total = 0.0
    for size in range(count):
        weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        for left in combinations(others, size):
            gone = frozenset(left)
            total += weight * (seconds[gone] - seconds[gone | {name}])
    return total


def gates_of(components: Components, limits: Limits) -> tuple[Part, ...]:
    """Time of every gate of a forward run: a quarter of each product, and its own share of activations and peepholes.

    The four gates' rows are equal in number and computed together, so their products cost the same; the activations
    are split by the measured cost of sigmoid and tanh, others counting as these, and the peepholes by the elements
    that they read. Empty for a backward run.
    """
    if components.mode != "forward":
        return ()
    spec, steps, batch = components.spec, components.parts[0].steps, components.batch
    inputs, hidden, outputs = _sizes(spec)
    products = (components.seconds("input projection") + components.seconds("recurrent product")) / 4
    sigmoid, tanh = 1 / limits.sigmoids, 1 / limits.tanhs
    one = components.seconds("activations") / (3 * sigmoid + 2 * tanh)
    seeing = _seconds_of_peepholes(components)
    r = "R" if spec.proj_size else "H"
    each = f"N·(D + {r})/latency"
    rows = (
        ("input gate i", each, inputs + outputs, one * sigmoid + seeing["i"]),
        ("forget gate f", each, inputs + outputs, one * sigmoid + seeing["f"]),
        ("candidate g and cell state c", "N·H/latency", hidden, one * tanh),
        (
            "output gate o",
            each.replace(r, "2H" if r == "H" else "R + H") if _sees(spec, "o") else each,
            inputs + outputs + (hidden if _sees(spec, "o") else 0),
            one * (sigmoid + tanh) + seeing["o"],
        ),
    )
    return tuple(
        Part(name=name, formula=formula, seconds=products + own, elements=batch * size, steps=steps, work=None)
        for name, formula, size, own in rows
    )


def _sees(spec: LSTMSpec, gate: str) -> bool:
    return gate in spec.peepholes + spec.full_peepholes


def _seconds_of_peepholes(components: Components) -> dict[str, float]:
    """The measured time of the peepholes by gate: a diagonal one reads an element for each unit, a full one H."""
    spec = components.spec
    reads = {gate: (gate in spec.peepholes) + spec.hidden_size * (gate in spec.full_peepholes) for gate in "ifo"}
    whole = components.seconds(PEEPHOLES) if any(reads.values()) else 0.0
    return {gate: whole * count / max(1, sum(reads.values())) for gate, count in reads.items()}


def _elements(name: str, call: Call) -> dict[str, Any]:
    """What the throughput of a component counts, per step, in symbols and as a number."""
    spec = call.spec
    inputs, hidden, outputs = _sizes(spec)
    r, seeing = "R" if spec.proj_size else "H", len(spec.peepholes + spec.full_peepholes)
    formula, size = {
        "input projection": ("N·D/latency", inputs),
        "input gradient": ("N·D/latency", inputs),
        "recurrent product": (f"N·{r}/latency", outputs),
        PEEPHOLES: (f"{seeing}·N·H/latency", seeing * hidden),
        PROJECTION: ("N·H/latency", hidden),
        "activations": ("5·N·H/latency", 5 * hidden),
        "derivatives": ("5·N·H/latency", 5 * hidden),
        "weight gradients": (f"N·(D + {r})/latency", inputs + outputs),
        REST: (f"N·(D + {r})/latency", inputs + outputs),
        CALL: ("", 0),
    }[name]
    return {"formula": formula, "elements": call.x.shape[1] * size}


def _sizes(spec: LSTMSpec) -> tuple[int, int, int]:
    """D, H and R, summed over all cells."""
    cells = spec.cells()
    inputs = sum(spec.layer_input_size(layer) for layer, _, _ in cells)
    return inputs, len(cells) * spec.hidden_size, len(cells) * spec.output_size


def _work_of(name: str, counted: Mapping[str, Work]) -> Work | None:
    """Operations and bytes of a stage; the backward products do what the forward ones do, dW both at once."""
    if name == "weight gradients":
        products = [counted[stage] for stage in counted if stage not in ("activations", REST)]
        return Work(
            stage=name,
            flops=sum(product.flops for product in products),
            weight_bytes=sum(product.weight_bytes for product in products),
            step_bytes=sum(product.step_bytes for product in products),
            sequential=False,
        )
    forward = {"input gradient": "input projection", "derivatives": "activations"}.get(name, name)
    stage = counted.get(forward)
    return stage if stage and stage.flops else None


def _subsets(names: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(left) for count in range(len(names) + 1) for left in combinations(names, count)]


def _key(left_out: frozenset[str]) -> str:
    return "without " + ", ".join(sorted(left_out))
