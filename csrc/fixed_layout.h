// How a cell of the integer operator lies in memory: packed weights and tables, and everything constant over a run.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fixed_kernel.h"
#include "fixed_simd.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

constexpr int VECTORS = 2;  // of sequences side by side in a group
constexpr int UNITS = 2;    // hidden units that share an operand while it is in a register
constexpr int TILE = UNITS * VECTORS;
constexpr int ROWS = GATE_COUNT * UNITS;  // of a block

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

// Words of four bytes, of columns that stand in `words` words of two.
constexpr int64_t byte_words(int64_t words) { return ceil_div(words, 2); }

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
          h_words(operand_words<V>(cell.output_size)),
          entries((int64_t)1 << cell.table_bits),
          planes(is_narrow<V> && entries <= PLANE_ENTRIES) {}

    // Offsets in bytes.
    static constexpr int64_t CODE = sizeof(Code<V>);
    int64_t rows() const { return blocks * ROWS; }
    int64_t all_byte_words() const { return is_narrow<V> ? byte_words(x_words) + byte_words(h_words) : 0; }
    int64_t bias() const { return 0; }                        // [blocks][GATE_COUNT][UNITS] int64_t
    int64_t weights() const { return bias() + rows() * 8; }   // [blocks][x_words + h_words][GATE_COUNT][UNITS]
    int64_t peepholes() const { return weights() + rows() * (x_words + h_words) * CODE; }  // as bias
    int64_t gate() const { return peepholes() + rows() * 8; }                              // [entries]
    int64_t cell() const { return gate() + entries * CODE; }
    int64_t candidate() const { return cell() + entries * CODE; }
    int64_t gate_planes() const { return candidate() + entries * CODE; }  // [4][PLANE_ENTRIES]
    int64_t cell_planes() const { return gate_planes() + 4 * PLANE_ENTRIES; }
    int64_t candidate_planes() const { return cell_planes() + 4 * PLANE_ENTRIES; }
    int64_t coarse_bias() const { return candidate_planes() + 4 * PLANE_ENTRIES; }  // as bias, of sums of bytes
    int64_t digits() const { return coarse_bias() + rows() * 8; }  // [blocks][Lanes.digits][all_byte_words][ROWS]
    int64_t bytes() const { return digits() + rows() * 2 * all_byte_words() * CODE; }
};

// One thread's memory: states and operands of one group. [VECTORS] vectors hold the lanes of a group.
template <class V>
struct Scratch {
    V *operands, *next;       // [x_words + h_words][VECTORS]: x, and h, which is the state too; and those after the step
    V *c;                     // [blocks * UNITS][VECTORS]
    V *emitted;               // likewise: h before its projection
    V *bytes;                 // [all_byte_words][VECTORS]: of the operands, where products of bytes are wanted
    int64_t *staged;          // [GROUP][outputs]: outputs of a step on their way past the cache
    V valid[VECTORS];         // all ones in the lanes whose sequence still runs
    V saturated[3][VECTORS];  // all ones in the lanes where a z, c or h was
    int64_t x_words;

    Scratch(const Packed<V> &packed, void *memory) : valid{}, saturated{}, x_words(packed.x_words) {
        operands = static_cast<V *>(memory);
        next = operands + (packed.x_words + packed.h_words) * VECTORS;
        c = next + (packed.x_words + packed.h_words) * VECTORS;
        emitted = c + packed.blocks * UNITS * VECTORS;
        bytes = emitted + packed.blocks * UNITS * VECTORS;
        staged = reinterpret_cast<int64_t *>(bytes + packed.all_byte_words() * VECTORS);
        std::memset(memory, 0, size(packed));
    }

    V *x() const { return operands; }
    V *h() const { return operands + x_words * VECTORS; }
    V *h_next() const { return next + x_words * VECTORS; }

    static int64_t size(const Packed<V> &packed) {
        const int64_t states = packed.x_words + packed.h_words + packed.blocks * UNITS;
        const int64_t staged = packed.blocks * UNITS * GROUP<V> * (int64_t)sizeof(int64_t);  // as many outputs at most
        return (2 * states + packed.all_byte_words()) * VECTORS * (int64_t)sizeof(V) + staged;
    }
};

