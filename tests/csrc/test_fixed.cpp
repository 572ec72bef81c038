// The integer kernels against plain loops, `==`: every instruction set of this machine, every way that lanes compute a
// cell, under whatever sanitizer they are built with.
#include <sys/mman.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include "check.h"
#include "fixed_targets.h"
#include "gatesmith.h"
#include "naive_fixed.h"

namespace {

using gatesmith::Lanes, gatesmith::Sums, naive::Integers;

constexpr int64_t LINE = 64;  // bytes at whose multiples begins what the kernels want aligned
// Memory before a page that nobody may touch, since ASan doesn't see what intrinsics load and store; up to `alignment`
// bytes lie between.
class Fenced {
public:
    explicit Fenced(int64_t bytes, int64_t alignment = 1) : size(bytes / PAGE * PAGE + 2 * PAGE) {
        pages = static_cast<char *>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (pages == MAP_FAILED || mprotect(pages + size - PAGE, PAGE, PROT_NONE)) std::abort();
        data = pages + (size - PAGE - bytes) / alignment * alignment;
    }
    Fenced(const int64_t *from, int64_t count) : Fenced(count * (int64_t)sizeof *from) {
        std::copy(from, from + count, codes());
    }
    ~Fenced() { munmap(pages, size); }
    Fenced(const Fenced &) = delete;

    int64_t *codes() const { return static_cast<int64_t *>(data); }

