// How a cell of the integer operator lies in memory: packed weights and tables, and everything constant over a run.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fixed_model.h"
#include "fixed_simd.h"

namespace GATESMITH_TARGET {
namespace {

constexpr int VECTORS = 2;  // of sequences side by side in a group
constexpr int UNITS = 2;    // hidden units that share an operand while it is in a register
constexpr int TILE = UNITS * VECTORS;

template <class V>
using Code = std::conditional_t<std::is_same_v<V, IntVector>, int32_t, int64_t>;

template <class V>
constexpr bool is_narrow = std::is_same_v<V, IntVector>;

template <class V>
constexpr int64_t GROUP = VECTORS * sizeof(V) / sizeof(Code<V>);  // sequences of a group

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Operand words of `columns` columns: the narrow version packs two 16-bit operands into one.
template <class V>
int64_t operand_words(int64_t columns) {
    return is_narrow<V> ? ceil_div(columns, 2) : columns;
}

// Bits of value + 2^(shift - 1), or of value << -shift.
int64_t bits_in_round_shift(int64_t width, int64_t shift) {
    return shift > 0 ? std::max(width, shift + 1) + 1 : width - shift;
}

// Bits of whatever the narrow version compares with a format's range, one below 32 so that the comparison can't wrap.
constexpr int64_t SHORT_BITS = 31;

// Whether the accumulator fits 32 bits; if not, the narrow version adds its two sums in 64.
bool fits_short_sum(const gatesmith_fixed_cell &cell) {
    return bits_in_round_shift(cell.acc_width, cell.acc_frac - cell.z_frac) <= SHORT_BITS;
}

// Whether every operand fits 16 bits and everything but the accumulator and the products for c and h 32, so that the
// narrow version is exact. Peepholes are left to the wide version. Gates are at most 1, so c is less than 2 bits wider before it is saturated.
bool fits_narrow(const gatesmith_fixed_cell &cell) {
    int64_t segment_bits = cell.z_width - 1 - cell.table_bits;
    return !cell.peepholes && cell.x_width <= 16 && cell.h_width <= 16 && cell.w_width <= 16 && cell.a_width + cell.slope_width <= 32 &&
        cell.x_sum_width <= 32 && cell.h_sum_width <= 32 &&
        cell.c_width + 2 <= SHORT_BITS &&
        bits_in_round_shift(cell.c_width, cell.c_frac - cell.z_frac) <= SHORT_BITS &&
        bits_in_round_shift(cell.slope_width + cell.z_width - 1, segment_bits) <= 32;
}

// An activation table: one word {slope, value} for each segment.
template <class V>
struct Curve {
    const Code<V> *entries;
    const uint8_t *planes;  // the same words for look_up_planes, or null
    Code<V> offset;         // of the symmetry f(-z) = offset - f(z)
};

// Where the packed weights and tables of a cell lie.
template <class V>
struct Packed {
    int64_t blocks, x_words, h_words, entries;
    bool planes;  // whether tables stand as planes of bytes too

    explicit Packed(const gatesmith_fixed_cell &cell)
        : blocks(ceil_div(cell.hidden_size, UNITS)),
          x_words(operand_words<V>(cell.input_size)),
          h_words(operand_words<V>(cell.hidden_size)),
          entries((int64_t)1 << cell.table_bits),
          planes(is_narrow<V> && entries <= PLANE_ENTRIES) {}

    // Offsets in bytes.
    static constexpr int64_t CODE = sizeof(Code<V>);
    int64_t rows() const { return blocks * GATE_COUNT * UNITS; }
    int64_t bias() const { return 0; }                        // [blocks][GATE_COUNT][UNITS] int64_t
    int64_t weights() const { return bias() + rows() * 8; }   // [blocks][x_words + h_words][GATE_COUNT][UNITS]
    int64_t peepholes() const { return weights() + rows() * (x_words + h_words) * CODE; }  // as bias
    int64_t gate() const { return peepholes() + rows() * 8; }                              // [entries]
    int64_t cell() const { return gate() + entries * CODE; }
    int64_t candidate() const { return cell() + entries * CODE; }
    int64_t gate_planes() const { return candidate() + entries * CODE; }  // [4][PLANE_ENTRIES]
    int64_t cell_planes() const { return gate_planes() + 4 * PLANE_ENTRIES; }
    int64_t candidate_planes() const { return cell_planes() + 4 * PLANE_ENTRIES; }
    int64_t bytes() const { return candidate_planes() + 4 * PLANE_ENTRIES; }
};

// Everything constant over a run.
template <class V>
struct Formats {
    Packed<V> packed;
    int64_t inputs, hidden;
    bool short_sum;
    int x_shift, h_shift;
    Rounding z, zc;
    RoundingRight rest, c, h;
    int f_times_c, i_times_g;  // left shifts that bring both terms of c to one fraction
    int64_t z_high, c_high, h_high;
    int64_t peepholes, c_clip;
    bool z_clipped;
    int sum_shift, product_shift;  // left shifts that bring a sum and its peephole to one fraction
    Rounding z_seen;               // of a sum with its peephole
    int segment_bits, value_bits;
    const Code<V> *weights;
    const int64_t *bias, *p;
    Curve<V> gate, cell, candidate;

