"""The integer contract a second time: plain Python integers, one sequence, one unit and one product at a time.

Written from docs/fixed-point.md, apart from the package: it takes a plan's numbers and the tables' entries alone.
"""

from fractions import Fraction
from math import floor
from typing import Any


def round_half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def to_fraction(code: int, fraction_bits: int) -> Fraction:
    return Fraction(code) / Fraction(2) ** fraction_bits


def clip(value: int, width: int) -> int:
    return sorted((-(2 ** (width - 1)), value, 2 ** (width - 1) - 1))[1]


def to_code(value: Fraction, width: int, fraction_bits: int) -> tuple[int, bool]:
    """The nearest code, and whether saturation changed it."""
    wide = round_half_up(value * Fraction(2) ** fraction_bits)
    return clip(wide, width), clip(wide, width) != wide


def activate(z: int, plan: dict[str, Any], entries: list[tuple[int, int]], *, offset: int) -> int:
    """A table look-up; offset is 0 for tanh and 1 for sigmoid."""
    segment_bits = plan["z_width"] - 1 - min(plan["table_bits"], plan["z_width"] - 1)
    magnitude = min(abs(z), 2 ** (plan["z_width"] - 1) - 1)
    segment, rest = divmod(magnitude, 2**segment_bits)
    value, slope = entries[segment]
    positive = value + round_half_up(Fraction(slope * rest, 2**segment_bits))
    return offset * 2 ** (plan["a_width"] - 2) - positive if z < 0 else positive


def project(h: list[int], plan: dict[str, Any], weights: dict[str, list[Any]], raised: set[str]) -> list[int]:
    """r of h."""
    r: list[int] = []
    for row, bias in zip(weights["w"], weights["b"], strict=True):
        total = to_fraction(bias, plan["x_frac"] + plan["w_frac"])
        for w, value in zip(row, h, strict=True):
            total += to_fraction(w, plan["w_frac"]) * to_fraction(value, plan["x_frac"])
        code, changed = to_code(total, plan["y_width"], plan["y_frac"])
        if plan["y_clip"]:
            code, changed = sorted((-plan["y_clip"], code, plan["y_clip"]))[1], False
        raised.update({"h"} if changed else set())
        r.append(code)
    return r


def run_cell(
    plan: dict[str, Any],
    tables: dict[str, list[tuple[int, int]]],
    weights: dict[str, list[Any]],
    xs: list[list[int]],
    h: list[int],
    c: list[int],
) -> tuple[list[list[int]], list[int], list[int], set[str]]:
    """One cell over one sequence, in its own order of time: (h, or r, of every step, h_n, c_n, raised flags).

    weights are stacked by gate (i, f, g, o), not interleaved: ``w_ih[k * H + u]`` is gate k of unit u.
    """
    hidden, z_frac, a_frac, flags = len(c), plan["z_width"] - 4, plan["a_width"] - 2, set[str]()
    read_frac = plan["projection"]["y_frac"] if plan["projection"] else plan["h_frac"]
    acc_frac = max(plan["x_frac"] + plan["w_ih_frac"], read_frac + plan["w_hh_frac"])
    outputs: list[list[int]] = []
    for x in xs:
        new_h, new_c = [0] * hidden, list(c)
        for unit in range(hidden):

            def gate(
                index: int, c_seen: int, unit: int = unit, x: list[int] = x, h: list[int] = h, raised: set[str] = flags
            ) -> Fraction:
                """The activation of gate ``index``, which sees c where it has a peephole."""
                row = index * hidden + unit
                acc = to_fraction(weights["b"][row], acc_frac)
                for w, value in zip(weights["w_ih"][row], x, strict=True):
                    acc += to_fraction(w, plan["w_ih_frac"]) * to_fraction(value, plan["x_frac"])
                for w, value in zip(weights["w_hh"][row], h, strict=True):
                    acc += to_fraction(w, plan["w_hh_frac"]) * to_fraction(value, read_frac)
                if "ifgo"[index] in plan["peepholes"]:
                    acc += to_fraction(weights["p"][row], plan["p_frac"]) * to_fraction(c_seen, plan["c_frac"])
                z, changed = to_code(acc, plan["z_width"], z_frac)
                raised.update({"z"} if changed and not plan["z_clip"] else set())
                kind = "candidate" if index == 2 else "gate"
                return to_fraction(activate(z, plan, tables[kind], offset=0 if index == 2 else 1), a_frac)

            i, f, g = (gate(index, c[unit]) for index in range(3))
            state = f * to_fraction(c[unit], plan["c_frac"]) + i * g
            new_c[unit], changed = to_code(state, plan["c_width"], plan["c_frac"])
            if plan["c_clip"]:
                new_c[unit], changed = sorted((-plan["c_clip"], new_c[unit], plan["c_clip"]))[1], False
            flags |= {"c"} if changed else set()
            zc, changed = to_code(to_fraction(new_c[unit], plan["c_frac"]), plan["z_width"], z_frac)
            flags |= {"z"} if changed else set()
            squashed = to_fraction(activate(zc, plan, tables["cell"], offset=0), a_frac)
            new_h[unit], changed = to_code(gate(3, new_c[unit]) * squashed, plan["h_width"], plan["h_frac"])
            flags |= {"h"} if changed else set()
        projection = plan["projection"]
        h, c = project(new_h, projection, weights["projection"], flags) if projection else new_h, new_c
        outputs.append(h)
    return outputs, h, c, flags
