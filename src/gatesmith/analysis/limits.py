"""What this machine can do at most: multiply-adds, activations and bytes per second, measured once and kept."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np

from gatesmith.analysis.machine import this_machine
from gatesmith.errors import GatesmithError, MissingToolError
from gatesmith.files import make_folder, write_json
from gatesmith.ops import cpu

LIMITS_VERSION = 2
LARGEST_BUFFER = 256 * 2**20
ACTIVATED_ELEMENTS = 3072
"""Few enough to stay in L1 beside their results."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a machine with so many threads.

    Attributes:
        flops: of independent fused multiply-adds, each counting as two.
        sigmoids, tanhs: elements per second from and to L1.
        bandwidth: bytes per second read from "L1", "L2", "L3" and "memory".
    """

    machine: str
    target: str
    threads: int
    flops: float
    sigmoids: float
    tanhs: float
    bandwidth: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def level_of(self, size: int) -> str:
        """The nearest memory that holds ``size`` bytes, spread over the threads."""
        sizes = this_machine().cache_bytes
        own = {level: bytes_ * (1 if level == "L3" else self.threads) for level, bytes_ in sizes.items()}
        return next((level for level in ("L1", "L2", "L3") if size <= own.get(level, 0)), "memory")


def limits_path() -> Path:
    """Where the limits of this machine are kept: under the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gatesmith" / "limits.json"


def machine_limits(*, again: bool = False, progress: Callable[[int, int, str], None] | None = None) -> Limits:
    """The limits of this machine with the kernel's current threads: read from the cache, or measured in seconds.

    Args:
        again: measure even where the cache has them, and keep the higher of each.
        progress: called before each measurement.

    Raises:
        MissingToolError: the compiled kernel, which measures, is not built.
    """
    missing = cpu.missing()
    if missing:
        raise MissingToolError(f"the machine's limits can't be measured: {missing}")
    key = (this_machine().name, _target(), cpu.num_threads())
    kept = _read(key)
    if kept and not again:
        return kept
    found = _measure(key, progress)
    if kept:
        found = _better(kept, found)
    _keep(found)
    return found


def _better(one: Limits, other: Limits) -> Limits:
    """The higher of every limit: whatever disturbs a measurement makes it lower."""
    return replace(
        one,
        flops=max(one.flops, other.flops),
        sigmoids=max(one.sigmoids, other.sigmoids),
        tanhs=max(one.tanhs, other.tanhs),
        bandwidth={level: max(rate, one.bandwidth.get(level, 0.0)) for level, rate in other.bandwidth.items()},
    )


def _measure(key: tuple[str, str, int], progress: Callable[[int, int, str], None] | None) -> Limits:
    library, (machine, target, threads) = cpu.library(), key
    sizes = _buffer_sizes(threads)
    parts = ["multiply-adds", "activations", *sizes]

    def say(part: str) -> None:
        if progress:
            progress(parts.index(part), len(parts), f"limit of {part}")

    say("multiply-adds")
    flops = library.gatesmith_measure_flops(threads)
    say("activations")
    sigmoids, tanhs = (threads * _activation_rate(f) for f in (library.gatesmith_sigmoid, library.gatesmith_tanh))
    bandwidth: dict[str, float] = {}
    for level, size in sizes.items():
        say(level)
        bandwidth[level] = library.gatesmith_measure_bandwidth(threads, size)
    return Limits(
        machine=machine,
        target=target,
        threads=threads,
        flops=flops,
        sigmoids=sigmoids,
        tanhs=tanhs,
        bandwidth=bandwidth,
    )


def _buffer_sizes(threads: int) -> dict[str, int]:
    """Bytes for each thread to read so that they come from one level: half of it, or four times the last cache."""
    caches = this_machine().cache_bytes
    shared = caches.get("L3", 0)
    sizes = {level: caches[level] // 2 for level in ("L1", "L2") if level in caches}
    if shared:
        sizes["L3"] = shared // 2 // threads
    return sizes | {"memory": min(LARGEST_BUFFER, max(4 * shared, 64 * 2**20) // threads)}


def _activation_rate(function: Any) -> float:
    """Elements per second of one thread, without what a call from Python takes: the best of twenty trials of each."""
    x = np.linspace(-4, 4, ACTIVATED_ELEMENTS, dtype=np.float32)
    y = np.empty_like(x)
    best, calls = {0: float("inf"), x.size: float("inf")}, 200
    for _ in range(20):
        for size in best:
            start = perf_counter()
            for _ in range(calls):
                function(x.ctypes.data, y.ctypes.data, size)
            best[size] = min(best[size], perf_counter() - start)
    return calls * x.size / max(best[x.size] - best[0], 1e-9)


def _target() -> str:
    return cpu.library().gatesmith_target().decode()


def _read(key: tuple[str, str, int]) -> Limits | None:
    """The kept limits of this very machine, instruction set and number of threads; None where there are none."""
    for values in _kept():
        try:
            limits = Limits(**values)
        except TypeError:
            continue
        if (limits.machine, limits.target, limits.threads) == key:
            return limits
    return None


def _keep(found: Limits) -> None:
    """Add to the cache; a cache that can't be written costs the next call a measurement, and nothing else."""
    key = [found.machine, found.target, found.threads]
    others = [values for values in _kept() if [values[name] for name in ("machine", "target", "threads")] != key]
    try:
        make_folder(limits_path().parent)
        write_json(limits_path(), {"version": LIMITS_VERSION, "limits": [*others, found.to_dict()]})
    except GatesmithError:
        return


def _kept() -> list[dict[str, Any]]:
    try:
        content = json.loads(limits_path().read_text(encoding="utf-8"))
        if content["version"] != LIMITS_VERSION:
            return []
        names = {field.name for field in fields(Limits)}
        return [values for values in cast("list[dict[str, Any]]", content["limits"]) if set(values) == names]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
