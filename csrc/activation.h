// sigmoid and tanh of one vector in float32; the bounds here are the ones that tests/ops/test_cpu.py checks.
#pragma once

#include "simd.h"

namespace GATESMITH_TARGET {

// e^-x. Range: |x| <= 87.3. Error: 1 ulp.
inline Vector exponential_of_negative(Vector x) {
    // -x = n ln 2 - r with |r| <= ln 2 / 2; adding and subtracting 1.5 * 2^23 rounds to a whole number.
    Vector magic = broadcast(12582912.0f);
    Vector n = fma(x, broadcast(-0x1.715476p+0f), magic) - magic;
    Vector r = fma(n, broadcast(0x1.63p-1f), x);
    r = fma(n, broadcast(-0x1.bd0106p-13f), r);
    // Minimax polynomial of e^-r, relative error 3e-9 in exact arithmetic.
    Vector p = broadcast(0x1.6a2350p-10f);
    p = fma(p, r, broadcast(-0x1.123a6cp-7f));
    p = fma(p, r, broadcast(0x1.5558f4p-5f));
    p = fma(p, r, broadcast(-0x1.555490p-3f));
    p = fma(p, r, broadcast(0x1.fffffcp-2f));
    p = fma(p, r, broadcast(-1.0f));
    p = fma(p, r, broadcast(1.0f));
    return scale(p, n);
}

// 1 / (1 + e^-x). Range: all of float32; below -87 the result stays at 1.6e-38, where the true one is
// smaller. Error: 3 ulp above that, NaN for NaN.
inline Vector sigmoid(Vector x) {
    Vector one = broadcast(1.0f);
    return divide(one, one + exponential_of_negative(clamp(x, 87.0f)));
}

// Range: all of float32. Error: 7 ulp, never beyond [-1, 1], odd, NaN for NaN.
inline Vector tanh(Vector x) {
    // Rational minimax approximation in x^2, relative error 2e-8 in exact arithmetic; 1 in float32 beyond 9.02.
    x = clamp(x, 9.02f);
    Vector u = x * x;
    Vector p = broadcast(0x1.c9a5eep-27f);
    p = fma(p, u, broadcast(0x1.595634p-16f));
    p = fma(p, u, broadcast(0x1.c9f8c2p-9f));
    p = fma(p, u, broadcast(0x1.120450p-3f));
    p = fma(p, u, broadcast(1.0f));
    Vector q = broadcast(0x1.a0b9d2p-21f);
    q = fma(q, u, broadcast(0x1.584262p-12f));
    q = fma(q, u, broadcast(0x1.a7df58p-6f));
    q = fma(q, u, broadcast(0x1.de5770p-2f));
    q = fma(q, u, broadcast(1.0f));
    return clamp(divide(x * p, q), 1.0f);
}

}  // namespace GATESMITH_TARGET
