// What the dispatcher hands to the kernels of one instruction set: jobs, shares of them, and the table of functions.
#pragma once

#include <cstdint>

#include "layout.h"
#include "threads.h"

namespace gatesmith {

// The sequences of a batch by rank: longest first, so that the ones still running at a step are ranks 0 .. active - 1.
// Valid (step, rank) pairs are numbered step by step; such a number is a compact row.
struct Sequences {
    int64_t steps;             // the longest sequence's
    int64_t padded_steps;      // T
    int64_t batch;
    const int64_t *rows;       // [N] rank -> row of the batch; null for the same
    const int64_t *lengths;    // [N] by rank; null for all `steps`
    int64_t valid;             // compact rows in total

    int64_t row(int64_t rank) const { return rows ? rows[rank] : rank; }
    int64_t length(int64_t rank) const { return lengths ? lengths[rank] : steps; }
    // Time at which a direction runs its step `step`.
    int64_t time(int64_t rank, int64_t step, bool reverse) const { return reverse ? length(rank) - 1 - step : step; }
    // How many of the first `limit` ranks run at `step`, given that no more than `limit` did before.
    int64_t active(int64_t step, int64_t limit) const {
        if (!lengths) return step < steps ? limit : 0;
        while (limit > 0 && lengths[limit - 1] <= step) --limit;
        return limit;
    }
};

// What one thread of a cell computes: some ranks of the batch, all steps, some panels.
struct Share {
    int64_t first_rank, rank_stride, rows;  // its rows are the ranks first_rank + i * rank_stride, i < rows
    int64_t first_panel, last_panel;
    int member, members;  // of all threads of this cell
    Barrier *barrier;     // among them
    bool split_units;     // whether the members share rows and so meet at every step
    void *scratch;

    int64_t rank(int64_t i) const { return first_rank + i * rank_stride; }
    // How many of its rows are below `ranks`.
    int64_t owned(int64_t ranks) const {
        int64_t below = rank_stride == 1 ? ranks - first_rank : ceil_div(ranks - first_rank, rank_stride);
        return below < 0 ? 0 : below < rows ? below : rows;
    }
    void meet() const { wait(arrive()); }
    // Tells the others that they may go on; what comes before `wait` is independent of them.
    uint32_t arrive() const { return members > 1 ? barrier->arrive(members) : 0; }
    void wait(uint32_t phase) const {
        if (members > 1) barrier->wait(phase);
    }
};

// One direction of one layer.
struct CellForward {
    CellShape shape;
    Sequences sequences;
    bool reverse;
    const float *packed;
    const float *x;
    int64_t x_step, x_row;
    float *y;
    int64_t y_step, y_row;
    const float *h0, *c0;  // [N, H]
    float *h_n, *c_n;      // [N, H]
    // [panels][c_rows][lanes]: row `rank` holds the initial state; where c_kept, compact row r is at N + r, else all
    // steps write over it.
    float *c;
    int64_t c_rows;
    bool c_kept;
    float *h[2];       // [N][h_stride] by rank: h_{t-1} and h_t by turns, side by side whatever the order in y
    int64_t h_stride;  // no multiple of a page, so that the rows of a tile don't compete for the same cache lines
    float *gates;  // [panels][valid][block] after their activations, or null
    int64_t skip;  // stages to leave out, for profiling

    bool runs(int64_t stage) const { return !(skip & stage); }
};

struct CellBackward {
    CellForward forward;  // its x, y, h0, c0 and tape are inputs here; gates null means: compute them again
    const float *packed;  // transposed weights
    const float *dy;
    int64_t dy_step, dy_row;
    const float *dh_n, *dc_n;  // [N, H] or null
    float *dx;                 // or null
    int64_t dx_step, dx_row;
    float *dh0, *dc0;      // [N, H]
    gatesmith_cell gradients;
    float *dc;             // [panels][N][lanes] running gradient of c
    float *dz[2];          // [panels][chunk_rows][block] of alternating chunks
    float *features[2];    // [tiles][chunk_rows][tile rows]: 1, x, h_{t-1} of a chunk, transposed in tiles
    float *chunk_gates;    // [panels][chunk_rows][block] where gates are computed again
    float *dpacked;        // gradients in the layout of the forward weights
    int64_t chunk_steps, chunk_rows;
};

struct VariantShape;
struct VariantWeights;
struct VariantTransposed;
struct VariantForward;
struct VariantBackward;

// The functions of one instruction set.
struct Target {
    const char *name;
    int64_t lanes, tile_rows;
    void (*pack)(const CellShape &, const gatesmith_cell &, float *packed, int64_t first_panel, int64_t last_panel);
    void (*pack_backward)(const CellShape &, const gatesmith_cell &, float *packed, int member, int members);
    int64_t (*forward_scratch_bytes)(const CellShape &, int64_t rows);
    void (*forward)(const CellForward &, const Share &);
    void (*backward)(const CellBackward &, const Share &);
    void (*variant_pack)(const VariantShape &, const gatesmith_cell &, const VariantWeights &, int member, int members);
    void (*variant_pack_transposed)(const VariantShape &, const gatesmith_cell &, const VariantTransposed &, int member,
                                    int members);
    int64_t (*variant_scratch_bytes)(const VariantShape &, int64_t rows);
    void (*variant_forward)(const VariantForward &, const Share &);
    void (*variant_backward)(const VariantBackward &, const Share &);
    void (*sigmoid)(const float *, float *, int64_t);
    void (*tanh)(const float *, float *, int64_t);
    double (*measure_flops)();
    double (*measure_bandwidth)(const float *, int64_t floats);
};

const Target &target();

}  // namespace gatesmith
