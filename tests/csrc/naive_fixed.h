// The integer operator as plain loops, written from docs/fixed-point.md: what the test of its kernels compares with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "fixed_model.h"

namespace naive {

using Integers = std::vector<int64_t>;

// floor((v + 2^(s - 1)) / 2^s), or v * 2^-s: a signed shift to the right rounds down.
inline int64_t round_shift(int64_t v, int64_t s) {
    return s > 0 ? (v + ((int64_t)1 << (s - 1))) >> s : v * ((int64_t)1 << -s);
}

inline int64_t saturate(int64_t v, int64_t w) {
    const int64_t half = (int64_t)1 << (w - 1);
    return std::min(std::max(v, -half), half - 1);
}

inline int64_t clip(int64_t v, int64_t bound) { return bound ? std::min(std::max(v, -bound), bound) : v; }

// One cell. What it needs of a run is the same as the kernels need, but for order, threads and workspace.
class FixedCell {
public:
    explicit FixedCell(const gatesmith_fixed_cell &formats) : f(formats) {}

    void forward(const gatesmith_fixed_run &run) const {
        for (int64_t n = 0; n < run.batch; ++n) {
            const int64_t *h0 = run.h0 + n * f.output_size, *c0 = run.c0 + n * f.hidden_size;
            Integers h(h0, h0 + f.output_size), c(c0, c0 + f.hidden_size);
            uint8_t *flags = run.saturated + n * 3;
            std::fill(flags, flags + 3, 0);
            for (int64_t k = 0; k < run.lengths[n]; ++k) {
                const int64_t t = run.reverse ? run.lengths[n] - 1 - k : k;
                const int64_t *given = run.x + t * run.x_step + n * run.x_row;
                Integers x(given, given + f.input_size);
                for (int64_t &code : x) code = saturate(round_shift(code, run.x_round), f.x_width);
                step(x, h, c, flags);
                std::copy(h.begin(), h.end(), run.y + t * run.y_step + n * run.y_row);
            }
            std::copy(h.begin(), h.end(), run.h_n + n * f.output_size);
            std::copy(c.begin(), c.end(), run.c_n + n * f.hidden_size);
        }
    }

private:
    const gatesmith_fixed_cell &f;

    void step(const Integers &x, Integers &h, Integers &c, uint8_t *flags) const {
        Integers emitted(f.hidden_size);
        for (int64_t u = 0; u < f.hidden_size; ++u) {
            const int64_t i = gate(u, 0, x, h, c[u], flags), forget = gate(u, 1, x, h, c[u], flags);
            const int64_t g = gate(u, 2, x, h, c[u], flags);
            const int64_t sum = (forget * c[u] << std::max<int64_t>(0, f.a_frac - f.c_frac)) +
                (i * g << std::max<int64_t>(0, f.c_frac - f.a_frac));
            const int64_t wide = round_shift(sum, std::max(2 * f.a_frac, f.a_frac + f.c_frac) - f.c_frac);
            c[u] = clip(kept(wide, f.c_width, f.c_clip ? nullptr : flags + 1), f.c_clip);
            const int64_t o = gate(u, 3, x, h, c[u], flags);
            const int64_t zc = kept(round_shift(c[u], f.c_frac - f.z_frac), f.z_width, flags);
            const int64_t tanh = activation(f.cell_value, f.cell_slope, 0, zc);
            emitted[u] = kept(round_shift(o * tanh, 2 * f.a_frac - f.h_frac), f.h_width, flags + 2);
        }
        h = f.projected ? projection(emitted, flags) : emitted;
    }

    // Saturated; the flag, where there is one, says that it changed the value.
    static int64_t kept(int64_t wide, int64_t width, uint8_t *flag) {
        const int64_t narrow = saturate(wide, width);
        if (flag && narrow != wide) *flag = 1;
        return narrow;
    }

    int64_t gate(int64_t u, int64_t k, const Integers &x, const Integers &h, int64_t c, uint8_t *flags) const {
        const int64_t row = 4 * u + k;
        int64_t sum = f.b[row], fraction = f.acc_frac;
        for (int64_t d = 0; d < f.input_size; ++d) sum += f.w_ih[row * f.input_size + d] * (x[d] << f.x_shift);
        for (int64_t j = 0; j < f.output_size; ++j) sum += f.w_hh[row * f.output_size + j] * (h[j] << f.h_shift);
        if (f.peepholes >> k & 1) {
            const int64_t product = f.p[row] * c, product_frac = f.p_frac + f.c_frac;
            fraction = std::max(f.acc_frac, product_frac);
            sum = (sum << (fraction - f.acc_frac)) + (product << (fraction - product_frac));
        }
        const int64_t z = kept(round_shift(sum, fraction - f.z_frac), f.z_width, f.z_clip ? nullptr : flags);
        if (k == 2) return activation(f.candidate_value, f.candidate_slope, 0, z);
        return activation(f.gate_value, f.gate_slope, (int64_t)1 << f.a_frac, z);
    }

    int64_t activation(const int64_t *value, const int64_t *slope, int64_t offset, int64_t z) const {
        const int64_t segment_bits = f.z_width - 1 - f.table_bits;
        const int64_t m = std::min(std::abs(z), ((int64_t)1 << (f.z_width - 1)) - 1), k = m >> segment_bits;
        const int64_t rest = m & (((int64_t)1 << segment_bits) - 1);
        const int64_t positive = value[k] + round_shift(slope[k] * rest, segment_bits);
        return z < 0 ? offset - positive : positive;
    }

    Integers projection(const Integers &h, uint8_t *flags) const {
        Integers r(f.output_size);
        for (int64_t k = 0; k < f.output_size; ++k) {
            int64_t sum = f.b_hr[k];
            for (int64_t u = 0; u < f.hidden_size; ++u) sum += f.w_hr[k * f.hidden_size + u] * h[u];
            r[k] = clip(kept(round_shift(sum, f.r_round), f.y_width, f.r_clip ? nullptr : flags + 2), f.r_clip);
        }
        return r;
    }
};

}  // namespace naive
