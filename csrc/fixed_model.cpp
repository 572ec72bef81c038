// The C interface of the integer operator: chooses the kernels of this machine, deals groups of sequences to threads.
#include "fixed_model.h"

#include <algorithm>
#include <cstring>

#include "fixed_targets.h"
#include "gatesmith.h"
#include "threads.h"

namespace gatesmith {
namespace {

const FixedKernel &kernel() {
#if defined(GATESMITH_X86_TARGETS)
    static const bool has_codes = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512ifma");
    const char *name = gatesmith_target();
    if (!std::strcmp(name, "avx512")) return has_codes ? avx512_codes::FIXED_KERNEL : avx512::FIXED_KERNEL;
    if (!std::strcmp(name, "avx2")) return avx2::FIXED_KERNEL;
#endif
    return portable::FIXED_KERNEL;
}

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

struct Task {
    const FixedKernel &kernel;
    const gatesmith_fixed_cell &cell;
    const gatesmith_fixed_run &run;
    Lanes lanes;
};

void run_share(void *context, int index, int count) {
    auto &[kernel, cell, run, lanes] = *static_cast<Task *>(context);
    char *packed = static_cast<char *>(run.workspace);
    char *scratch = packed + aligned(kernel.packed_bytes(cell, lanes)) + index * aligned(kernel.scratch_bytes(cell, lanes));
    kernel.forward(cell, lanes, run, FixedShare{packed, scratch, index, count});
}

}  // namespace
}  // namespace gatesmith

extern "C" int64_t gatesmith_fixed_workspace_bytes(const gatesmith_fixed_cell *cell, int64_t threads) {
    using namespace gatesmith;
    const auto bytes = [&](const Lanes &lanes) {
        return aligned(kernel().packed_bytes(*cell, lanes)) + threads * aligned(kernel().scratch_bytes(*cell, lanes));
    };
    // What a run will choose takes a look at every weight; memory that is not touched costs nothing.
    Lanes narrow = {}, wide = {};
    narrow.narrow = true;
    return std::max(bytes(narrow), bytes(wide));
}

extern "C" void gatesmith_fixed_forward(const gatesmith_fixed_cell *cell, const gatesmith_fixed_run *run) {
    using namespace gatesmith;
    Task task = {kernel(), *cell, *run, choose_lanes(*cell, kernel().multipliers)};
    task.kernel.pack(*cell, task.lanes, run->workspace);
    run_parallel((int)run->threads, run_share, &task);
}
