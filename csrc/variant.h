// What the dispatcher hands to the variants' kernels: one cell of any specification, its weights, its trace, its jobs.
//
// A block array is [panels][rows][width]: a panel is `lanes` hidden units, and a row of it holds the four gates of these
// units (width 4 * lanes) or one value of each (width lanes). Lanes beyond H hold zeros.
#pragma once

#include <cstdint>

#include "kernel.h"
#include "memory.h"

namespace gatesmith {

enum { GATE_I, GATE_F, GATE_G, GATE_O };  // positions in a row of gates

// One cell's sizes and features.
struct VariantShape {
    const gatesmith_variant *options;
    int64_t inputs;   // D of this layer
    int64_t hidden;   // H
    int64_t outputs;  // R
    int64_t lanes;
    int64_t direction;  // whose activations it has

    int64_t panels() const { return ceil_div(hidden, lanes); }
    int64_t block() const { return 4 * lanes; }
    int64_t padded() const { return panels() * lanes; }
    int64_t h_stride() const { return round_up(outputs, lanes) + 16; }
    int64_t h_vectors() const { return ceil_div(outputs, lanes); }
    int64_t h_blocks() const { return ceil_div(outputs, block()); }
    int64_t features() const { return 1 + inputs + outputs; }

    bool projects() const { return options->proj_size > 0; }
    bool has_peephole(int64_t gate) const { return options->peepholes >> gate & 1; }
    bool has_full_peephole(int64_t gate) const { return options->full_peepholes >> gate & 1; }
    bool is_derived(int64_t gate) const { return options->derived_gate >> gate & 1; }
    bool norms_gates() const { return options->layer_norm == GATESMITH_NORM_GATES_AND_CELL; }
    bool norms_inputs() const { return options->layer_norm == GATESMITH_NORM_INPUTS_AND_CELL; }
    bool norms() const { return options->layer_norm != GATESMITH_NO_NORM; }
    // Whether a unit at one step needs nothing of the other units but h_{t-1}.
    bool is_elementwise() const { return !norms() && !options->full_peepholes; }
    // Whether the slope of a gate can't be told from its value.
    bool keeps_slopes() const {
        const gatesmith_activation *a = options->activations[direction];
        return options->gate_clip > 0 || a[0].function != GATESMITH_SIGMOID || a[1].function != GATESMITH_TANH;
    }
};

VariantShape variant_shape(const gatesmith_spec &spec, int64_t layer, int64_t direction, int64_t lanes);

// Position of a gate's peephole in gatesmith_cell.
inline int64_t peephole_index(int64_t gate) { return gate == GATE_O ? 2 : gate; }

// Weights as the kernels read them front to back, or gradients in the same layout; null where there are none.
struct VariantWeights {
    float *gates;          // [panels][1 + D + R][block]: the bias, W_ih, W_hh; zero for a derived gate
    float *peepholes;      // [panels][3 * lanes]: the diagonal ones of i, f, o
    float *full[3];        // [panels][padded H][lanes], transposed
    float *projection;     // [blocks of R][1 + padded H][block]: the bias, W_hr transposed
    float *gain[2], *shift[2];     // [panels][block] of the normalisations of gates or inputs
    float *cell_gain, *cell_shift;  // [panels][lanes]
};

// Weights as dz and dh are multiplied with them: rows are gates in the order of a block array, or outputs.
struct VariantTransposed {
    float *recurrent;   // [blocks of R][4 padded H][up to 4 vectors]
    float *input;       // [blocks of D][4 padded H][up to 4 vectors]
    float *full[3];     // [panels][padded H][lanes]
    float *projection;  // [blocks of H][R rounded up to blocks][up to 4 vectors]
};

VariantWeights take_weights(Arena &arena, const VariantShape &shape);
VariantTransposed take_transposed(Arena &arena, const VariantShape &shape);

// What a run of some steps leaves behind. States of step s lie at the rows of the step's start + rank: those before the
// first step at rank, and then, where every step is kept, N + compact row; else the steps take turns.
struct Trace {
    int64_t state_rows, rows;  // of the arrays of states, and of all others
    float *c;                  // [panels][state_rows][lanes]
    float *h;                  // [state_rows][h_stride]
    float *gates;              // [panels][rows][block] after their activations
    float *slopes;             // [panels][rows][block] of the activations and the clip; null where values tell them
    float *new_c;              // [panels][rows][lanes] before zoneout; null where it is c
    float *cell_open;          // [panels][rows][lanes] 1 where cell_clip let the value through, else 0; or null
    float *h_open;             // [rows][h_stride] the same of proj_clip; or null
    float *emitted;            // [panels][rows][lanes] what is projected; or null
    // Of layer normalisation, null without:
    float *units[2];  // [panels][rows][block] normalised gates, or W_ih x and W_hh h
    float *cell_unit;  // [panels][rows][lanes]
    float *scales;     // [rows][NORM_SCALES] one over the standard deviations: of the four gates or two inputs, then of c
};

constexpr int64_t NORM_SCALES = 8, CELL_SCALE = 4;

Trace take_trace(Arena &arena, const VariantShape &shape, int64_t batch, int64_t rows, bool keeps_steps);

// Where each kind of feature starts among a chunk's transposed rows, in whole tiles; the inputs, after a 1, come first.
struct FeatureSets {
    int64_t states;   // h_{t-1}
    int64_t before;   // c_{t-1} for full peepholes of i and f
    int64_t after;    // the new c for that of o
    int64_t emitted;  // 1 and what is projected
    int64_t count;
};

FeatureSets feature_sets(const VariantShape &shape, int64_t tile_rows);

// States at the beginning of each chunk of steps, from which backward computes the chunk's trace again.
struct Checkpoints {
    float *c;  // [chunks][panels][N][lanes]
    float *h;  // [chunks][N][h_stride]
};

struct VariantForward {
    VariantShape shape;
    Sequences sequences;
    bool reverse;
    VariantWeights weights;
    const float *x;
    int64_t x_step, x_row;
    float *y;
    int64_t y_step, y_row;
    const float *residual;  // what y has on top, by the strides of x; or null
    const float *dropout;   // factors of y [T][N][dropout_row], or null
    int64_t dropout_row;
    const float *h0, *c0;  // [N, R], [N, H]
    float *h_n, *c_n;
    gatesmith_noise noise;
    Trace trace;
    bool keeps_steps;         // whether the trace has rows for every step
    Checkpoints checkpoints;  // nulls for none
    int64_t chunk_steps;      // between checkpoints, and of a chunk of backward
    float *hidden[2];         // [N][h_stride] h_{t-1} after recurrent dropout, by turns; null without
    int64_t skip;

