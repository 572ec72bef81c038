// The kernel against plain loops, on every instruction set of this machine, under whatever sanitizer it is built with.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "check.h"
#include "gatesmith.h"
#include "naive.h"

namespace {

constexpr double OUTPUT_TOLERANCE = 2e-6, GRADIENT_TOLERANCE = 1e-5;  // absolute; of the largest element

using Floats = std::vector<float>;
struct Case {
    int64_t T, N, D, H;
    bool reverse, ragged;
};

struct Aligned {
    explicit Aligned(int64_t bytes) : data(std::aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64)) {}
    ~Aligned() { std::free(data); }
    Aligned(const Aligned &) = delete;
    void *data;
};

// All arrays of one case; the same seed gives the same ones.
struct Problem {
    explicit Problem(const Case &sizes) : T(sizes.T), N(sizes.N), D(sizes.D), H(sizes.H), reverse(sizes.reverse) {
        std::mt19937 generator(7);
        auto draw = [&](int64_t count, float scale) {
            std::normal_distribution<float> normal(0, scale);
            Floats values(count);
            for (float &value : values) value = normal(generator);
            return values;
        };
        float weight = 1 / std::sqrt((float)H);
        w_ih = draw(4 * H * D, weight), w_hh = draw(4 * H * H, weight), b = draw(4 * H, weight);
        x = draw(T * N * D, 1), h0 = draw(N * H, 0.5f), c0 = draw(N * H, 1);
        dy = draw(T * N * H, 1), dh_n = draw(N * H, 1), dc_n = draw(N * H, 1);
        for (int64_t n = 0; n < N; ++n)
            lengths.push_back(sizes.ragged ? (int64_t)(generator() % (uint32_t)(T + 1)) : T);
    }

    int64_t T, N, D, H;
    bool reverse;
    std::vector<int64_t> lengths;
    Floats w_ih, w_hh, b, x, h0, c0, dy, dh_n, dc_n;
};

struct Results {
    Floats y, h_n, c_n, dx, dh0, dc0, dw_ih, dw_hh, db;
    bool operator==(const Results &) const = default;
};

gatesmith_cell parameters(Floats &w_ih, Floats &w_hh, Floats &b) {
    gatesmith_cell cell = {};
    cell.w_ih = w_ih.data(), cell.w_hh = w_hh.data(), cell.b = b.data();
    return cell;
}

Results run_kernel(Problem &p, int64_t threads, bool recompute) {
    gatesmith_spec spec{p.D, p.H, 1, 1, p.reverse, nullptr};
    gatesmith_cell cell = parameters(p.w_ih, p.w_hh, p.b);
    Aligned packed(gatesmith_packed_bytes(&spec)), packed_backward(gatesmith_packed_backward_bytes(&spec));
    gatesmith_pack(&spec, &cell, packed.data);
    gatesmith_pack_backward(&spec, &cell, packed_backward.data);
    constexpr float UNWRITTEN = NAN;  // whatever the kernel forgets to write fails the comparison
    Results r{Floats(p.T * p.N * p.H, UNWRITTEN), Floats(p.N * p.H, UNWRITTEN), Floats(p.N * p.H, UNWRITTEN),
              Floats(p.T * p.N * p.D, UNWRITTEN), Floats(p.N * p.H, UNWRITTEN), Floats(p.N * p.H, UNWRITTEN),
              Floats(4 * p.H * p.D, UNWRITTEN),   Floats(4 * p.H * p.H, UNWRITTEN), Floats(4 * p.H, UNWRITTEN)};
    gatesmith_cell gradients = parameters(r.dw_ih, r.dw_hh, r.db);
    gatesmith_run run = {};
    run.spec = spec, run.steps = p.T, run.batch = p.N, run.threads = threads, run.lengths = p.lengths.data();
    run.x = p.x.data(), run.x_step = p.N * p.D, run.x_row = p.D;
    run.h0 = p.h0.data(), run.c0 = p.c0.data(), run.h_n = r.h_n.data(), run.c_n = r.c_n.data();
    run.y = r.y.data(), run.y_step = p.N * p.H, run.y_row = p.H;
    run.packed = packed.data, run.packed_backward = packed_backward.data, run.recompute = recompute;
    Aligned tape(gatesmith_tape_bytes(&run));
    run.tape = tape.data;
    Aligned workspace(gatesmith_workspace_bytes(&run, 0)), more(gatesmith_workspace_bytes(&run, 1));
    run.workspace = workspace.data;
    CHECK(gatesmith_forward(&run) == GATESMITH_OK, "refused");
    run.workspace = more.data;
    run.dy = p.dy.data(), run.dy_step = p.N * p.H, run.dy_row = p.H;
    run.dh_n = p.dh_n.data(), run.dc_n = p.dc_n.data(), run.dh0 = r.dh0.data(), run.dc0 = r.dc0.data();
    run.dx = r.dx.data(), run.dx_step = p.N * p.D, run.dx_row = p.D;
    run.gradients = &gradients;
    CHECK(gatesmith_backward(&run) == GATESMITH_OK, "refused");
    return r;
}

