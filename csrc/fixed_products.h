// The sums of a step's products: each row of the weights with the operands x and h, exact by one of four ways.
#pragma once

#include "fixed_layout.h"

namespace GATESMITH_TARGET {
namespace {

// sums += the weights of `count` column words times their operands.
template <Sums SUMS = Sums::EXACT, class V>
inline void multiply_columns(const Code<V> *weights, const V *operands, int64_t count, V (&sums)[GATE_COUNT][TILE]) {
    for (int64_t word = 0; word < count; ++word) {
        V operand[VECTORS];
        for (int at = 0; at < VECTORS; ++at) operand[at] = in_register(operands[word * VECTORS + at]);
        for (int row = 0; row < ROWS; ++row) {
            V weight = V{} + weights[word * ROWS + row];
            for (int vector = 0; vector < VECTORS; ++vector) {
                V &sum = sums[row / UNITS][row % UNITS * VECTORS + vector];
                if constexpr (SUMS == Sums::BYTES) sum = multiply_add_bytes(sum, weight, operand[vector]);
                else if constexpr (SUMS == Sums::CHEAP) sum = multiply_add_cheaply(sum, weight, operand[vector]);
                else sum = multiply_add(sum, weight, operand[vector]);
            }
        }
    }
}

// Whether a gate sees c; the narrow version never does.
template <class V>
inline bool sees(const Formats<V> &formats, int gate) {
    return !is_narrow<V> && formats.peepholes >> gate & 1;
}

inline LongVector shift_sum(LongVector sum, int shift) { return sum << shift; }
inline IntVector shift_sum(IntVector sum, int shift) { return shift_left_modulo(sum, shift); }
inline LongVector add_to_sum(LongVector sum, int64_t bias) { return sum + bias; }
inline IntVector add_to_sum(IntVector sum, int64_t bias) { return add_modulo(sum, IntVector{} + (int32_t)bias); }

// The sums of a block's rows, each with its bias.
template <Sums SUMS, class V>
inline void sum_products(
    const Formats<V> &formats, const Scratch<V> &scratch, int64_t block, V (&sums)[GATE_COUNT][TILE]
) {
    const int64_t x_words = formats.packed.x_words, words = x_words + formats.packed.h_words;
    const Code<V> *weights = formats.weights + block * words * ROWS;
    const int64_t *bias = formats.bias + block * ROWS;
    const int shift = formats.x_shift + formats.h_shift;
    const auto multiply = [&](int64_t first, int64_t end) {
        multiply_columns<SUMS>(weights + first * ROWS, scratch.operands + first * VECTORS, end - first, sums);
    };
    if (shift) {  // shifted products come first, so that one set of sums serves both
        for (int at = 0; at < GATE_COUNT * TILE; ++at) sums[at / TILE][at % TILE] = V{};
        formats.h_shift ? multiply(x_words, words) : multiply(0, x_words);
    }
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        V &sum = sums[at / TILE][at % TILE];
        sum = add_to_sum(shift ? shift_sum(sum, shift) : V{}, bias[at / VECTORS]);
    }
    if (!shift) multiply(0, words);
    else formats.h_shift ? multiply(0, x_words) : multiply(x_words, words);
}

// The pre-activations of a block of units, rounded and not yet saturated; of a gate that sees c the exact sum.
template <class V, Sums SUMS>
[[gnu::noinline]] void preactivate(
    const Formats<V> &formats, const Scratch<V> &scratch, int64_t block, V (&z)[GATE_COUNT][TILE]
) {
    V sums[GATE_COUNT][TILE];
    sum_products<SUMS>(formats, scratch, block, sums);
    const Shift shift = formats.z;  // a copy, since the compiler can't know that z is elsewhere
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        V &sum = sums[at / TILE][at % TILE];
        if constexpr (SUMS == Sums::CHEAP) sum = (sum << (64 - CHEAP_SUM_BITS)) >> (64 - CHEAP_SUM_BITS);
        z[at / TILE][at % TILE] = sees(formats, at / TILE) ? sum : shift(sum);
    }
}

// Bytes of all operands, four columns to a word, unsigned: they stand 128 too high.
inline void put_bytes(const Formats<IntVector> &formats, const Scratch<IntVector> &scratch) {
    const int shift = formats.lanes.byte_shift;
    const auto put = [&](const IntVector *from, int64_t words, IntVector *to) {
        for (int64_t word = 0; word < words; word += 2, from += 2 * VECTORS, to += VECTORS) {
            for (int at = 0; at < VECTORS; ++at) {
                const IntVector low = from[at], high = word + 1 < words ? from[VECTORS + at] : IntVector{};
                to[at] = (((low >> shift) & 0x00ff00ff) | ((high >> shift) & 0x00ff00ff) << 8) ^ (int32_t)0x80808080;
            }
        }
    };
    put(scratch.x(), formats.packed.x_words, scratch.bytes);
    put(scratch.h(), formats.packed.h_words, scratch.bytes + byte_words(formats.packed.x_words) * VECTORS);
}

// As preactivate, from products of bytes: of BYTES the exact z, of REFINED coarse sums.
template <Sums SUMS>
[[gnu::noinline]] void preactivate_bytes(
    const Formats<IntVector> &formats, const Scratch<IntVector> &scratch, int64_t block,
    IntVector (&z)[GATE_COUNT][TILE]
) {
    const int64_t words = formats.packed.all_byte_words(), *bias = formats.coarse_bias + block * ROWS;
    const int32_t *weights = formats.digits + block * formats.lanes.digits * words * ROWS;
    const bool two = formats.lanes.digits == 2;
    IntVector sums[GATE_COUNT][TILE];
    if (two) {
        for (int at = 0; at < GATE_COUNT * TILE; ++at) sums[at / TILE][at % TILE] = IntVector{};
        multiply_columns<Sums::BYTES>(weights, scratch.bytes, words, sums);
        weights += words * ROWS;
    }
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        IntVector &sum = sums[at / TILE][at % TILE];
        sum = add_to_sum(two ? shift_sum(sum, DIGIT_BITS) : IntVector{}, bias[at / VECTORS]);
    }
    multiply_columns<Sums::BYTES>(weights, scratch.bytes, words, sums);
    const Shift shift = formats.z;  // a copy, since the compiler can't know that z is elsewhere
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        const IntVector sum = sums[at / TILE][at % TILE];
        z[at / TILE][at % TILE] = SUMS == Sums::BYTES ? shift(sum) : sum;
    }
}

// As preactivate, from sums modulo 2^32 and the coarse ones in z, which are within 2^31 of the exact ones.
[[gnu::noinline]] inline void refine(
    const Formats<IntVector> &formats, const Scratch<IntVector> &scratch, int64_t block,
    IntVector (&z)[GATE_COUNT][TILE]
) {
    IntVector sums[GATE_COUNT][TILE];
    sum_products<Sums::EXACT>(formats, scratch, block, sums);
    const int unit = formats.lanes.coarse_shift, shift = formats.z_shift, common = std::min(unit, shift);
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        IntVector &to = z[at / TILE][at % TILE];
        const IntVector coarse = to, sum = sums[at / TILE][at % TILE];
        const IntVector missed = subtract_modulo(sum, shift_left_modulo(coarse, unit)) >> common;
        to = unit <= shift ? (coarse + missed) >> (shift - unit) : (coarse << (unit - shift)) + missed;
    }
}

}  // namespace
}  // namespace GATESMITH_TARGET
