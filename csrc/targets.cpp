// Chooses the best instruction set of this machine once, when the library is loaded.
#include <cstring>

#include "kernel.h"

#if defined(GATESMITH_X86_TARGETS)
namespace avx512 {
extern const gatesmith::Target TARGET;
}
namespace avx2 {
extern const gatesmith::Target TARGET;
}
#endif
namespace portable {
extern const gatesmith::Target TARGET;
}

namespace gatesmith {
namespace {

const Target *find(const char *name) {
#if defined(GATESMITH_X86_TARGETS)
    __builtin_cpu_init();
    bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx512 && (!name || !std::strcmp(name, "avx512"))) return &avx512::TARGET;
    if (has_avx2 && (!name || !std::strcmp(name, "avx2"))) return &avx2::TARGET;
#endif
    return !name || !std::strcmp(name, "portable") ? &portable::TARGET : nullptr;
}

const Target *chosen = find(nullptr);

}  // namespace

const Target &target() { return *chosen; }

}  // namespace gatesmith

extern "C" const char *gatesmith_target(void) { return gatesmith::chosen->name; }

extern "C" int gatesmith_set_target(const char *name) {
    const gatesmith::Target *found = gatesmith::find(name);
    if (found) gatesmith::chosen = found;
    return found != nullptr;
}
