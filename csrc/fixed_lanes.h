// Which lanes compute a cell without loss: of 16, 32 or 64 bits, from its formats, weights and tables.
#pragma once

#include "fixed_model.h"

namespace gatesmith {

struct Lanes {
    bool narrow;          // 16-bit operands, sums in 32 bits; else all of it in 64
    bool short_cell;      // narrow, and the rest of the cell in 16-bit lanes, where the instruction set has them
    bool folded;          // whether the shift of the operands is in the packed weights already
    int64_t carry_words;  // narrow: upper halves of sums are put aside after so many words of two columns; 0 for never
    int64_t sum_bits;     // of any sum with these weights
};

Lanes choose_lanes(const gatesmith_fixed_cell &cell);

// What the table of a gate in 16-bit lanes is less than that of docs/fixed-point.md, so that it fits.
inline int64_t gate_center(const gatesmith_fixed_cell &cell) { return (int64_t)1 << (cell.a_frac - 1); }

}  // namespace gatesmith
