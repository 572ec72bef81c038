// Products of a tile of rows with four vectors of packed weights, with all sums in registers.
//
// Every sum runs over k in ascending order in one accumulator, whatever the tile: a row's bits don't depend on the rows
// beside it.
#pragma once

#include "simd.h"

namespace GATESMITH_TARGET {

template <int ROWS, int VECTORS>
using Sums = Vector[ROWS][VECTORS];

// Loops that choose a sum at run time read it from memory: they get a copy, so that the products keep theirs in registers.
template <int ROWS, int VECTORS>
[[gnu::always_inline]] inline void copy(Sums<ROWS, VECTORS> &to, const Sums<ROWS, VECTORS> &from) {
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) to[m][v] = from[m][v];
    }
}

// sums[m][v] = rows[m][v], whose rows are `stride` floats apart.
template <int ROWS, int VECTORS>
[[gnu::always_inline]] inline void load_sums(Sums<ROWS, VECTORS> &sums, const float *rows, int64_t stride) {
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; ++m) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) sums[m][v] = load(rows + m * stride + v * LANES);
    }
}

constexpr int64_t LINE = 16;  // floats of a line of the cache

// How near a line that is asked for ahead shall come.
enum { NOT_AT_ALL = 0, INTO_L2 = 2, INTO_L1 = 3 };

// sums[m][v] += a[m][start + k] * b[k][v] for k < depth; a row of b is `b_stride` floats. Meanwhile may ask for one line
// of `ahead` for each k: what will be read next.
template <int ROWS, int VECTORS, int HINT = NOT_AT_ALL>
[[gnu::always_inline]] inline void add_rows(Sums<ROWS, VECTORS> &sums, const float *const *a, int64_t depth,
                                            const float *b, int64_t b_stride,
                                            [[maybe_unused]] const float *ahead = nullptr, int64_t start = 0) {
    const float *rows[ROWS];
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; ++m) rows[m] = a[m];
    for (int64_t k = start; k < start + depth; ++k, b += b_stride) {
        if constexpr (HINT != NOT_AT_ALL) __builtin_prefetch(ahead + (k - start) * LINE, 0, HINT);
        Vector weights[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) weights[v] = load(b + v * LANES);
#pragma GCC unroll 8
        for (int m = 0; m < ROWS; ++m) {
            Vector value = broadcast(rows[m][k]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) sums[m][v] = fma(value, weights[v], sums[m][v]);
        }
    }
}

// The same with a transposed: sums[m][v] += a[k * a_stride + m] * b[k][v].
template <int ROWS, int VECTORS>
[[gnu::always_inline]] inline void add_columns(Sums<ROWS, VECTORS> &sums, const float *a, int64_t a_stride,
                                               int64_t depth, const float *b, int64_t b_stride) {
    for (int64_t k = 0; k < depth; ++k, a += a_stride, b += b_stride) {
        Vector weights[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) weights[v] = load(b + v * LANES);
#pragma GCC unroll 8
        for (int m = 0; m < ROWS; ++m) {
            Vector value = broadcast(a[m]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) sums[m][v] = fma(value, weights[v], sums[m][v]);
        }
    }
}

// Rows of the next tile when `rows` are left, so that the tiles of one group differ by at most one row.
inline int next_tile(int64_t rows) {
    int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    return (int)((rows + tiles - 1) / tiles);
}

// Calls f with the tile size as a compile-time constant.
template <int ROWS = TILE_ROWS, class F>
[[gnu::always_inline]] inline void with_rows(int rows, const F &f) {
    if constexpr (ROWS == 1) {
        f.template operator()<1>();
    } else {
        rows == ROWS ? f.template operator()<ROWS>() : with_rows<ROWS - 1>(rows, f);
    }
}

}  // namespace GATESMITH_TARGET
