"""Which machine a result comes from, named so that a reader can tell whether two results compare."""

import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

CACHE_INDEX = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What matters of a machine for time and memory; no names of hosts or people.

    Attributes:
        cache_bytes: size of cpu0's caches that hold data, by level ("L1", "L2", "L3"); empty where unknown.
    """

    processor: str
    cores: int
    cache_bytes: dict[str, int]
    memory_bytes: int
    system: str
    python: str

    @property
    def name(self) -> str:
        return f"{self.processor}, {self.cores} cores"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@cache
def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cache_bytes=_caches(),
        memory_bytes=_memory(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _caches() -> dict[str, int]:
    """Sizes as the kernel tells them, such as "1024K"."""
    sizes: dict[str, int] = {}
    for index in sorted(CACHE_INDEX.glob("index*")):
        try:
            kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
            if kind != "Instruction":
                sizes[f"L{level}"] = int(size.rstrip("KMG")) * {"K": 2**10, "M": 2**20, "G": 2**30}.get(size[-1], 1)
        except (OSError, ValueError):
            continue
    return sizes


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
