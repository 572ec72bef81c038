// Which lanes compute a cell without loss: of 16, 32 or 64 bits, from its formats, weights and tables.
#pragma once

#include "fixed_model.h"

namespace gatesmith {

// How the sum of a row's products is kept in its lane.
enum class Sums {
    EXACT,    // as it is
    CHEAP,    // 64-bit lanes: modulo 2^52, the bits above undefined
    BYTES,    // 32-bit lanes: of operands and weights that fit bytes
    REFINED,  // 32-bit lanes: modulo 2^32, and a coarse sum of upper bytes that tells which multiple of it is missing
};

// What the instruction set has for products.
struct Multipliers {
    int64_t cheap_sum_bits;  // of sums in 64-bit lanes that take one instruction; 0 for none
    int64_t byte_weight;     // largest magnitude of a weight whose product with a byte may be added to three others
};

struct Lanes {
    bool narrow;           // 16-bit operands in 32-bit lanes; else all of it in 64
    bool short_cell;       // narrow, and the rest of the cell in 16-bit lanes, where the instruction set has them
    bool folded;           // whether the shift of the operands is in the packed weights already
    Sums sums;
    int byte_shift;    // BYTES, REFINED: bits of an operand that its byte leaves out
    int coarse_shift;  // REFINED: a coarse sum is in units of 2^coarse_shift; 0 for BYTES
    int digits;        // BYTES, REFINED: bytes that stand for a weight
};

Lanes choose_lanes(const gatesmith_fixed_cell &cell, const Multipliers &machine);

constexpr int DIGIT_BITS = 7;  // of all bytes of a coarse weight but the first

// What bytes hold of a weight, in units of 2^shift: the nearest.
inline int64_t coarse_weight(int64_t weight, int64_t shift) {
    return shift > 0 ? (weight + ((int64_t)1 << (shift - 1))) >> shift : weight;
}

// What the table of a gate in 16-bit lanes is less than that of docs/fixed-point.md, so that it fits.
inline int64_t gate_center(const gatesmith_fixed_cell &cell) { return (int64_t)1 << (cell.a_frac - 1); }

}  // namespace gatesmith
