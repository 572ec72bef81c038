// The rest of a cell after its sums, in 16-bit lanes: exact where cell_fits_short of fixed_lanes.cpp says so.
#pragma once

#include "fixed_layout.h"

namespace GATESMITH_TARGET {
namespace {

#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

constexpr bool HAS_SHORT_CELL = true;

// Codes of one unit for all sequences of a group, in the order in which packing both its vectors leaves them.
typedef int16_t ShortVector __attribute__((vector_size(4 * LANES)));
typedef uint16_t UnsignedShortVector __attribute__((vector_size(4 * LANES)));
typedef ShortVector Unit;
static_assert(VECTORS == 2 && UNITS == 2, "packing joins the vectors of a unit, and bytes of both units");

inline Unit pack(IntVector first, IntVector second) {
    return (Unit)_mm512_packs_epi32((__m512i)first, (__m512i)second);
}

// Lanes of a and b side by side, for one vector of the group: the inverse of pack.
inline IntVector pairs(int vector, Unit a, Unit b) {
    return (IntVector)(vector ? _mm512_unpackhi_epi16((__m512i)a, (__m512i)b)
                              : _mm512_unpacklo_epi16((__m512i)a, (__m512i)b));
}

inline Unit negate_where(__mmask32 lanes, Unit value) {
    return (Unit)_mm512_mask_sub_epi16((__m512i)value, lanes, __m512i{}, (__m512i)value);
}

inline Unit maximum(Unit a, Unit b) { return a > b ? a : b; }

// min(|z|, high) of the contract, also of the most negative code.
inline Unit magnitude(Unit z, int64_t high) {
    return (Unit)_mm512_min_epu16(_mm512_abs_epi16((__m512i)z), (__m512i)(Unit{} + (int16_t)high));
}

// f(|z|) of both units of some gates, modulo 2^16 and less the center of the table, from magnitudes. All gates share
// the table while it is in registers.
template <int GATES>
inline void evaluate(
    const Formats<IntVector> &formats, const uint8_t *planes, const Unit (&m)[GATES][UNITS], Unit (&f)[GATES][UNITS]
) {
    __m512i at[GATES], bytes[GATES][4];
    const auto segment_bits = (int16_t)formats.segment_bits, rest_bits = (int16_t)(15 - segment_bits);
    for (int gate = 0; gate < GATES; ++gate) {
        at[gate] = _mm512_packus_epi16((__m512i)(m[gate][0] >> segment_bits), (__m512i)(m[gate][1] >> segment_bits));
    }
#pragma GCC unroll 4
    for (int plane = 0; plane < 4; ++plane) {
        for (int gate = 0; gate < GATES; ++gate) bytes[gate][plane] = look_up_plane(planes, plane, at[gate]);
    }
    for (int gate = 0; gate < GATES; ++gate) {
        const __m512i(&b)[4] = bytes[gate];
        const __m512i value[UNITS] = {_mm512_unpacklo_epi8(b[0], b[1]), _mm512_unpackhi_epi8(b[0], b[1])};
        const __m512i slope[UNITS] = {_mm512_unpacklo_epi8(b[2], b[3]), _mm512_unpackhi_epi8(b[2], b[3])};
        for (int unit = 0; unit < UNITS; ++unit) {
            // Rounds bits of the rest that stand at the upper end of 15: the shift of the contract.
            Unit rest = (m[gate][unit] << rest_bits) & (int16_t)0x7fff;
            const __m512i above = _mm512_mulhrs_epi16(slope[unit], (__m512i)rest);
            f[gate][unit] = (Unit)((UnsignedShortVector)value[unit] + (UnsignedShortVector)above);
        }
    }
}

// The center less a gate's activation: that fits 16 bits, its negative does not.
inline Unit below_center(Unit z, Unit f) {
    return negate_where(_mm512_cmpge_epi16_mask((__m512i)z, __m512i{}), f);
}

// A number as 256 * high + low, both with its sign.
struct Digits {
    Unit high, low;
};

// Of an odd curve at z, from f(|z|) modulo 2^16: a zero beyond the first segment stands for 2^16.
inline Digits odd_curve(const Formats<IntVector> &formats, Unit z, Unit m, Unit f) {
    const auto segments = (int16_t)-((int32_t)1 << formats.segment_bits);
    const __m512i beyond = (__m512i)(Unit{} + segments);
    __mmask32 full = _mm512_mask_testn_epi16_mask(_mm512_test_epi16_mask((__m512i)m, beyond), (__m512i)f, (__m512i)f);
    __mmask32 negative = _mm512_movepi16_mask((__m512i)z);
    Unit high = (Unit)_mm512_mask_mov_epi16(_mm512_srli_epi16((__m512i)f, 8), full, (__m512i)(Unit{} + (int16_t)256));
    return {negate_where(negative, high), negate_where(negative, f & (int16_t)0xff)};
}

// -(a[0] * b[0] + a[1] * b[1]) from pairs of `below` = center - a.
inline IntVector negative_products(IntVector centers, IntVector below, IntVector b) {
    return multiply_add(multiply_add(IntVector{}, centers, b), below, b);
}

// From what was summed with a negative sign in two digits: rounded to the right by shift >= 8.
inline IntVector round_digits(IntVector high, IntVector low, int shift) {
    return ((((1 << (shift - 1)) - low) >> 8) - high) >> (shift - 8);
}

// Raises a flag in the lanes where a number is outside of a format. Called where one of them might be.
inline void flag(Scratch<IntVector> &scratch, int which, int vector, IntVector wide, int64_t high) {
    const IntVector most = IntVector{} + (int32_t)high;
    scratch.saturated[which][vector] |= ((wide > most) | (wide < ~most)) & scratch.valid[vector];
}

template <int COUNT>
inline void flag(Scratch<IntVector> &scratch, int which, const IntVector (&wide)[COUNT], int64_t high) {
    for (int at = 0; at < COUNT; ++at) flag(scratch, which, at % VECTORS, wide[at], high);
}

inline bool any_reaches(Unit magnitudes, int64_t high) {
    return _mm512_cmpge_epi16_mask((__m512i)magnitudes, (__m512i)(Unit{} + (int16_t)high));
}

// The gates of a block of units: i, f and o as what they are below their center, g in digits.
struct Gates {
    Unit i[UNITS], f[UNITS], o[UNITS];
    Digits g[UNITS];
};

inline Gates activate_gates(
    const Formats<IntVector> &formats, Scratch<IntVector> &scratch, const IntVector (&wide)[GATE_COUNT][TILE]
) {
    constexpr int ORDER[GATE_COUNT] = {0, 1, 3, 2};  // those that share a table first
    Unit z[GATE_COUNT][UNITS], m[GATE_COUNT][UNITS], most = {};
    for (int gate = 0; gate < GATE_COUNT; ++gate) {
        for (int unit = 0; unit < UNITS; ++unit) {
            const IntVector *of_unit = wide[ORDER[gate]] + unit * VECTORS;
            z[gate][unit] = pack(of_unit[0], of_unit[1]);
            m[gate][unit] = magnitude(z[gate][unit], formats.z_high);
            most = maximum(most, m[gate][unit]);
        }
    }
    if (!formats.z_clipped && any_reaches(most, formats.z_high)) [[unlikely]] {
        for (const auto &gate : wide) flag(scratch, 0, gate, formats.z_high);
    }
    Unit gates[3][UNITS], candidate[1][UNITS];
    evaluate(formats, formats.gate.planes, reinterpret_cast<const Unit(&)[3][UNITS]>(m), gates);
    evaluate(formats, formats.candidate.planes, reinterpret_cast<const Unit(&)[1][UNITS]>(m[3]), candidate);
    Gates given;
    for (int unit = 0; unit < UNITS; ++unit) {
        given.i[unit] = below_center(z[0][unit], gates[0][unit]);
        given.f[unit] = below_center(z[1][unit], gates[1][unit]);
        given.o[unit] = below_center(z[2][unit], gates[2][unit]);
        given.g[unit] = odd_curve(formats, z[3][unit], m[3][unit], candidate[0][unit]);
    }
    return given;
}

// The new c of one unit, saturated, from the old one.
inline void next_state(
    const Formats<IntVector> &formats, Scratch<IntVector> &scratch, Unit i, Unit f, Digits g, const IntVector *c,
    IntVector *next
) {
    const IntVector first = c[0] << formats.f_times_c, second = c[1] << formats.f_times_c;
    const Unit high = pack(first >> 8, second >> 8), low = pack(first & 255, second & 255);
    if (const auto shift = (int16_t)formats.i_times_g) g = {g.high << shift, g.low << shift};
    const IntVector centers = (IntVector)(Unit{} + (int16_t)-formats.center);
    for (int vector = 0; vector < VECTORS; ++vector) {
        IntVector gates = pairs(vector, f, i);
        IntVector wide = round_digits(
            negative_products(centers, gates, pairs(vector, high, g.high)),
            negative_products(centers, gates, pairs(vector, low, g.low)), formats.c_shift
        );
        next[vector] = saturate(wide, formats.c_high);
        if (formats.c_clip) {
            const IntVector bound = IntVector{} + (int32_t)formats.c_clip;
            next[vector] = next[vector] > bound ? bound : next[vector] < -bound ? -bound : next[vector];
        } else {
            scratch.saturated[1][vector] |= (next[vector] ^ wide) & scratch.valid[vector];
        }
    }
}

// o * tanh(zc) of one unit, rounded and not yet saturated.
inline void output(const Formats<IntVector> &formats, Unit o, Digits tanh, IntVector *wide) {
    const Unit center = Unit{} + (int16_t)-formats.center;
    for (int vector = 0; vector < VECTORS; ++vector) {
        const IntVector gate = pairs(vector, o, center);
        IntVector high = multiply_add(IntVector{}, gate, pairs(vector, tanh.high, tanh.high));
        IntVector low = multiply_add(IntVector{}, gate, pairs(vector, tanh.low, tanh.low));
        wide[vector] = round_digits(high, low, formats.h_shift_right);
    }
}

// From the pre-activations of a block, not yet saturated, to its c in place and its words of h.
[[gnu::noinline]] void update_short(
    const Formats<IntVector> &formats, Scratch<IntVector> &scratch, int64_t block,
    const IntVector (&wide)[GATE_COUNT][TILE]
) {
    const Gates gates = activate_gates(formats, scratch, wide);
    IntVector *c = scratch.c + block * TILE, zc[TILE], h_wide[TILE];
    Unit z[UNITS], m[1][UNITS], tanh[1][UNITS], h[UNITS];
    for (int unit = 0; unit < UNITS; ++unit) {
        IntVector next[VECTORS], *of_unit = c + unit * VECTORS;
        next_state(formats, scratch, gates.i[unit], gates.f[unit], gates.g[unit], of_unit, next);
        for (int vector = 0; vector < VECTORS; ++vector) {
            zc[unit * VECTORS + vector] = formats.zc(next[vector]);
            of_unit[vector] = scratch.valid[vector] ? next[vector] : of_unit[vector];
        }
        z[unit] = pack(zc[unit * VECTORS], zc[unit * VECTORS + 1]);
        m[0][unit] = magnitude(z[unit], formats.z_high);
    }
    if (any_reaches(maximum(m[0][0], m[0][1]), formats.z_high)) [[unlikely]] flag(scratch, 0, zc, formats.z_high);
    evaluate(formats, formats.cell.planes, m, tanh);
    for (int unit = 0; unit < UNITS; ++unit) {
        IntVector *of_unit = h_wide + unit * VECTORS;
        output(formats, gates.o[unit], odd_curve(formats, z[unit], m[0][unit], tanh[0][unit]), of_unit);
        h[unit] = pack(of_unit[0], of_unit[1]);
    }
    const Unit most = Unit{} + (int16_t)formats.h_high, least = ~most;
    if (any_reaches(maximum(magnitude(h[0], INT16_MAX), magnitude(h[1], INT16_MAX)), formats.h_high)) [[unlikely]] {
        flag(scratch, 2, h_wide, formats.h_high);
        for (Unit &of_unit : h) {
            of_unit = of_unit > most ? most : of_unit < least ? least : of_unit;
        }
    }
    for (int vector = 0; vector < VECTORS; ++vector) {
        const int64_t at = block * VECTORS + vector;
        scratch.h_next()[at] = scratch.valid[vector] ? pairs(vector, h[0], h[1]) : scratch.h()[at];
    }
}

#else

constexpr bool HAS_SHORT_CELL = false;

[[gnu::noinline]] void update_short(
    const Formats<IntVector> &, Scratch<IntVector> &, int64_t, const IntVector (&)[GATE_COUNT][TILE]
) {}

#endif

}  // namespace
}  // namespace GATESMITH_TARGET
