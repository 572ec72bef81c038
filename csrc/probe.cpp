// Element-wise functions for tests, the limits of the machine for benchmarks, and this instruction set's table.
#include <algorithm>
#include <chrono>

#include "activation.h"
#include "kernel.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

void pack(const CellShape &, const gatesmith_cell &, float *, int64_t, int64_t);
void pack_backward(const CellShape &, const gatesmith_cell &, float *, int, int);
int64_t forward_scratch_bytes(const CellShape &, int64_t);
void forward(const CellForward &, const Share &);
void backward(const CellBackward &, const Share &);
void variant_pack(const VariantShape &, const gatesmith_cell &, const VariantWeights &, int, int);
void variant_pack_transposed(const VariantShape &, const gatesmith_cell &, const VariantTransposed &, int, int);
int64_t variant_scratch_bytes(const VariantShape &, int64_t);
void variant_forward(const VariantForward &, const Share &);
void variant_backward(const VariantBackward &, const Share &);

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void map(Vector (*f)(Vector), const float *x, float *y, int64_t count) {
    for (int64_t k = 0; k < count; k += LANES) store_part(y + k, f(load_part(x + k, count - k)), count - k);
}

void map_sigmoid(const float *x, float *y, int64_t count) {
    map([](Vector v) { return sigmoid(v); }, x, y, count);
}

void map_tanh(const float *x, float *y, int64_t count) {
    map([](Vector v) { return tanh(v); }, x, y, count);
}

// FLOP/s of twelve independent chains of fused multiply-adds: the best of ten trials of about 10 ms.
double measure_flops() {
    constexpr int CHAINS = 12;
    constexpr int64_t ROUNDS = 1'000'000;
    Vector sums[CHAINS];
    for (int k = 0; k < CHAINS; ++k) sums[k] = broadcast((float)k);  // unlike each other, or they would be merged
    Vector factor = broadcast(0.999f), term = broadcast(0.001f);
    double best = 0;
    for (int trial = 0; trial < 10; ++trial) {
        auto start = std::chrono::steady_clock::now();
        for (int64_t round = 0; round < ROUNDS; ++round) {
#pragma GCC unroll 12
            for (int k = 0; k < CHAINS; ++k) sums[k] = fma(sums[k], factor, term);
        }
        best = std::max(best, 2.0 * LANES * CHAINS * ROUNDS / seconds_since(start));
        volatile float used = 0;
        for (const Vector &sum : sums) used = used + sum[0];
    }
    return best;
}

// Bytes/s of reading `floats` floats front to back: the best of ten trials of at least 20 MB.
double measure_bandwidth(const float *memory, int64_t floats) {
    int64_t passes = 5'000'000 / floats + 1;
    double best = 0;
    for (int trial = 0; trial < 10; ++trial) {
        auto start = std::chrono::steady_clock::now();
        for (int64_t pass = 0; pass < passes; ++pass) {
            Vector sums[4] = {};
            for (int64_t k = 0; k + 4 * LANES <= floats; k += 4 * LANES)
                for (int v = 0; v < 4; ++v) sums[v] += load(memory + k + v * LANES);
            for (int v = 0; v < 4; ++v) asm volatile("" : : "x"(sums[v]) : "memory");
        }
        best = std::max(best, 4.0 * floats * passes / seconds_since(start));
    }
    return best;
}

}  // namespace

#define GATESMITH_STRING_OF(name) #name
#define GATESMITH_STRING(name) GATESMITH_STRING_OF(name)

extern const Target TARGET;
const Target TARGET = {
    GATESMITH_STRING(GATESMITH_TARGET),
    LANES,
    TILE_ROWS,
    pack,
    pack_backward,
    forward_scratch_bytes,
    forward,
    backward,
    variant_pack,
    variant_pack_transposed,
    variant_scratch_bytes,
    variant_forward,
    variant_backward,
    map_sigmoid,
    map_tanh,
    measure_flops,
    measure_bandwidth,
};

}  // namespace GATESMITH_TARGET
