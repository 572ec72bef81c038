// How the work of a layer is dealt to threads, whatever its cells compute.
#pragma once

#include <cstdint>

#include "kernel.h"
#include "memory.h"

namespace gatesmith {

// Sorts the batch by length, longest first and equal ones in order; all equal lengths need no table.
Sequences sort_sequences(const gatesmith_run &run, int64_t *rows, int64_t *lengths);

// The rows of one of `groups` threads: a block of them, or where lengths differ every groups-th one.
void deal_rows(const Sequences &sequences, int64_t group, int64_t groups, Share *share);

// Calls run(cell index, member, members) on this thread for the cells of a layer: both directions side by side where
// there are two threads, else one after the other.
template <class F>
void for_cells(int64_t cells, int index, int count, const F &run) {
    if (cells == 1) return run(0, index, count);
    if (count == 1) {
        run(0, 0, 1);
        run(1, 0, 1);
        return;
    }
    int first = (count + 1) / 2;
    index < first ? run(0, index, first) : run(1, index - first, count - first);
}

// dx += the reverse direction's part, which lies in a dense [T, N, D] array.
struct Addition {
    float *to;
    int64_t step, row;
    const float *from;
    int64_t steps, batch, inputs;
};

void addition_job(void *context, int index, int count);

}  // namespace gatesmith
