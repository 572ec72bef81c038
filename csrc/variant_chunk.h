// A chunk of steps that run backward together: how its rows are numbered, in its own arrays and in the trace.
#pragma once

#include "simd.h"
#include "variant.h"

namespace GATESMITH_TARGET {

using gatesmith::Share;
using gatesmith::VariantBackward;

// Steps first .. last - 1; rows of the chunk count from its first step's rank 0.
struct Chunk {
    const VariantBackward &cell;
    const Share &share;
    int64_t first, last;
    int64_t rows;
    int64_t trace_row;     // of the chunk's first row in the trace
    int64_t state_before;  // row of the states before the first step, at rank 0
    bool starts;           // whether it is the first one to be run, with nothing to add to

    // Of the states after the step whose rank 0 is the chunk's row `row`.
    int64_t state_after(int64_t row) const { return cell.forward.sequences.batch + trace_row + row; }
};

// Calls f(row, step, rank, row of the states before) for the chunk's rows first .. last - 1, in ascending order.
template <class F>
inline void for_rows(const Chunk &chunk, int64_t first, int64_t last, const F &f) {
    const gatesmith::Sequences &sequences = chunk.cell.forward.sequences;
    int64_t row = 0, before = chunk.state_before, active = sequences.batch;
    for (int64_t step = chunk.first; step < chunk.last && row < last; ++step) {
        active = sequences.active(step, active);
        for (int64_t rank = first > row ? first - row : 0; rank < active && row + rank < last; ++rank)
            f(row + rank, step, rank, before + rank);
        before = chunk.state_after(row);
        row += active;
    }
}

// The new cell state that the output gate and the output see.
inline const float *new_cell(const Chunk &chunk, int64_t panel, int64_t row) {
    const gatesmith::Trace &trace = chunk.cell.forward.trace;
    if (trace.new_c) return trace.new_c + (panel * trace.rows + chunk.trace_row + row) * LANES;
    return trace.c + (panel * trace.state_rows + chunk.state_after(row)) * LANES;
}

void gather_features(const Chunk &chunk);
void add_weight_gradients(const Chunk &chunk);
void input_gradients(const Chunk &chunk);
// Zero where no step ran, then from the kernel's layout to the natural one.
void finish_weight_gradients(const VariantBackward &cell, const Share &share, bool none);

}  // namespace GATESMITH_TARGET