// Everything constant over a run.
template <class V>
struct Formats {
    Packed<V> packed;
    Lanes lanes;
    int64_t inputs, hidden, outputs;
    bool projected;
    int x_shift, h_shift;  // of the operands, where the weights don't hold it
    Shift z;               // of a sum that holds its rounding constant
    int z_shift;           // likewise, where it is not to the left
    Rounding zc;
    RoundingRight rest, c, h;
    int c_shift, h_shift_right;  // of the same roundings as c and h
    int64_t center;              // what gates are given below of in 16-bit lanes
    int f_times_c, i_times_g;  // left shifts that bring both terms of c to one fraction
    int64_t z_high, c_high, h_high;
    int64_t peepholes, c_clip;
    bool z_clipped;
    int sum_shift, product_shift;  // left shifts that bring a sum and its peephole to one fraction
    Rounding z_seen;               // of a sum with its peephole
    int segment_bits, value_bits;
    const Code<V> *weights;
    const int32_t *digits;
    const int64_t *bias, *coarse_bias, *p;
    Curve<V> gate, cell, candidate;
    Rounding r;
    int64_t r_high, r_clip;
    const int64_t *w_hr, *b_hr;

    Formats(const gatesmith_fixed_cell &from, const Lanes &lanes, const void *memory)
        : packed(from),
          lanes(lanes),
          inputs(from.input_size),
          hidden(from.hidden_size),
          outputs(from.output_size),
          projected(from.projected),
          x_shift(lanes.folded ? 0 : (int)from.x_shift),
          h_shift(lanes.folded ? 0 : (int)from.h_shift),
          z(from.acc_frac - from.z_frac),
          z_shift((int)(from.acc_frac - from.z_frac)),
          zc(from.c_frac - from.z_frac),
          rest(from.z_width - 1 - from.table_bits),
          c(std::max(2 * from.a_frac, from.a_frac + from.c_frac) - from.c_frac),
          h(2 * from.a_frac - from.h_frac),
          c_shift((int)(std::max(2 * from.a_frac, from.a_frac + from.c_frac) - from.c_frac)),
          h_shift_right((int)(2 * from.a_frac - from.h_frac)),
          center(gate_center(from)),
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
          value_bits((int)from.a_width),
          r(from.r_round),
          r_high(((int64_t)1 << (from.y_width - 1)) - 1),
          r_clip(from.r_clip),
          w_hr(from.w_hr),
          b_hr(from.b_hr) {
        auto bytes = static_cast<const uint8_t *>(memory);
        bias = reinterpret_cast<const int64_t *>(bytes + packed.bias());
        weights = reinterpret_cast<const Code<V> *>(bytes + packed.weights());
        p = reinterpret_cast<const int64_t *>(bytes + packed.peepholes());
        digits = reinterpret_cast<const int32_t *>(bytes + packed.digits());
        coarse_bias = reinterpret_cast<const int64_t *>(bytes + packed.coarse_bias());
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

// Word `word` of `count` codes: two to a word where narrow, the first in the low half.
template <class V>
Code<V> column_word(const int64_t *codes, int64_t count, int64_t word, int64_t shift) {
    if constexpr (is_narrow<V>) {
        uint32_t low = (uint16_t)(codes[2 * word] << shift);
        uint32_t high = 2 * word + 1 < count ? (uint16_t)(codes[2 * word + 1] << shift) : 0;
        return (int32_t)(high << 16 | low);
    } else {
        return codes[word] << shift;
    }
}

// One table of words, and their bytes as planes.
template <class V, class Entry>
void pack_table(const Packed<V> &packed, const Entry &entry, void *words, uint8_t *planes) {
    auto entries = static_cast<Code<V> *>(words);
    for (int64_t k = 0; k < packed.entries; ++k) {
        entries[k] = (Code<V>)entry(k);
        for (int plane = 0; packed.planes && plane < 4; ++plane) {
            planes[plane * PLANE_ENTRIES + k] = (uint8_t)(entries[k] >> 8 * plane);
        }
    }
}

// The biases with the constants that round z, and the peepholes, each [blocks][GATE_COUNT][UNITS].
void pack_rows(const gatesmith_fixed_cell &cell, int64_t blocks, int64_t *bias, int64_t *p) {
    const int64_t z_shift = cell.acc_frac - cell.z_frac, half = z_shift > 0 ? (int64_t)1 << (z_shift - 1) : 0;
    for (int64_t at = 0; at < blocks * GATE_COUNT * UNITS; ++at) {
        const int64_t gate = at / UNITS % GATE_COUNT, unit = at / (GATE_COUNT * UNITS) * UNITS + at % UNITS;
        const int64_t row = unit * GATE_COUNT + gate;
        const bool there = unit < cell.hidden_size;  // a last odd unit stands beside one of zeros
        bias[at] = (there ? cell.b[row] : 0) + (cell.peepholes >> gate & 1 ? 0 : half);
        p[at] = there && cell.p ? cell.p[row] : 0;
    }
}

// The weights of one row in bytes, digit by digit; returns the sum of them all.
int64_t pack_digits(
    const int64_t *weights, int64_t count, int64_t shift, const Lanes &lanes, int64_t digit_words, int32_t *words
) {
    constexpr int PLACE[4] = {0, 2, 1, 3};  // of a column, where put_bytes of fixed_products.h leaves its operand
    int64_t sum = 0;
    for (int64_t column = 0; column < count; ++column) {
        const int64_t weight = coarse_weight(weights[column] << shift, lanes.coarse_shift - lanes.byte_shift);
        const int64_t first = lanes.digits == 2 ? coarse_weight(weight, DIGIT_BITS) : weight;
        const int64_t digits[2] = {first, weight - (first << DIGIT_BITS)};
        for (int digit = 0; digit < lanes.digits; ++digit) {
            int32_t &word = words[(digit * digit_words + column / 4) * ROWS];
            word |= (int32_t)((uint32_t)(uint8_t)digits[digit] << 8 * PLACE[column % 4]);
        }
        sum += weight;
    }
    return sum;
}

// All weights in bytes, and what the sums of their products start from.
void pack_bytes(const gatesmith_fixed_cell &cell, const Lanes &lanes, uint8_t *memory) {
    const Packed<IntVector> packed(cell);
    const auto bias = reinterpret_cast<const int64_t *>(memory + packed.bias());
    const auto start = reinterpret_cast<int64_t *>(memory + packed.coarse_bias());
    const int64_t x_words = byte_words(packed.x_words), all = packed.all_byte_words();
    std::memset(memory + packed.digits(), 0, packed.bytes() - packed.digits());
    for (int64_t at = 0; at < packed.rows(); ++at) {
        const int64_t block = at / ROWS, unit = block * UNITS + at % UNITS, row = unit * GATE_COUNT + at % ROWS / UNITS;
        auto words = reinterpret_cast<int32_t *>(memory + packed.digits());
        words += block * lanes.digits * all * ROWS + at % ROWS;
        int64_t sum = 0;
        if (unit < cell.hidden_size) {
            const int64_t *w_ih = cell.w_ih + row * cell.input_size, *w_hh = cell.w_hh + row * cell.output_size;
            sum += pack_digits(w_ih, cell.input_size, cell.x_shift, lanes, all, words);
            sum += pack_digits(w_hh, cell.output_size, cell.h_shift, lanes, all, words + x_words * ROWS);
        }
        // An operand's byte stands 128 too high, and for the middle of all numbers that share it.
        start[at] = (bias[at] >> lanes.coarse_shift) + (((lanes.byte_shift ? -255 : -256) * sum) >> 1);
    }
}

template <class V>
void pack_as(const gatesmith_fixed_cell &cell, const Lanes &lanes, void *memory) {
    Packed<V> packed(cell);
    auto bytes = static_cast<uint8_t *>(memory);
    auto weight = reinterpret_cast<Code<V> *>(bytes + packed.weights());
    pack_rows(
        cell, packed.blocks, reinterpret_cast<int64_t *>(bytes + packed.bias()),
        reinterpret_cast<int64_t *>(bytes + packed.peepholes())
    );
    const int64_t x_shift = lanes.folded ? cell.x_shift : 0, h_shift = lanes.folded ? cell.h_shift : 0;
    for (int64_t block = 0; block < packed.blocks; ++block) {
        for (int64_t word = 0; word < packed.x_words + packed.h_words; ++word) {
            for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
                for (int64_t unit = block * UNITS; unit < (block + 1) * UNITS; ++unit) {
                    const int64_t row = unit * GATE_COUNT + gate, h_word = word - packed.x_words;
                    const int64_t *x_row = cell.w_ih + row * cell.input_size, *h_row = cell.w_hh + row * cell.output_size;
                    if (unit >= cell.hidden_size) *weight++ = 0;
                    else if (h_word < 0) *weight++ = column_word<V>(x_row, cell.input_size, word, x_shift);
                    else *weight++ = column_word<V>(h_row, cell.output_size, h_word, h_shift);
                }
            }
        }
    }
    if constexpr (is_narrow<V>) {
        if (lanes.digits) pack_bytes(cell, lanes, bytes);
    }
    const bool halves = lanes.short_cell && packed.planes;
    auto pack_curve = [&](const int64_t *value, const int64_t *slope, int64_t center, int64_t words, int64_t planes) {
        const auto entry = [&](int64_t k) {
            return halves ? slope[k] << 16 | ((value[k] - center) & 0xffff) : slope[k] << cell.a_width | value[k];
        };
        pack_table(packed, entry, bytes + words, bytes + planes);
    };
    pack_curve(cell.gate_value, cell.gate_slope, gate_center(cell), packed.gate(), packed.gate_planes());
    pack_curve(cell.cell_value, cell.cell_slope, 0, packed.cell(), packed.cell_planes());
    pack_curve(cell.candidate_value, cell.candidate_slope, 0, packed.candidate(), packed.candidate_planes());
}

}  // namespace
}  // namespace GATESMITH_TARGET
