"""Numbers as people read them: three digits and a unit."""

BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
SECONDS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
RATES = (("G", 1e9), ("M", 1e6), ("k", 1e3))


def human_bytes(count: float | None) -> str:
    """``5.29 MiB``; a dash for None."""
    if count is None:
        return "–"
    power = 0
    while abs(count) >= 1000 and power < len(BYTES) - 1:
        count /= 1024
        power += 1
    return f"{count:.3g} {BYTES[power]}"


def human_time(seconds: float | None) -> str:
    """``1.23 ms``; a dash for None."""
    if seconds is None:
        return "–"
    unit, scale = next(((unit, scale) for unit, scale in SECONDS if abs(seconds) >= scale), SECONDS[-1])
    return f"{seconds / scale:.3g} {unit}"


def human_rate(rate: float) -> str:
    """``12.3 k``, without the unit of what is counted."""
    unit, scale = next(((unit, scale) for unit, scale in RATES if abs(rate) >= scale), ("", 1.0))
    return f"{rate / scale:.3g} {unit}".rstrip()
