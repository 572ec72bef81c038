/* The compiled LSTM operator: a plain C interface, float32, callable from any language and any number of threads.
 *
 * The caller owns all memory and asks for sizes first; nothing here allocates or throws once the threads are up.
 * Letters: T steps, N batch, D input_size, H hidden_size, L layers; gates i, f, g, o in that order.
 * A cell is one direction of one layer; cells are ordered as PyTorch's states: layer 0 forward, layer 0 reverse, ...
 * Arrays are dense and row-major unless strides are given; pointers need the alignment of float, except packed
 * weights, tapes and workspaces, which need 64 bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* ONNX's activation functions; alpha and beta as ONNX defines them for each. */
enum {
    GATESMITH_SIGMOID,
    GATESMITH_TANH,
    GATESMITH_RELU,
    GATESMITH_AFFINE,
    GATESMITH_LEAKY_RELU,
    GATESMITH_THRESHOLDED_RELU,
    GATESMITH_SCALED_TANH,
    GATESMITH_HARD_SIGMOID,
    GATESMITH_ELU,
    GATESMITH_SOFTSIGN,
    GATESMITH_SOFTPLUS
};
typedef struct {
    int64_t function;
    float alpha, beta;
} gatesmith_activation;

enum { GATESMITH_GATE_I = 1, GATESMITH_GATE_F = 2, GATESMITH_GATE_G = 4, GATESMITH_GATE_O = 8 };
enum { GATESMITH_NO_NORM = 0, GATESMITH_NORM_GATES_AND_CELL = 1, GATESMITH_NORM_INPUTS_AND_CELL = 2 };

/* How a cell differs from the plain one; what each feature computes stands in docs/variants.md. */
typedef struct {
    int64_t proj_size;      /* R of a projection, 0 for none: then R is H */
    int64_t peepholes;      /* GATESMITH_GATE_* of the gates with a diagonal peephole */
    int64_t full_peepholes; /* of those with a matrix */
    int64_t derived_gate;   /* the gate that is one minus its partner: GATESMITH_GATE_I, GATESMITH_GATE_F or 0 */
    int64_t layer_norm;     /* GATESMITH_NORM_* or GATESMITH_NO_NORM */
    int64_t drop_states;    /* whether sequences shorter than T report zero states */
    int64_t residual;       /* whether layers above the first add their input to their output */
    float gate_clip, cell_clip, proj_clip; /* 0 for none */
    float forget_bias;
    float zoneout_h, zoneout_c;              /* shares of the old state that evaluation keeps, where no mask is given */
    gatesmith_activation activations[2][3];  /* of each direction: of the gates, the candidate, the output */
} gatesmith_variant;

/* What training draws for one cell; each may be null. */
typedef struct {
    const float *hidden; /* [N, R] factors of h_{t-1} */
    const float *keep_h; /* [T, N, R] 1 where the old h is kept, else 0 */
    const float *keep_c; /* [T, N, H] */
} gatesmith_noise;

/* What an LSTM is. */
typedef struct {
    int64_t input_size;  /* D of layer 0; later layers read directions * R */
    int64_t hidden_size; /* H */
    int64_t num_layers;  /* L */
    int64_t directions;  /* 1 or 2 */
    int64_t reverse;     /* with one direction: whether it runs from the last valid step to the first */
    const gatesmith_variant *variant; /* null for the plain cell, where R is H */
} gatesmith_spec;

/* The parameters of one cell, or their gradients. A null bias counts as zero, a null gradient is not written. */
typedef struct {
    float *w_ih;   /* [4H, layer input size] */
    float *w_hh;   /* [4H, R] */
    float *b;      /* [4H] or null */
    float *b_also; /* [4H] or null: a second bias that is added to the first, as in PyTorch */
    /* of variants only, null where they have none */
    float *peepholes[3];               /* of i, f, o: [H] or [H, H] */
    float *w_hr, *b_hr;                /* [R, H], [R] */
    float *norm_gain[3], *norm_shift[3]; /* of the gates or of W_ih x [4H]; of W_hh h [4H]; of the cell [H] */
} gatesmith_cell;