naive::Cell run_naive(const Problem &p) {
    auto wide = [](const Floats &values) { return naive::Doubles(values.begin(), values.end()); };
    naive::Cell cell{p.T, p.N, p.D, p.H, p.reverse, p.lengths, wide(p.w_ih), wide(p.w_hh), wide(p.b), wide(p.x),
                     wide(p.h0), wide(p.c0), {}, {}, {}, {}, {}, wide(p.dy), wide(p.dh_n), wide(p.dc_n),
                     {}, {}, {}, {}, {}, {}};
    cell.forward();
    cell.backward();
    return cell;
}

void compare(const char *name, const Floats &got, const naive::Doubles &want, bool relative) {
    double error = 0, largest = 1;
    for (size_t k = 0; k < want.size(); ++k) {
        error = std::fmax(error, std::isnan(got[k]) ? INFINITY : std::fabs(got[k] - want[k]));
        if (relative) largest = std::fmax(largest, std::fabs(want[k]));
    }
    double bound = relative ? GRADIENT_TOLERANCE * largest : OUTPUT_TOLERANCE;
    CHECK(error <= bound, "%s on %s is off by %g", name, gatesmith_target(), error);
}

const Case CASES[] = {
    {5, 3, 4, 6, false, false}, {7, 9, 17, 33, true, true}, {40, 1, 20, 130, false, false}, {3, 14, 70, 65, false, true},
    {1, 1, 1, 1, false, false}, {0, 4, 3, 5, false, false}, {4, 0, 3, 5, true, false},      {600, 2, 2, 3, true, true},
    {5, 70, 5, 20, false, true},
};

void test_against_naive() {
    for (const Case &sizes : CASES) {
        Problem p(sizes);
        naive::Cell want = run_naive(p);
        Results first = run_kernel(p, 1, false);
        compare("y", first.y, want.y, false);
        compare("h_n", first.h_n, want.h_n, false);
        compare("c_n", first.c_n, want.c_n, false);
        compare("dx", first.dx, want.dx, true);
        compare("dh0", first.dh0, want.dh0, true);
        compare("dc0", first.dc0, want.dc0, true);
        compare("dw_ih", first.dw_ih, want.dw_ih, true);
        compare("dw_hh", first.dw_hh, want.dw_hh, true);
        compare("db", first.db, want.db, true);
        for (int64_t threads : {2, 3}) {
            for (bool recompute : {false, true}) {
                gatesmith_set_num_threads((int)threads);
                CHECK(run_kernel(p, threads, recompute) == first, "bits depend on %d threads", (int)threads);
            }
        }
    }
}

void test_calls_from_many_threads() {
    gatesmith_set_num_threads(3);
    Problem p({20, 5, 8, 140, false, true});
    Results want = run_kernel(p, 1, false);
    std::vector<std::thread> callers;
    std::vector<int> equal(4);
    for (int k = 0; k < 4; ++k)
        callers.emplace_back([&, k] {
            Problem own({20, 5, 8, 140, false, true});
            for (int again = 0; again < 5; ++again) equal[k] += run_kernel(own, 3, again % 2) == want;
        });
    for (std::thread &caller : callers) caller.join();
    for (int count : equal) CHECK(count == 5, "%d of 5", count);
}

#if !defined(__SANITIZE_THREAD__)
void test_after_fork() {
    gatesmith_set_num_threads(3);
    Problem p({20, 5, 8, 140, false, false});
    Results want = run_kernel(p, 3, false);
    pid_t child = fork();
    if (child == 0) _exit(run_kernel(p, 3, false) == want ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "status %d", status);
}
#endif

void test_sizes_that_overflow() {
    gatesmith_spec spec{int64_t(1) << 40, int64_t(1) << 40, 3, 2, 0, nullptr};
    CHECK(gatesmith_packed_bytes(&spec) == -1, "accepted");
    gatesmith_run run = {};
    run.spec = {1, 1, 1, 1, 0, nullptr};
    run.steps = int64_t(1) << 40, run.batch = int64_t(1) << 40, run.threads = 1;
    CHECK(gatesmith_tape_bytes(&run) == -1, "accepted");
    run.threads = 0;
    CHECK(gatesmith_forward(&run) == GATESMITH_BAD_ARGUMENT, "accepted");
}

}  // namespace

int main() {
    for (const char *target : {"portable", "avx2", "avx512"}) {
        if (!gatesmith_set_target(target)) continue;
        test_against_naive();
        test_calls_from_many_threads();
    }
#if !defined(__SANITIZE_THREAD__)
    test_after_fork();
#endif
    test_sizes_that_overflow();
    std::printf(failures ? "%d failures\n" : "kernel tests passed\n", failures);
    return failures != 0;
}
