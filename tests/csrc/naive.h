// The LSTM and its gradients as plain loops in double precision: what the kernel's tests compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace naive {

using Doubles = std::vector<double>;

// One direction of one layer. Arrays are dense: x [T][N][D], states [N][H], gates [T][N][4][H].
struct Cell {
    int64_t T, N, D, H;
    bool reverse;
    std::vector<int64_t> lengths;
    Doubles w_ih, w_hh, b;
    Doubles x, h0, c0;
    Doubles y, h_n, c_n, gates, c;
    Doubles dy, dh_n, dc_n;
    Doubles dx, dh0, dc0, dw_ih, dw_hh, db;

    int64_t time(int64_t n, int64_t step) const { return reverse ? lengths[n] - 1 - step : step; }
    double *at(Doubles &array, int64_t t, int64_t n, int64_t width) const { return &array[(t * N + n) * width]; }

    void forward() {
        y.assign(T * N * H, 0), c.assign(T * N * H, 0), gates.assign(T * N * 4 * H, 0);
        h_n = h0, c_n = c0;
        for (int64_t n = 0; n < N; ++n)
            for (int64_t step = 0; step < lengths[n]; ++step) forward_step(n, time(n, step));
    }

    void backward() {
        dx.assign(T * N * D, 0), dh0 = dh_n, dc0 = dc_n;
        dw_ih.assign(4 * H * D, 0), dw_hh.assign(4 * H * H, 0), db.assign(4 * H, 0);
        for (int64_t n = 0; n < N; ++n)
            for (int64_t step = lengths[n] - 1; step >= 0; --step) backward_step(n, step);
    }

private:
    static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

    void forward_step(int64_t n, int64_t t) {
        double *h = &h_n[n * H], *state = &c_n[n * H], *gate = at(gates, t, n, 4 * H);
        for (int64_t row = 0; row < 4 * H; ++row) {
            double z = b[row];
            for (int64_t k = 0; k < D; ++k) z += w_ih[row * D + k] * at(x, t, n, D)[k];
            for (int64_t k = 0; k < H; ++k) z += w_hh[row * H + k] * h[k];
            gate[row] = row / H == 2 ? std::tanh(z) : sigmoid(z);
        }
        for (int64_t j = 0; j < H; ++j) {
            state[j] = gate[H + j] * state[j] + gate[j] * gate[2 * H + j];
            at(c, t, n, H)[j] = state[j];
            at(y, t, n, H)[j] = h[j] = gate[3 * H + j] * std::tanh(state[j]);
        }
    }

    void backward_step(int64_t n, int64_t step) {
        int64_t t = time(n, step), before = step ? time(n, step - 1) : -1;
        double *gate = at(gates, t, n, 4 * H), *dh = &dh0[n * H], *dc = &dc0[n * H];
        const double *h_before = step ? at(y, before, n, H) : &h0[n * H];
        const double *c_before = step ? at(c, before, n, H) : &c0[n * H];
        Doubles dz(4 * H);
        for (int64_t j = 0; j < H; ++j) {
            double i = gate[j], f = gate[H + j], g = gate[2 * H + j], o = gate[3 * H + j];
            double tanh_c = std::tanh(at(c, t, n, H)[j]), dh_t = dh[j] + at(dy, t, n, H)[j];
            double dc_t = dc[j] + dh_t * o * (1 - tanh_c * tanh_c);
            dz[j] = dc_t * g * i * (1 - i);
            dz[H + j] = dc_t * c_before[j] * f * (1 - f);
            dz[2 * H + j] = dc_t * i * (1 - g * g);
            dz[3 * H + j] = dh_t * tanh_c * o * (1 - o);
            dc[j] = dc_t * f;
            dh[j] = 0;
        }
        for (int64_t row = 0; row < 4 * H; ++row) {
            db[row] += dz[row];
            for (int64_t k = 0; k < D; ++k) {
                dw_ih[row * D + k] += dz[row] * at(x, t, n, D)[k];
                at(dx, t, n, D)[k] += dz[row] * w_ih[row * D + k];
            }
            for (int64_t k = 0; k < H; ++k) {
                dw_hh[row * H + k] += dz[row] * h_before[k];
                dh[k] += dz[row] * w_hh[row * H + k];
            }
        }
    }
};

}  // namespace naive
