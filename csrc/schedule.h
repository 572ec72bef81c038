// How the work of a layer is dealt to threads, whatever its cells compute.
#pragma once

#include <cstdint>

#include "kernel.h"
#include "memory.h"

namespace gatesmith {

// Sorts the batch by length, longest first and equal ones in order; all equal lengths need no table.
Sequences sort_sequences(const gatesmith_run &run, int64_t *rows, int64_t *lengths);

// Whether the threads of a cell share its hidden units, and meet at every step, rather than its rows: where a thread's rows
// don't fill a tile, or the weights come from memory, so that each should be read by one thread only.
bool should_split_units(int64_t batch, int64_t weights, int64_t members);

// How many threads are worth starting for a layer whose step takes this many multiplications.
int useful_threads(const gatesmith_run &run, double step, bool splits_units);

// Which threads of a job compute one cell, and how.
Share share_of(const Sequences &sequences, int64_t panels, bool splits_units, int member, int members, Barrier *barrier);

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

// The steps start .. start + steps - 1 of a run, which go on from its final state unless they are the first to run.
gatesmith_run part_of(const gatesmith_run &run, int64_t start, int64_t steps, bool is_first, int64_t *lengths);

// Calls f on the run, or on one chunk of its steps after the other, in the order of its direction.
template <class F>
void for_chunks(const gatesmith_run &run, int64_t chunk_steps, int64_t *chunk_lengths, const F &f) {
    if (chunk_steps == run.steps) return f(run);
    int64_t chunks = ceil_div(run.steps, chunk_steps);
    for (int64_t k = 0; k < chunks; ++k) {
        int64_t start = (run.spec.reverse ? chunks - 1 - k : k) * chunk_steps;
        f(part_of(run, start, run.steps - start < chunk_steps ? run.steps - start : chunk_steps, k == 0, chunk_lengths));
    }
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
