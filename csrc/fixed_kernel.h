// What the dispatcher of the integer operator hands to the kernels of one instruction set.
#pragma once

#include "fixed_model.h"
#include "fixed_lanes.h"

namespace gatesmith {

// The groups of sequences that one thread computes: first, first + stride, ... of all.
struct FixedShare {
    const void *packed;  // weights and tables
    void *scratch;       // of this thread
    int64_t first, stride;
};

// The functions of one instruction set.
struct FixedKernel {
    Multipliers multipliers;
    int64_t (*packed_bytes)(const gatesmith_fixed_cell &, const Lanes &);
    int64_t (*scratch_bytes)(const gatesmith_fixed_cell &, const Lanes &);
    void (*pack)(const gatesmith_fixed_cell &, const Lanes &, void *packed);
    void (*forward)(const gatesmith_fixed_cell &, const Lanes &, const gatesmith_fixed_run &, const FixedShare &);
};

}  // namespace gatesmith