    bool runs(int64_t stage) const { return !(skip & stage); }
};

struct VariantBackward {
    VariantForward forward;
    VariantTransposed weights;
    bool recomputes;      // whether forward.trace is filled from the checkpoints, chunk by chunk
    const float *dy;
    int64_t dy_step, dy_row;
    const float *dh_n, *dc_n;  // or null
    float *dx;                 // or null
    int64_t dx_step, dx_row;
    float *dh0, *dc0;
    gatesmith_cell gradients;
    float *dh;  // [N][h_stride] running gradient of h
    float *dc;  // [panels][N][lanes] of c
    // Of the rows of a chunk:
    int64_t chunk_rows;
    float *dz;         // [panels][chunk_rows][block] of the gates' sums
    float *dinputs[2]; // the same of W_ih x and W_hh h; dz itself without normalisation of inputs
    float *dnormed;    // the same of the normalised gates; or null
    float *dcell;      // [panels][chunk_rows][lanes] of the new c
    float *dcell_normed;  // the same of the normalised c; or null
    float *dprojected;    // [blocks of R][chunk_rows][block] of the projection's result; or null
    float *features;      // [tiles][chunk_rows][tile rows] as FeatureSets says
    VariantWeights dweights;
};

// Where each array of a run lies in its tape and workspace; the same code measures and assigns.
struct VariantLayerTape {
    Trace traces[2];             // of each direction; nulls where checkpoints are kept instead
    Checkpoints checkpoints[2];
    float *y;                    // of a layer below the last, [T][N][directions * R]
};

VariantLayerTape variant_layer_tape(const gatesmith_run &run, int64_t layer);
int64_t variant_tape_bytes(const gatesmith_run &run);

struct VariantForwardMemory {
    int64_t *rows, *lengths;  // [N] the sorted sequences
    int64_t chunk_steps;      // that all layers run before any goes on
    int64_t *chunk_lengths;   // [N] of the batch's rows within a chunk
    char *scratch;            // of the threads
    int64_t scratch_bytes;    // of one thread
    float *hidden[2][2];      // of each direction, by turns: h after recurrent dropout
    Trace traces[2];          // of one step, where the tape keeps none
    float *y;                 // of every other layer below the last, a chunk of it
    int64_t bytes;
};

VariantForwardMemory variant_forward_memory(const gatesmith_run &run);

struct VariantBackwardMemory {
    int64_t *rows, *lengths;
    VariantBackward cells[2];  // their pointers into the workspace alone
    char *scratch;             // as above, where traces are computed again
    int64_t scratch_bytes;
    float *hidden[2][2];
    Trace traces[2];           // of a chunk
    float *dx_reverse;         // the reverse direction's part of dx
    float *dhidden[2];         // gradients of the outputs of layers below the last, by turns
    int64_t bytes;
};

VariantBackwardMemory variant_backward_memory(const gatesmith_run &run);

int64_t variant_packed_bytes(const gatesmith_spec &spec, bool backward);
void variant_pack(const gatesmith_spec &spec, const gatesmith_cell *cells, void *packed, bool backward);
void variant_run_forward(const gatesmith_run &run);
void variant_run_backward(const gatesmith_run &run);
bool is_valid_variant(const gatesmith_spec &spec);

}  // namespace gatesmith