/* One run. Fields that a function doesn't name may be null. */
typedef struct {
    gatesmith_spec spec;
    int64_t steps;          /* T >= 0 */
    int64_t batch;          /* N >= 0 */
    int64_t threads;        /* at most this many; the workspace grows with it */
    const int64_t *lengths; /* [N] valid steps of each sequence, 0 to T; null for all T */
    const float *x;         /* x[t * x_step + n * x_row + d] */
    int64_t x_step, x_row;
    const float *h0, *c0; /* [L * directions, N, R] and [L * directions, N, H] */
    float *y;             /* y[t * y_step + n * y_row + direction * R + j]; zero beyond a sequence's length */
    int64_t y_step, y_row;
    float *h_n, *c_n;   /* as h0 and c0 */
    const void *packed; /* gatesmith_pack's forward weights */
    void *workspace;
    void *tape;        /* null for inference: what backward needs */
    int64_t recompute; /* whether the tape keeps states only and backward computes the gates again */
    /* of variants only, in training; each may be null */
    const gatesmith_noise *noise;  /* [L * directions] */
    const float *const *dropout;   /* [L - 1] arrays [T, N, directions * R] of factors between layers */
    /* backward only */
    const void *packed_backward;
    const float *dy; /* dy[t * dy_step + n * dy_row + direction * R + j] */
    int64_t dy_step, dy_row;
    const float *dh_n, *dc_n; /* as h0 and c0, or null for zero */
    float *dx;                /* as x, or null */
    int64_t dx_step, dx_row;
    float *dh0, *dc0;               /* as h0 and c0 */
    const gatesmith_cell *gradients; /* [L * directions] */
    int64_t skip; /* for profiling: GATESMITH_SKIP_* of stages to leave out, whose results are then meaningless */
} gatesmith_run;

enum {
    GATESMITH_SKIP_INPUT = 1,       /* forward: the products with x; backward: dx */
    GATESMITH_SKIP_RECURRENT = 2,   /* the products with h_{t-1}; backward: dz W_hh */
    GATESMITH_SKIP_ACTIVATIONS = 4, /* sigmoid, tanh; backward: their derivatives */
    GATESMITH_SKIP_WEIGHTS = 8,     /* backward: dW and db */
    /* of variants only */
    GATESMITH_SKIP_PEEPHOLES = 16,  /* what the gates see of c; backward: its gradient, the weights' apart */
    GATESMITH_SKIP_PROJECTION = 32  /* the product with W_hr; backward: its gradient, the weights' apart */
};

enum { GATESMITH_OK = 0, GATESMITH_TOO_LARGE = 1, GATESMITH_BAD_ARGUMENT = 2 };

/* Bytes of the packed weights, -1 where they pass the address space. */
int64_t gatesmith_packed_bytes(const gatesmith_spec *spec);
int64_t gatesmith_packed_backward_bytes(const gatesmith_spec *spec);
/* Lay the weights out for forward, or for backward. */
int gatesmith_pack(const gatesmith_spec *spec, const gatesmith_cell *cells, void *packed);
int gatesmith_pack_backward(const gatesmith_spec *spec, const gatesmith_cell *cells, void *packed);

/* Bytes of the workspace of forward (backward = 0) or backward (1), and of the tape, for the sizes in `run`. */
int64_t gatesmith_workspace_bytes(const gatesmith_run *run, int backward);
int64_t gatesmith_tape_bytes(const gatesmith_run *run);

int gatesmith_forward(const gatesmith_run *run);
/* Reads x, h0, c0, lengths, packed (where recompute), packed_backward, tape, y and the gradients of the outputs. */
int gatesmith_backward(const gatesmith_run *run);

/* Threads of one call; at most this many run at once, whoever calls. Results don't depend on it. */
void gatesmith_set_num_threads(int threads);
int gatesmith_num_threads(void);

/* Run on the threads of an OpenMP runtime that the process has anyway instead of our own, since its idle threads spin
 * for milliseconds and would hold up ours: GOMP_parallel, omp_get_thread_num and omp_get_num_threads of it, or nulls
 * for our own pool again. A forked child always uses its own. */
typedef void (*gatesmith_parallel)(void (*function)(void *), void *data, unsigned threads, unsigned flags);
void gatesmith_use_openmp(gatesmith_parallel parallel, int (*thread_num)(void), int (*num_threads)(void));

/* "avx512", "avx2" or "portable"; chosen at load, or by gatesmith_set_target, which returns 0 where it isn't there. */
const char *gatesmith_target(void);
int gatesmith_set_target(const char *name);

/* y[i] = sigmoid(x[i]), tanh(x[i]): the kernel's own, for tests. */
void gatesmith_sigmoid(const float *x, float *y, int64_t count);
void gatesmith_tanh(const float *x, float *y, int64_t count);

/* Measured limits of this machine with `threads` threads: FLOP/s of independent FMAs; bytes/s of reading `bytes`
 * per thread over and over. */
double gatesmith_measure_flops(int threads);
double gatesmith_measure_bandwidth(int threads, int64_t bytes);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