    void *data;

private:
    static constexpr int64_t PAGE = 1 << 16;  // or smaller ones
    int64_t size;
    char *pages;
};

// Formats of a cell, named as in docs/fixed-point.md; what the next step reads is r where it has elements, else h.
struct Formats {
    const char *name;
    int64_t x_width = 16, x_frac = 13, h_width = 16, h_frac = 15;
    int64_t w_width = 8, w_ih_frac = 7, w_hh_frac = 7, b_width = 20;
    int64_t z_width = 16, a_width = 18, c_width = 18, c_frac = 14, table_bits = 8;
    int64_t peepholes = 0, p_width = 8, p_frac = 6, z_clip = 0, c_clip = 0;
    int64_t r_size = 0, r_width = 16, r_frac = 12, r_w_frac = 6, r_clip = 0;
    int64_t given_width = 0, given_frac = 0;  // of x as it arrives; 0 for the cell's own
};

const Formats FORMATS[] = {
    {.name = "calibrated"},
    {.name = "bytes", .x_width = 8, .x_frac = 5, .h_width = 8, .h_frac = 7, .w_width = 7, .w_hh_frac = 5},
    {.name = "bytes without a shift", .x_width = 7, .x_frac = 7, .h_width = 8, .h_frac = 7, .w_width = 4, .c_width = 12,
     .c_frac = 8},
    {.name = "bytes, a wide c", .x_width = 8, .x_frac = 7, .h_width = 8, .h_frac = 7, .w_width = 5, .c_width = 26,
     .c_frac = 20},
    {.name = "weights that are bytes on some machines", .x_width = 8, .x_frac = 7, .h_width = 8, .h_frac = 7},
    {.name = "weights of 10 bits", .w_width = 10, .w_ih_frac = 10, .w_hh_frac = 8},
    {.name = "weights of 12 bits", .w_width = 12, .w_ih_frac = 12, .w_hh_frac = 10, .b_width = 28},
    {.name = "weights of 16 bits", .x_frac = 15, .w_width = 16, .w_ih_frac = 14, .w_hh_frac = 14, .b_width = 30},
    {.name = "weights of 16 bits, shifted", .w_width = 16, .w_ih_frac = 14, .w_hh_frac = 14, .b_width = 30},
    {.name = "a shift that weights can't hold", .x_width = 12, .x_frac = 4, .w_width = 12, .w_ih_frac = 9,
     .w_hh_frac = 12},
    {.name = "sums with few fraction bits", .x_frac = 2, .h_frac = 5, .w_ih_frac = 3, .w_hh_frac = 0, .b_width = 12},
    {.name = "clips", .z_clip = 9000, .c_clip = 30000},
    {.name = "narrow z, few segments", .h_frac = 10, .z_width = 9, .a_width = 12, .c_width = 10, .c_frac = 3,
     .table_bits = 3},
    {.name = "every z a segment", .z_width = 7, .a_width = 10, .c_width = 12, .c_frac = 9, .table_bits = 6},
    {.name = "a large table", .z_width = 18, .table_bits = 11},
    {.name = "a fine c", .c_width = 24, .c_frac = 21},
    {.name = "a coarse c", .a_width = 16, .c_width = 16, .c_frac = 10},
    {.name = "a c of all 32 bits", .c_width = 32, .c_frac = 20},
    {.name = "data of 18 bits", .x_width = 18, .h_width = 18, .h_frac = 17, .w_width = 18, .w_ih_frac = 16,
     .w_hh_frac = 15},
    {.name = "data of 24 bits", .x_width = 24, .x_frac = 16, .h_width = 24, .h_frac = 23, .w_width = 18,
     .w_ih_frac = 17, .w_hh_frac = 17, .b_width = 50, .z_width = 20, .a_width = 22, .c_width = 30, .c_frac = 24,
     .table_bits = 10},
    {.name = "sums above 52 bits", .x_width = 24, .x_frac = 8, .h_width = 24, .h_frac = 20, .w_width = 18,
     .w_ih_frac = 16, .w_hh_frac = 16, .b_width = 52},
    {.name = "a shift that 64-bit weights can't hold", .x_frac = 20, .h_frac = 7, .w_width = 18, .w_ih_frac = 17,
     .w_hh_frac = 15},
    {.name = "peepholes of fine products", .peepholes = 0b1011, .p_width = 12, .p_frac = 16},
    {.name = "peepholes of coarse products, clips", .peepholes = 0b1001, .p_frac = 2, .z_clip = 12000, .c_clip = 70000},
    {.name = "a projection", .r_size = 3},
    {.name = "a fine projection with a clip, peepholes", .h_width = 20, .h_frac = 19, .peepholes = 0b0010,
     .c_clip = 9000, .r_size = 4, .r_width = 24, .r_frac = 27, .r_w_frac = 4, .r_clip = 2000000},
    {.name = "x in finer codes", .x_width = 9, .x_frac = 6, .given_width = 16, .given_frac = 14},
    {.name = "x in coarser codes", .x_frac = 14, .given_width = 12, .given_frac = 9},
    {.name = "x in finer codes, wide", .w_width = 18, .c_width = 30, .given_width = 24, .given_frac = 20},
};

enum class Fill { ANYWHERE, RAILS, LOWEST };

struct Sizes {
    int64_t T, N, D, H;
    bool reverse, ragged;
    int64_t gap = 1;  // codes between the rows of x and of y
};

// One below, at and above what is computed at a time: units, columns to a word, codes that are turned, sequences.
const Sizes SIZES[] = {
    {3, 5, 1, 1, false, true},    {4, 33, 3, 5, true, true},  {2, 7, 33, 4, false, false}, {2, 40, 6, 9, false, false},
    {3, 16, 18, 8, true, true},   {1, 1, 401, 2, false, false}, {2, 8, 4, 99, false, true}, {0, 4, 3, 4, false, false},
    {3, 0, 2, 4, false, false},
};
const Sizes LARGE = {64, 72, 3, 31, true, false, 0};  // more outputs than a cache keeps, in whole lines

int64_t signed_bits(int64_t value) { return 1 + std::bit_width((uint64_t)(value < 0 ? ~value : value)); }

// Everything that one run reads.
struct Problem {
    Problem(const Formats &of, const Sizes &sizes, Fill kind) : generator(7), fill(kind) {
        const int64_t D = sizes.D, H = sizes.H, R = of.r_size ? std::min(of.r_size, H) : H;
        const int64_t y_width = of.r_size ? of.r_width : of.h_width, y_frac = of.r_size ? of.r_frac : of.h_frac;
        const int64_t from_x = of.x_frac + of.w_ih_frac, from_h = y_frac + of.w_hh_frac;
        const int64_t acc_frac = std::max(from_x, from_h);
        const int64_t given_width = of.given_width ? of.given_width : of.x_width;
        const int64_t given_frac = of.given_width ? of.given_frac : of.x_frac;
        cell = {};
        cell.input_size = D, cell.hidden_size = H, cell.output_size = R;
        cell.x_width = of.x_width, cell.x_shift = acc_frac - from_x;
        cell.h_width = of.h_width, cell.h_shift = acc_frac - from_h, cell.h_frac = of.h_frac, cell.y_width = y_width;
        cell.w_width = of.w_width, cell.acc_frac = acc_frac;
        cell.z_width = of.z_width, cell.z_frac = of.z_width - 4;
        cell.a_width = of.a_width, cell.a_frac = of.a_width - 2;
        cell.c_width = of.c_width, cell.c_frac = of.c_frac, cell.table_bits = of.table_bits;
        cell.peepholes = of.peepholes, cell.p_frac = of.p_frac, cell.z_clip = of.z_clip, cell.c_clip = of.c_clip;
        cell.projected = of.r_size > 0, cell.r_round = of.h_frac + of.r_w_frac - of.r_frac, cell.r_clip = of.r_clip;
        cell.w_ih = codes(4 * H * D, of.w_width), cell.w_hh = codes(4 * H * R, of.w_width);
        cell.b = codes(4 * H, of.b_width);
        cell.p = of.peepholes ? codes(4 * H, of.p_width) : nullptr;
        if (of.r_size) cell.w_hr = codes(R * H, of.w_width), cell.b_hr = codes(R, of.b_width);
        set_tables();
        run = {};
        run.steps = sizes.T, run.batch = sizes.N, run.reverse = sizes.reverse, run.threads = 1;
        run.x_row = D + sizes.gap, run.x_step = sizes.N * run.x_row + sizes.gap;
        run.y_row = R + sizes.gap, run.y_step = sizes.N * run.y_row + sizes.gap;
        run.x_given_width = given_width, run.x_round = given_frac - of.x_frac;
        run.x = codes(sizes.T * run.x_step, given_width), run.h0 = codes(sizes.N * R, y_width);
        run.c0 = codes(sizes.N * H, of.c_width);
        Integers order(sizes.N), lengths(sizes.N, sizes.T);
        for (int64_t &length : lengths) length -= sizes.ragged ? (int64_t)(generator() % (uint32_t)(sizes.T + 1)) : 0;
        std::iota(order.begin(), order.end(), 0);
        if (sizes.ragged) std::shuffle(order.begin(), order.end(), generator);
        run.order = keep(order), run.lengths = keep(lengths);
    }
    Problem(const Problem &) = delete;

