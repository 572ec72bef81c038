// One vector type with the few operations that the kernels need, chosen by the instruction set being compiled for.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// GATESMITH_TARGET names the namespace of one compilation, so that all of them live in one library.
namespace GATESMITH_TARGET {

// GATESMITH_TILE_ROWS makes smaller tiles, which the sanitizer builds need to compile in time.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

#if defined(GATESMITH_TILE_ROWS)
constexpr int TILE_ROWS = GATESMITH_TILE_ROWS;
#elif defined(__AVX512F__)
constexpr int TILE_ROWS = 6;  // 6 x 4 accumulators, 4 weights and a broadcast fill 29 of 32 registers
#elif defined(__AVX2__)
constexpr int TILE_ROWS = 3;  // 3 x 4 accumulators, 3 broadcasts and a weight fill 16 of 16 registers
#elif defined(__ARM_NEON)
constexpr int TILE_ROWS = 6;
#else
constexpr int TILE_ROWS = 2;
#endif

constexpr int GATE_COUNT = 4;
constexpr int BLOCK = GATE_COUNT * LANES;  // floats of one row of a panel: gates i, f, g, o of LANES units

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t IntVector __attribute__((vector_size(4 * LANES)));

inline Vector broadcast(float value) {
#if defined(__AVX512F__)
    return (Vector)_mm512_set1_ps(value);
#elif defined(__AVX2__)
    return (Vector)_mm256_set1_ps(value);
#else
    return Vector{value, value, value, value};
#endif
}

inline Vector load(const float *from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float *to, Vector v) { std::memcpy(to, &v, sizeof v); }

// a * b + c, rounded once where the machine can.
inline Vector fma(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
    return (Vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (Vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON)
    return (Vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// The first `count` lanes; the rest is zero and its memory is not touched.
inline Vector load_part(const float *from, int64_t count) {
    if (count >= LANES) return load(from);
#if defined(__AVX512F__)
    return (Vector)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
    float lanes[LANES] = {};
    for (int64_t j = 0; j < count; ++j) lanes[j] = from[j];
    return load(lanes);
#endif
}

inline void store_part(float *to, Vector v, int64_t count) {
    if (count >= LANES) return store(to, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)v);
#else
    float lanes[LANES];
    store(lanes, v);
    for (int64_t j = 0; j < count; ++j) to[j] = lanes[j];
#endif
}

// Lanes of `v` limited to [-limit, limit]; a NaN stays one.
inline Vector clamp(Vector v, float limit) {
#if defined(__AVX512F__)
    __m512 bound = _mm512_set1_ps(limit), low = _mm512_set1_ps(-limit);
    __mmask16 all = 0xffff;  // the masked forms, since GCC 12 warns about its own header for the plain ones
    return (Vector)_mm512_maskz_max_ps(all, low, _mm512_maskz_min_ps(all, bound, (__m512)v));
#elif defined(__AVX2__)
    __m256 bound = _mm256_set1_ps(limit), low = _mm256_set1_ps(-limit);
    return (Vector)_mm256_max_ps(low, _mm256_min_ps(bound, (__m256)v));
#else
    Vector bound = broadcast(limit);
    v = v > bound ? bound : v;
    return v < -bound ? -bound : v;
#endif
}

// a / b to 2 ulp. Range of b: [1.2e-38, 8e37].
inline Vector divide(Vector a, Vector b) {
#if defined(__AVX512F__)
    // One step of Newton's from 14 bits takes half the time of a division.
    Vector r = (Vector)_mm512_maskz_rcp14_ps((__mmask16)0xffff, (__m512)b);
    r = fma(r, fma(-b, r, broadcast(1.0f)), r);
    return a * r;
#else
    return a / b;
#endif
}

// v * 2^n for whole n in [-126, 127].
inline Vector scale(Vector v, Vector n) {
#if defined(__AVX512F__)
    return (Vector)_mm512_maskz_scalef_ps((__mmask16)0xffff, (__m512)v, (__m512)n);
#else
    IntVector bits = (__builtin_convertvector(n, IntVector) + 127) << 23;
    return v * (Vector)bits;
#endif
}

// Lanes of a and b by turns, from the first half of each (HALF = 0) or the second (1).
template <int HALF, std::size_t... LANE>
inline Vector interleave(Vector a, Vector b, std::index_sequence<LANE...>) {
    return __builtin_shufflevector(a, b, ((LANE % 2) * LANES + LANE / 2 + HALF * LANES / 2)...);
}

// rows[j][k] becomes rows[k][j]: each round halves how far an element is from its place.
inline void transpose(Vector (&rows)[LANES]) {
    constexpr auto lanes = std::make_index_sequence<LANES>();
    for (int round = 1; round < LANES; round *= 2) {
        Vector mixed[LANES];
#pragma GCC unroll 8
        for (int j = 0; j < LANES / 2; ++j) {
            mixed[2 * j] = interleave<0>(rows[j], rows[j + LANES / 2], lanes);
            mixed[2 * j + 1] = interleave<1>(rows[j], rows[j + LANES / 2], lanes);
        }
#pragma GCC unroll 16
        for (int j = 0; j < LANES; ++j) rows[j] = mixed[j];
    }
}

}  // namespace GATESMITH_TARGET
