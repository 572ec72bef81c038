// One step of a thread's rows, as the loop over time hands it to the units of a variant.
#pragma once

#include <algorithm>

#include "simd.h"
#include "variant.h"

namespace GATESMITH_TARGET {

using gatesmith::Sequences;
using gatesmith::Share;
using gatesmith::VariantForward;

// As in forward.cpp: below this many rows the input projection of many steps is one product.
constexpr int64_t HOIST_BELOW_ROWS = TILE_ROWS, HOISTED_ROWS = 8 * TILE_ROWS;

// One sequence that runs at a step.
struct Row {
    int64_t rank, n, time;
    const float *x, *h;
    float *y;
};

struct Scratch {
    Row *rows;            // [rows]
    const float **chunk;  // [HOISTED_ROWS] x of a chunk of steps
    float *projected;     // [panels][HOISTED_ROWS][block]
};

// `from`, `to` and `at` are rows of states and of the trace at rank 0.
struct Step {
    const VariantForward &cell;
    const Share &share;
    const Scratch &scratch;
    int64_t rows;
    int64_t from, to, at;
    float *hidden;          // where h goes after recurrent dropout, or null
    int64_t projected_row;  // of `projected` at this thread's first row; -1 where x is still to be multiplied
    bool writes;            // whether y is wanted
};

struct Range {
    int64_t first, last;
};

// Column blocks of h that this thread projects.
inline Range output_blocks(const gatesmith::VariantShape &shape, const Share &share) {
    int64_t blocks = shape.h_blocks();
    if (!share.split_units) return {0, blocks};
    return {blocks * share.member / share.members, blocks * (share.member + 1) / share.members};
}

// Vectors of h that this thread computes.
inline Range output_vectors(const gatesmith::VariantShape &shape, const Share &share) {
    if (!shape.projects()) return {share.first_panel, share.last_panel};
    auto [first, last] = output_blocks(shape, share);
    return {4 * first, std::min(4 * last, shape.h_vectors())};
}

void run_step(const Step &step, bool backwards);
int64_t project_inputs(const VariantForward &cell, const Share &share, const Scratch &scratch, int64_t step,
                       int64_t last, int64_t active);

// Computes the trace of the steps first .. last - 1 again, from their checkpoint; `compact` is their first compact row.
void retrace(const VariantForward &cell, const Share &share, int64_t first, int64_t last);

}  // namespace GATESMITH_TARGET
