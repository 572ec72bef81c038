// What the variants' kernels compute on vectors: activations with slopes, clips, normalisations, products of block arrays.
#pragma once

#include <cmath>

#include "activation.h"
#include "microkernel.h"
#include "variant.h"

namespace GATESMITH_TARGET {

using gatesmith::VariantShape;

// The first `count` lanes, the rest zero.
inline Vector first_lanes(Vector v, int64_t count) {
    if (count >= LANES) return v;
#if defined(__AVX512F__)
    return (Vector)_mm512_maskz_mov_ps((__mmask16)((1u << count) - 1), (__m512)v);
#else
    float lanes[LANES];
    store(lanes, v);
    return load_part(lanes, count);
#endif
}

inline Vector absolute(Vector v) { return v < 0.0f ? -v : v; }

// A bound of 0 is none.
inline Vector clip(Vector v, float bound) { return bound > 0 ? clamp(v, bound) : v; }
inline Vector open_where_clip(Vector v, float bound) {
    return absolute(v) > broadcast(bound) ? broadcast(0.0f) : broadcast(1.0f);
}

template <class F>
inline Vector for_each_lane(Vector x, const F &f) {
    for (int j = 0; j < LANES; ++j) x[j] = f(x[j]);
    return x;
}

// The functions that few cells have. Comparisons are such that a NaN stays one.
[[gnu::noinline]] inline Vector activate_rarely(const gatesmith_activation &a, Vector x) {
    Vector zero = {}, one = broadcast(1.0f), alpha = broadcast(a.alpha), beta = broadcast(a.beta);
    switch (a.function) {
    case GATESMITH_RELU: return x <= zero ? zero : x;
    case GATESMITH_AFFINE: return alpha * x + beta;
    case GATESMITH_LEAKY_RELU: return x >= zero ? x : alpha * x;
    case GATESMITH_THRESHOLDED_RELU: return x <= alpha ? zero : x;
    case GATESMITH_SCALED_TANH: return alpha * tanh(beta * x);
    case GATESMITH_HARD_SIGMOID: {
        Vector line = alpha * x + beta;
        line = line < zero ? zero : line;
        return line > one ? one : line;
    }
    case GATESMITH_ELU: {
        Vector below = for_each_lane(x, [](float v) { return std::expm1(v > 0 ? 0.0f : v); });
        return x > zero ? x : alpha * below;
    }
    case GATESMITH_SOFTSIGN: return x / (one + absolute(x));
    default: return for_each_lane(x, [](float v) { return (v > 0 ? v : 0.0f) + std::log1p(std::exp(-std::fabs(v))); });
    }
}

[[gnu::noinline]] inline Vector slope_rarely(const gatesmith_activation &a, Vector x) {
    Vector zero = {}, one = broadcast(1.0f), alpha = broadcast(a.alpha), beta = broadcast(a.beta);
    switch (a.function) {
    case GATESMITH_RELU: return x > zero ? one : zero;
    case GATESMITH_AFFINE: return alpha;
    case GATESMITH_LEAKY_RELU: return x > zero ? one : alpha;
    case GATESMITH_THRESHOLDED_RELU: return x <= alpha ? zero : one;
    case GATESMITH_SCALED_TANH: {
        Vector t = tanh(beta * x);
        return alpha * beta * (one - t * t);
    }
    case GATESMITH_HARD_SIGMOID: {
        Vector line = alpha * x + beta;
        Vector above = line > zero ? alpha : zero;
        return line < one ? above : zero;
    }
    case GATESMITH_ELU: {
        Vector below = for_each_lane(x, [](float v) { return std::exp(v > 0 ? 0.0f : v); });
        return x > zero ? one : alpha * below;
    }
    case GATESMITH_SOFTSIGN: {
        Vector under = one + absolute(x);
        return one / (under * under);
    }
    default: return sigmoid(x);
    }
}

inline Vector activate(const gatesmith_activation &a, Vector x) {
    if (a.function == GATESMITH_SIGMOID) return sigmoid(x);
    if (a.function == GATESMITH_TANH) return tanh(x);
    return activate_rarely(a, x);
}

// dy/dx where y = activate(a, x); at a kink as PyTorch has it.
inline Vector slope(const gatesmith_activation &a, Vector x, Vector y) {
    Vector one = broadcast(1.0f);
    if (a.function == GATESMITH_SIGMOID) return y * (one - y);
    if (a.function == GATESMITH_TANH) return one - y * y;
    return slope_rarely(a, x);
}

// One row of a block array, or some gates of it.
struct Lanes {
    float *data;
    int64_t stride;  // from panel to panel
    unsigned gates;  // which vectors of a panel, as bits
};

// Calls f(vector's address, panel, gate, lanes in use) for every vector of a row.
template <class F>
inline void for_vectors(const VariantShape &shape, const Lanes &row, const F &f) {
    for (int64_t panel = 0; panel < shape.panels(); ++panel)
        for (int64_t gate = 0; gate < GATE_COUNT; ++gate)
            if (row.gates >> gate & 1)
                f(row.data + panel * row.stride + gate * LANES, panel, gate, shape.hidden - panel * LANES);
}

inline float sum_of_lanes(Vector v) {
    double sum = 0;
    for (int j = 0; j < LANES; ++j) sum += v[j];
    return (float)sum;
}

inline float count_of(const VariantShape &shape, const Lanes &row) {
    return (float)(shape.hidden * __builtin_popcount(row.gates));
}

// Zero mean and unit variance over a row, in place; returns one over the standard deviation.
inline float normalise(const VariantShape &shape, const Lanes &row) {
    constexpr float EPSILON = 1e-5f;  // NORM_EPSILON of spec.py
    Vector sum = {}, squares = {};
    for_vectors(shape, row, [&](float *at, int64_t, int64_t, int64_t lanes) { sum += first_lanes(load(at), lanes); });
    Vector mean = broadcast(sum_of_lanes(sum) / count_of(shape, row));
    for_vectors(shape, row, [&](float *at, int64_t, int64_t, int64_t lanes) {
        Vector centred = first_lanes(load(at) - mean, lanes);
        squares = fma(centred, centred, squares);
        store(at, centred);
    });
    float scale = 1.0f / std::sqrt(sum_of_lanes(squares) / count_of(shape, row) + EPSILON);
    for_vectors(shape, row, [&](float *at, int64_t, int64_t, int64_t) { store(at, load(at) * broadcast(scale)); });
    return scale;
}

// The gradient of what was normalised from that of gain * unit + shift, in place; `unit` and `gain` as the row.
inline void normalise_gradient(const VariantShape &shape, const Lanes &row, const float *unit, int64_t unit_stride,
                               const float *gain, int64_t gain_stride, float scale) {
    Vector sum = {}, product = {};
    auto unit_at = [&](int64_t panel, int64_t gate) { return load(unit + panel * unit_stride + gate * LANES); };
    for_vectors(shape, row, [&](float *at, int64_t panel, int64_t gate, int64_t) {
        Vector d = load(at) * load(gain + panel * gain_stride + gate * LANES);
        sum += d;
        product = fma(d, unit_at(panel, gate), product);
        store(at, d);
    });
    Vector mean = broadcast(sum_of_lanes(sum) / count_of(shape, row));
    Vector mean_product = broadcast(sum_of_lanes(product) / count_of(shape, row));
    for_vectors(shape, row, [&](float *at, int64_t panel, int64_t gate, int64_t lanes) {
        Vector d = load(at) - mean - unit_at(panel, gate) * mean_product;
        store(at, first_lanes(broadcast(scale) * d, lanes));
    });
}

// sums += a b for rows of a that lie in `pieces` pieces of `depth` floats, `stride` apart.
template <int ROWS, int VECTORS>
[[gnu::always_inline]] inline void add_pieces(Sums<ROWS, VECTORS> &sums, const float *const *a, int64_t depth,
                                              int64_t stride, int64_t pieces, const float *b) {
    const float *rows[ROWS];
    for (int m = 0; m < ROWS; ++m) rows[m] = a[m];
    for (int64_t piece = 0; piece < pieces; ++piece) {
        add_rows<ROWS, VECTORS>(sums, rows, depth, b, VECTORS * LANES);
        for (int m = 0; m < ROWS; ++m) rows[m] += stride;
        b += depth * VECTORS * LANES;
    }
}

template <class F>
[[gnu::always_inline]] inline void for_tiles(int64_t rows, const F &f) {
    for (int64_t first = 0; first < rows;) {
        int tile = next_tile(rows - first);
        with_rows(tile, [&]<int ROWS>() { f.template operator()<ROWS>(first); });
        first += tile;
    }
}

// Calls f<ROWS, VECTORS>(first, block) for tiles of rows and column blocks of up to four of `vectors` vectors.
template <class F>
[[gnu::always_inline]] inline void for_blocks(int64_t rows, int64_t first_block, int64_t last_block, int64_t vectors,
                                              const F &f) {
    for (int64_t block = first_block; block < last_block; ++block) {
        for_tiles(rows, [&]<int ROWS>(int64_t first) {
            switch (vectors - 4 * block) {
            case 1: return f.template operator()<ROWS, 1>(first, block);
            case 2: return f.template operator()<ROWS, 2>(first, block);
            case 3: return f.template operator()<ROWS, 3>(first, block);
            default: return f.template operator()<ROWS, 4>(first, block);
            }
        });
    }
}

}  // namespace GATESMITH_TARGET