    Formats(const gatesmith_fixed_cell &from, const void *memory)
        : packed(from),
          inputs(from.input_size),
          hidden(from.hidden_size),
          short_sum(fits_short_sum(from)),
          x_shift((int)from.x_shift),
          h_shift((int)from.h_shift),
          z(from.acc_frac - from.z_frac),
          zc(from.c_frac - from.z_frac),
          rest(from.z_width - 1 - from.table_bits),
          c(std::max(2 * from.a_frac, from.a_frac + from.c_frac) - from.c_frac),
          h(2 * from.a_frac - from.h_frac),
          f_times_c((int)std::max<int64_t>(0, from.a_frac - from.c_frac)),
          i_times_g((int)std::max<int64_t>(0, from.c_frac - from.a_frac)),
          z_high(((int64_t)1 << (from.z_width - 1)) - 1),
          c_high(((int64_t)1 << (from.c_width - 1)) - 1),
          h_high(((int64_t)1 << (from.h_width - 1)) - 1),
          peepholes(from.peepholes),
          c_clip(from.c_clip),
          z_clipped(from.z_clip > 0),
          sum_shift((int)std::max<int64_t>(0, from.p_frac + from.c_frac - from.acc_frac)),
          product_shift((int)std::max<int64_t>(0, from.acc_frac - from.p_frac - from.c_frac)),
          z_seen(std::max(from.acc_frac, from.p_frac + from.c_frac) - from.z_frac),
          segment_bits((int)(from.z_width - 1 - from.table_bits)),
          value_bits((int)from.a_width) {
        auto bytes = static_cast<const uint8_t *>(memory);
        bias = reinterpret_cast<const int64_t *>(bytes + packed.bias());
        weights = reinterpret_cast<const Code<V> *>(bytes + packed.weights());
        p = reinterpret_cast<const int64_t *>(bytes + packed.peepholes());
        candidate.entries = reinterpret_cast<const Code<V> *>(bytes + packed.candidate());
        candidate.planes = packed.planes ? bytes + packed.candidate_planes() : nullptr;
        candidate.offset = 0;
        gate.entries = reinterpret_cast<const Code<V> *>(bytes + packed.gate());
        cell.entries = reinterpret_cast<const Code<V> *>(bytes + packed.cell());
        gate.planes = packed.planes ? bytes + packed.gate_planes() : nullptr;
        cell.planes = packed.planes ? bytes + packed.cell_planes() : nullptr;
        gate.offset = (Code<V>)1 << from.a_frac;
        cell.offset = 0;
    }
};

// Word `word` of row `row` of [rows][count] codes: two to a word where narrow, the first in the low half.
template <class V>
Code<V> column_word(const int64_t *codes, int64_t row, int64_t count, int64_t word) {
    codes += row * count;
    if constexpr (is_narrow<V>) {
        uint32_t low = (uint16_t)codes[2 * word];
        uint32_t high = 2 * word + 1 < count ? (uint16_t)codes[2 * word + 1] : 0;
        return (int32_t)(high << 16 | low);
    } else {
        return codes[word];
    }
}

// One table, and its bytes as planes.
template <class V>
void pack_table(
    const Packed<V> &packed, const int64_t *value, const int64_t *slope, int64_t a_width, void *words, uint8_t *planes
) {
    auto entries = static_cast<Code<V> *>(words);
    for (int64_t k = 0; k < packed.entries; ++k) {
        entries[k] = (Code<V>)(slope[k] << a_width | value[k]);
        for (int plane = 0; packed.planes && plane < 4; ++plane) {
            planes[plane * PLANE_ENTRIES + k] = (uint8_t)(entries[k] >> 8 * plane);
        }
    }
}

template <class V>
void pack_as(const gatesmith_fixed_cell &cell, void *memory) {
    Packed<V> packed(cell);
    auto bytes = static_cast<uint8_t *>(memory);
    auto bias = reinterpret_cast<int64_t *>(bytes + packed.bias());
    auto weight = reinterpret_cast<Code<V> *>(bytes + packed.weights());
    auto p = reinterpret_cast<int64_t *>(bytes + packed.peepholes());
    for (int64_t block = 0; block < packed.blocks; ++block) {
        for (int64_t word = -1; word < packed.x_words + packed.h_words; ++word) {  // -1 is the bias
            for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
                for (int64_t unit = block * UNITS; unit < (block + 1) * UNITS; ++unit) {
                    int64_t row = unit * GATE_COUNT + gate, h_word = word - packed.x_words;
                    bool there = unit < cell.hidden_size;  // a last odd unit stands beside one of zeros
                    if (word < 0) *p++ = there && cell.p ? cell.p[row] : 0;
                    if (word < 0) *bias++ = there ? cell.b[row] : 0;
                    else if (!there) *weight++ = 0;
                    else if (h_word < 0) *weight++ = column_word<V>(cell.w_ih, row, cell.input_size, word);
                    else *weight++ = column_word<V>(cell.w_hh, row, cell.hidden_size, h_word);
                }
            }
        }
    }
    auto pack_curve = [&](const int64_t *value, const int64_t *slope, int64_t words, int64_t planes) {
        pack_table(packed, value, slope, cell.a_width, bytes + words, bytes + planes);
    };
    pack_curve(cell.gate_value, cell.gate_slope, packed.gate(), packed.gate_planes());
    pack_curve(cell.cell_value, cell.cell_slope, packed.cell(), packed.cell_planes());
    pack_curve(cell.candidate_value, cell.candidate_slope, packed.candidate(), packed.candidate_planes());
}

}  // namespace
}  // namespace GATESMITH_TARGET