    gatesmith_fixed_cell cell;
    gatesmith_fixed_run run;

private:
    const int64_t *keep(const Integers &values) {
        return kept.emplace_back(new Fenced(values.data(), (int64_t)values.size()))->codes();
    }

    const int64_t *codes(int64_t count, int64_t width) {
        const int64_t half = (int64_t)1 << (width - 1);
        std::uniform_int_distribution<int64_t> uniform(-half, half - 1);
        Integers values(count);
        for (int64_t &value : values) {
            const int64_t drawn = uniform(generator);
            value = fill == Fill::ANYWHERE ? drawn : fill == Fill::LOWEST || drawn < 0 ? -half : half - 1;
        }
        return keep(values);
    }

    // Of a sigmoid and of tanh, interpolated between the ends of equal segments of [0, 8).
    void set_tables() {
        const int64_t entries = (int64_t)1 << cell.table_bits;
        const double clipped = cell.z_clip ? std::ldexp((double)cell.z_clip, (int)-cell.z_frac) : 8;
        const auto set = [&](auto function, double bound, const int64_t *&value, const int64_t *&slope) {
            Integers values(entries + 1), slopes(entries);
            for (int64_t k = 0; k <= entries; ++k) {
                values[k] = std::llround(std::ldexp(function(std::fmin(bound, 8.0 * k / entries)), (int)cell.a_frac));
            }
            for (int64_t k = 0; k < entries; ++k) {
                slopes[k] = values[k + 1] - values[k];
                cell.slope_width = std::max(cell.slope_width, signed_bits(slopes[k]));
            }
            value = keep(values), slope = keep(slopes);
        };
        const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
        const auto tanh = [](double z) { return std::tanh(z); };
        set(sigmoid, clipped, cell.gate_value, cell.gate_slope);
        set(tanh, clipped, cell.candidate_value, cell.candidate_slope);
        set(tanh, 8, cell.cell_value, cell.cell_slope);
    }

