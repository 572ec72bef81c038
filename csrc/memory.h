// Where each array of a run lies in its tape and workspace; the same code measures and assigns.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace gatesmith {

// A sequence array [T][N][features] by its strides, in floats.
struct Strided {
    float *data;
    int64_t step, row;
};

// Hands out aligned pieces of one block of memory; with a null base it only measures.
class Arena {
public:
    explicit Arena(void *base) : base_(static_cast<char *>(base)) {}

    template <class T>
    T *take(int64_t a, int64_t b = 1, int64_t c = 1, int64_t d = 1) {
        T *piece = base_ ? reinterpret_cast<T *>(base_ + (int64_t)used_) : nullptr;
        __int128 count = (__int128)a * b;  // sizes are below 2^48, so two products can't pass 2^127
        if (count < (__int128)1 << 62) count *= c;
        if (count < (__int128)1 << 62) count *= d;
        used_ += (count * (__int128)sizeof(T) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (used_ > (__int128)1 << 62) used_ = (__int128)1 << 62;
        return piece;
    }

    // Bytes taken, -1 where they pass what a machine can address.
    int64_t bytes() const { return used_ >= (__int128)1 << 47 ? -1 : (int64_t)used_; }

private:
    char *base_;
    __int128 used_ = 0;
};

int64_t valid_rows(const gatesmith_run &run);

// Steps whose rows of dz one product of the backward pass takes; they hang on N alone, as the bits of dW do.
int64_t backward_chunk_steps(const gatesmith_run &run);

// Steps that all layers of an inference run before any goes on.
int64_t layered_steps(const gatesmith_run &run);

// What forward leaves for backward, one layer of it.
struct LayerTape {
    float *c[2];
    float *gates[2];  // null where they are computed again
    float *y;         // of a layer below the last, [T][N][directions * H]
};

// The tape of layer `layer`, and the size of all of it.
LayerTape layer_tape(const gatesmith_run &run, int64_t layer);
int64_t tape_bytes(const gatesmith_run &run);

struct ForwardMemory {
    int64_t *rows, *lengths;  // [N] the sorted sequences
    int64_t chunk_steps;      // that all layers run before any goes on
    int64_t *chunk_lengths;   // [N] of the batch's rows within a chunk
    float *c[2];              // running state of one layer, of each direction
    float *h[2][2];           // of each direction, by turns
    float *hidden;            // output of every other layer below the last, a chunk of it
    char *scratch;            // of the threads
    int64_t scratch_bytes;    // of one thread
    int64_t bytes;
};

ForwardMemory forward_memory(const gatesmith_run &run);

struct DirectionMemory {
    float *dc, *dz[2], *features[2], *gates, *dpacked;
};

struct BackwardMemory {
    int64_t *rows, *lengths;
    int64_t chunk_steps;
    DirectionMemory directions[2];
    float *dx_reverse;  // the reverse direction's part of dx
    float *dhidden[2];  // gradients of the outputs of layers below the last, by turns
    int64_t bytes;
};

BackwardMemory backward_memory(const gatesmith_run &run);

}  // namespace gatesmith
