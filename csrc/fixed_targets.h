// The integer kernels of every instruction set that was compiled, each in the namespace of its target.
#pragma once

#include "fixed_kernel.h"

#if defined(GATESMITH_X86_TARGETS)
namespace avx512_codes {  // avx512 with the instructions for short integers and for tables of bytes
extern const gatesmith::FixedKernel FIXED_KERNEL;
}
namespace avx512 {
extern const gatesmith::FixedKernel FIXED_KERNEL;
}
namespace avx2 {
extern const gatesmith::FixedKernel FIXED_KERNEL;
}
#endif
namespace portable {
extern const gatesmith::FixedKernel FIXED_KERNEL;
}