    std::mt19937_64 generator;
    Fill fill;
    std::vector<std::unique_ptr<Fenced>> kept;
};

// What a run writes, every element of it; a forgotten one is no code of any format.
struct Results {
    Results(const Problem &p, auto forward) {
        gatesmith_fixed_run run = p.run;
        const int64_t N = run.batch;
        const int64_t counts[3] = {run.steps * run.y_step, N * p.cell.output_size, N * p.cell.hidden_size};
        const Fenced y(counts[0] * 8, LINE), h_n(counts[1] * 8), c_n(counts[2] * 8), flags(N * 3);
        run.y = y.codes(), run.h_n = h_n.codes(), run.c_n = c_n.codes();
        run.saturated = static_cast<uint8_t *>(flags.data);
        int64_t *const written[3] = {run.y, run.h_n, run.c_n};
        for (int at = 0; at < 3; ++at) std::fill(written[at], written[at] + counts[at], INT64_MIN);
        forward(run);
        for (int at = 0; at < 3; ++at) codes[at].assign(written[at], written[at] + counts[at]);
        saturated.assign(run.saturated, run.saturated + N * 3);
    }
    bool operator==(const Results &) const = default;

    Integers codes[3];  // y, h_n, c_n
    std::vector<uint8_t> saturated;
};

struct Kernel {
    const char *name;
    const gatesmith::FixedKernel *functions;
};

// Those that this machine runs; the library takes the best.
std::vector<Kernel> kernels() {
    std::vector<Kernel> all = {{"portable", &portable::FIXED_KERNEL}};
#if defined(GATESMITH_X86_TARGETS)
    const bool has_codes = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512ifma");
    if (gatesmith_set_target("avx2")) all.push_back({"avx2", &avx2::FIXED_KERNEL});
    if (gatesmith_set_target("avx512")) {
        all.push_back({"avx512", &avx512::FIXED_KERNEL});
        if (has_codes) all.push_back({"avx512_codes", &avx512_codes::FIXED_KERNEL});
    }
#endif
    return all;
}

// How lanes compute a cell, in words.
std::string way(const Lanes &lanes) {
    constexpr const char *SUMS[] = {"exact", "cheap", "bytes", "refined"};
    std::string words = std::string(lanes.narrow ? "32 bits, " : "64 bits, ") + SUMS[(int)lanes.sums];
    if (lanes.digits > 1) words += " by two digits";
    if (!lanes.folded && lanes.sums != Sums::BYTES) words += ", shifted";
    return words + (lanes.short_cell ? ", the rest in 16 bits" : "");
}

// Each of them has to come up, those that sum cheaply where an instruction does.
const std::vector<std::string> WAYS = {
    "32 bits, bytes",
    "32 bits, bytes, the rest in 16 bits",
    "32 bits, exact",
    "32 bits, exact, the rest in 16 bits",
    "32 bits, exact, shifted, the rest in 16 bits",
    "32 bits, refined",
    "32 bits, refined, the rest in 16 bits",
    "32 bits, refined, shifted, the rest in 16 bits",
    "32 bits, refined by two digits, the rest in 16 bits",
    "32 bits, refined by two digits, shifted, the rest in 16 bits",
    "64 bits, cheap",
    "64 bits, cheap, shifted",
    "64 bits, exact",
    "64 bits, exact, shifted",
};

Results by_kernel(const gatesmith::FixedKernel &kernel, const Lanes &lanes, const Problem &p) {
    const Fenced packed(kernel.packed_bytes(p.cell, lanes), LINE), scratch(kernel.scratch_bytes(p.cell, lanes), LINE);
    kernel.pack(p.cell, lanes, packed.data);
    return Results(p, [&](const gatesmith_fixed_run &run) {
        kernel.forward(p.cell, lanes, run, {packed.data, scratch.data, 0, 1});
    });
}

Results by_threads(const Problem &p, int64_t threads) {
    const Fenced workspace(gatesmith_fixed_workspace_bytes(&p.cell, threads), LINE);
    return Results(p, [&](gatesmith_fixed_run run) {
        run.threads = threads, run.workspace = workspace.data;
        gatesmith_fixed_forward(&p.cell, &run);
    });
}

Results by_loops(const Problem &p) {
    return Results(p, [&](const gatesmith_fixed_run &run) { naive::FixedCell(p.cell).forward(run); });
}

void test_against_naive() {
    const std::vector<Kernel> all = kernels();
    std::map<std::string, std::set<std::string>> ways;
    std::set<int> flags[3];
    for (const Formats &formats : FORMATS) {
        for (const Sizes &sizes : SIZES) {
            for (Fill fill : {Fill::ANYWHERE, Fill::RAILS, Fill::LOWEST}) {
                const Problem p(formats, sizes, fill);
                const Results want = by_loops(p);
                for (size_t at = 0; at < want.saturated.size(); ++at) flags[at % 3].insert(want.saturated[at]);
                for (const auto &[name, kernel] : all) {
                    const Lanes lanes = choose_lanes(p.cell, kernel->multipliers);
                    ways[name].insert(way(lanes));
                    CHECK(by_kernel(*kernel, lanes, p) == want, "%s: %s; D = %d, H = %d, N = %d, fill %d; %s", name,
                          formats.name, (int)sizes.D, (int)sizes.H, (int)sizes.N, (int)fill, way(lanes).c_str());
                }
            }
        }
    }
    for (const auto &seen : flags) CHECK(seen.size() == 2, "a flag never changes");
    for (const auto &[name, kernel] : all) {
        for (const std::string &one : WAYS) {
            const bool may_be = kernel->multipliers.cheap_sum_bits || one.find("cheap") == std::string::npos;
            CHECK(!may_be || ways[name].count(one), "%s: no case is computed in %s", name, one.c_str());
        }
    }
}

void test_threads_and_large_outputs() {
    const Formats narrow = {.name = "narrow"}, wide = {.name = "wide", .c_width = 32, .c_frac = 20, .r_size = 31};
    for (const Formats &formats : {narrow, wide}) {
        const Problem p(formats, LARGE, Fill::ANYWHERE);
        const Results want = by_loops(p);
        for (const char *target : {"portable", "avx2", "avx512"}) {
            if (!gatesmith_set_target(target)) continue;
            for (int64_t threads : {1, 3}) {
                gatesmith_set_num_threads((int)threads);
                CHECK(by_threads(p, threads) == want, "%s: %s, %d threads", target, formats.name, (int)threads);
            }
        }
    }
}

}  // namespace

int main() {
    test_against_naive();
    test_threads_and_large_outputs();
    std::printf(failures ? "%d failures\n" : "fixed tests passed\n", failures);
    return failures != 0;
}
