/* The integer operator of docs/fixed-point.md: the native twin of the golden model, equal bit for bit.
 *
 * A plain C interface like gatesmith.h: the caller owns all memory, nothing allocates, nothing is validated here.
 * The caller guarantees that no intermediate needs more than 63 bits and that every code fits its format.
 */
#pragma once

#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* One cell (layer and direction): its formats, named as the parameters of the hardware, and its weights. */
typedef struct {
    int64_t input_size, hidden_size, output_size; /* D, H, R */
    int64_t x_width, x_shift;
    int64_t h_width, h_shift, h_frac; /* the shift is that of what the next step reads */
    int64_t y_width;                  /* of that: of r where there is a projection, else of h */
    int64_t w_width;
    int64_t acc_frac;
    int64_t z_width, z_frac;
    int64_t a_width, a_frac;
    int64_t c_width, c_frac;
    int64_t table_bits, slope_width;
    int64_t peepholes, p_frac; /* gates that see c: bit k for gate k in the order i, f, g, o */
    int64_t z_clip, c_clip;    /* codes, 0 for none; that of z is in the tables already */
    int64_t projected;         /* whether r = W_hr h + b takes the place of h */
    int64_t r_round, r_clip;   /* fraction bits of its sums that are rounded away; bound as a code, 0 for none */
    const int64_t *w_ih; /* [4H, D], row 4u + k is gate k of unit u */
    const int64_t *w_hh; /* [4H, R] */
    const int64_t *b;    /* [4H] */
    const int64_t *gate_value, *gate_slope; /* [2^table_bits] of i, f, o */
    const int64_t *cell_value, *cell_slope; /* [2^table_bits] of c in the output */
    const int64_t *candidate_value, *candidate_slope; /* [2^table_bits] of g */
    const int64_t *p;                       /* [4H] peepholes, row 4u + k; null where there are none */
    const int64_t *w_hr, *b_hr;             /* [R, H] and [R]; not read where there is no projection */
} gatesmith_fixed_cell;

/* One run of a cell over whole sequences. */
typedef struct {
    int64_t steps, batch;
    int64_t reverse;        /* whether it reads the valid steps from the last to the first */
    int64_t threads;        /* at most this many; the workspace grows with it, the results don't depend on it */
    const int64_t *order;   /* [N] sequences as they are grouped; equal lengths side by side are fast */
    const int64_t *lengths; /* [N] valid steps of each sequence, 0 to T */
    const int64_t *x;       /* x[t * x_step + n * x_row + d] */
    int64_t x_step, x_row;
    int64_t x_given_width;  /* of x, which is saturated to x_width, after ... */
    int64_t x_round;        /* ... its fraction bits beyond the cell's are rounded away */
    const int64_t *h0, *c0; /* [N, R], [N, H] */
    int64_t *y;             /* y[t * y_step + n * y_row + u]; written at valid steps only */
    int64_t y_step, y_row;
    int64_t *h_n, *c_n; /* [N, R], [N, H] */
    uint8_t *saturated; /* [N, 3] whether saturation changed a z, c or h */
    void *workspace;    /* 64-byte aligned */
} gatesmith_fixed_run;

/* Bytes of the workspace of a run with this many threads. */
int64_t gatesmith_fixed_workspace_bytes(const gatesmith_fixed_cell *cell, int64_t threads);
void gatesmith_fixed_forward(const gatesmith_fixed_cell *cell, const gatesmith_fixed_run *run);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
