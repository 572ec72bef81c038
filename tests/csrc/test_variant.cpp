// Variants of the cell under whatever sanitizer they are built with: everything is written, by every number of threads
// and with recomputation to the same bits. That the numbers are right is tests/ops/test_cpu_variants.py's.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "gatesmith.h"

namespace {

using Floats = std::vector<float>;
int failures = 0;

struct Aligned {
    explicit Aligned(int64_t bytes) : data(std::aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64)) {}
    ~Aligned() { std::free(data); }
    Aligned(const Aligned &) = delete;
    void *data;
};

gatesmith_variant plain() {
    gatesmith_variant variant = {};
    for (auto &direction : variant.activations) {
        direction[0].function = GATESMITH_SIGMOID;
        direction[1].function = direction[2].function = GATESMITH_TANH;
    }
    return variant;
}

// One specification for each path through the kernels, and one with all that go together.
std::vector<gatesmith_variant> variants() {
    constexpr int64_t I = GATESMITH_GATE_I, F = GATESMITH_GATE_F, O = GATESMITH_GATE_O;
    std::vector<gatesmith_variant> all(9, plain());
    all[1].peepholes = I | F | O, all[1].derived_gate = F, all[1].gate_clip = 0.7f;
    all[2].full_peepholes = I | O, all[2].peepholes = F, all[2].zoneout_c = 0.2f;
    all[3].proj_size = 3, all[3].proj_clip = 0.1f, all[3].zoneout_h = 0.3f, all[3].residual = 1;
    all[4].layer_norm = GATESMITH_NORM_GATES_AND_CELL, all[4].cell_clip = 0.5f, all[4].full_peepholes = F;
    all[5].layer_norm = GATESMITH_NORM_INPUTS_AND_CELL, all[5].derived_gate = I, all[5].proj_size = 2;
    all[6].drop_states = 1, all[6].forget_bias = 1, all[6].cell_clip = 0.4f;
    for (int64_t k = 0; k < 3; ++k) {
        all[7].activations[0][k] = {GATESMITH_ELU + k, 0.9f, 0.1f};
        all[7].activations[1][k] = {GATESMITH_RELU + 2 * k, 0.9f, 0.1f};
    }
    all[8].layer_norm = GATESMITH_NORM_GATES_AND_CELL, all[8].proj_size = 2, all[8].full_peepholes = I | F | O;
    all[8].zoneout_h = all[8].zoneout_c = 0.2f, all[8].residual = 1, all[8].gate_clip = 2, all[8].proj_clip = 1;
    return all;
}

struct Sizes {
    int64_t T, N, D, H, layers, directions;
};

// Owns one array of floats for every parameter of every cell.
struct Parameters {
    Parameters(const gatesmith_spec &spec, float value, std::mt19937 *generator) {
        int64_t H = spec.hidden_size, R = spec.variant->proj_size ? spec.variant->proj_size : H;
        auto make = [&](int64_t count) {
            std::uniform_real_distribution<float> uniform(-0.4f, 0.4f);
            Floats &array = *arrays.emplace_back(new Floats(count, value));
            for (float &one : array) one = generator ? uniform(*generator) : value;
            return array.data();
        };
        for (int64_t k = 0; k < spec.num_layers * spec.directions; ++k) {
            int64_t inputs = k < spec.directions ? spec.input_size : spec.directions * R;
            gatesmith_cell cell = {};
            cell.w_ih = make(4 * H * inputs), cell.w_hh = make(4 * H * R), cell.b = make(4 * H), cell.b_also = make(4 * H);
            for (int64_t gate = 0; gate < 3; ++gate) {
                int64_t bit = gate == 2 ? GATESMITH_GATE_O : 1 << gate;
                if (spec.variant->peepholes & bit) cell.peepholes[gate] = make(H);
                if (spec.variant->full_peepholes & bit) cell.peepholes[gate] = make(H * H);
            }
            if (spec.variant->proj_size) cell.w_hr = make(R * H), cell.b_hr = make(R);
            for (int64_t norm = 0; norm < 3 && spec.variant->layer_norm; ++norm) {
                if (norm == 1 && spec.variant->layer_norm == GATESMITH_NORM_GATES_AND_CELL) continue;
                cell.norm_gain[norm] = make(norm == 2 ? H : 4 * H), cell.norm_shift[norm] = make(norm == 2 ? H : 4 * H);
            }
            cells.push_back(cell);
        }
    }
    ~Parameters() {
        for (Floats *array : arrays) delete array;
    }
    Parameters(const Parameters &) = delete;

    std::vector<Floats *> arrays;
    std::vector<gatesmith_cell> cells;
};

// What training draws, or nothing.
struct Noise {
    Noise(const gatesmith_run &run, int64_t R, bool draws) {
        std::mt19937 generator(3);
        auto make = [&](int64_t count) {
            Floats &array = *arrays.emplace_back(new Floats(count));
            for (float &one : array) one = (float)(generator() % 2);
            return array.data();
        };
        int64_t cell_count = run.spec.num_layers * run.spec.directions;
        for (int64_t k = 0; draws && k < cell_count; ++k)
            cells.push_back({make(run.batch * R), make(run.steps * run.batch * R),
                             make(run.steps * run.batch * run.spec.hidden_size)});
        for (int64_t k = 0; draws && k + 1 < run.spec.num_layers; ++k)
            dropout.push_back(make(run.steps * run.batch * run.spec.directions * R));
    }
    ~Noise() {
        for (Floats *array : arrays) delete array;
    }
    Noise(const Noise &) = delete;

    std::vector<Floats *> arrays;
    std::vector<gatesmith_noise> cells;
    std::vector<const float *> dropout;
};

// All results of a forward and a backward run, one after the other.
Floats run_kernel(const gatesmith_variant &variant, const Sizes &s, bool draws, int64_t threads, bool recompute) {
    std::mt19937 generator(7);
    gatesmith_run run = {};
    run.spec = {s.D, s.H, s.layers, s.directions, 0, &variant};
    int64_t R = variant.proj_size ? variant.proj_size : s.H, states = s.layers * s.directions * s.N;
    int64_t width = s.directions * R;
    auto draw = [&](int64_t count) {
        std::normal_distribution<float> normal;
        Floats values(count);
        for (float &value : values) value = normal(generator);
        return values;
    };
    Parameters weights(run.spec, 0, &generator), gradients(run.spec, NAN, nullptr);
    Floats x = draw(s.T * s.N * s.D), h0 = draw(states * R), c0 = draw(states * s.H);
    Floats dy = draw(s.T * s.N * width), dh_n = draw(states * R), dc_n = draw(states * s.H);
    std::vector<int64_t> lengths;
    for (int64_t n = 0; n < s.N; ++n) lengths.push_back((int64_t)(generator() % (uint32_t)(s.T + 1)));
    Floats y(dy.size(), NAN), h_n(h0.size(), NAN), c_n(c0.size(), NAN), dx(x.size(), NAN), dh0(h0.size(), NAN),
        dc0(c0.size(), NAN);
    run.steps = s.T, run.batch = s.N, run.threads = threads, run.lengths = lengths.data(), run.recompute = recompute;
    Noise noise(run, R, draws);
    if (draws) run.noise = noise.cells.data(), run.dropout = noise.dropout.data();
    Aligned packed(gatesmith_packed_bytes(&run.spec)), packed_backward(gatesmith_packed_backward_bytes(&run.spec));
    gatesmith_pack(&run.spec, weights.cells.data(), packed.data);
    gatesmith_pack_backward(&run.spec, weights.cells.data(), packed_backward.data);
    run.x = x.data(), run.x_step = s.N * s.D, run.x_row = s.D, run.h0 = h0.data(), run.c0 = c0.data();
    run.y = y.data(), run.y_step = s.N * width, run.y_row = width, run.h_n = h_n.data(), run.c_n = c_n.data();
    run.packed = packed.data, run.packed_backward = packed_backward.data;
    Aligned tape(gatesmith_tape_bytes(&run));
    run.tape = tape.data;
    Aligned workspace(gatesmith_workspace_bytes(&run, 0)), more(gatesmith_workspace_bytes(&run, 1));
    run.workspace = workspace.data;
    int code = gatesmith_forward(&run);
    run.workspace = more.data, run.h_n = run.c_n = nullptr;
    run.dy = dy.data(), run.dy_step = run.y_step, run.dy_row = width, run.dh_n = dh_n.data(), run.dc_n = dc_n.data();
    run.dx = dx.data(), run.dx_step = run.x_step, run.dx_row = run.x_row, run.dh0 = dh0.data(), run.dc0 = dc0.data();
    run.gradients = gradients.cells.data();
    if (code != GATESMITH_OK || gatesmith_backward(&run) != GATESMITH_OK) ++failures, std::printf("refused\n");
    Floats all;
    for (const Floats *part : {&y, &h_n, &c_n, &dx, &dh0, &dc0}) all.insert(all.end(), part->begin(), part->end());
    for (const Floats *part : gradients.arrays) all.insert(all.end(), part->begin(), part->end());
    return all;
}

void test_everything_is_written_to_the_same_bits() {
    const Sizes sizes[] = {{5, 7, 3, 9, 2, 2}, {3, 1, 5, 70, 1, 1}, {530, 2, 2, 4, 1, 1}, {0, 3, 2, 4, 1, 1}};
    std::vector<gatesmith_variant> all = variants();
    for (size_t k = 0; k < all.size(); ++k) {
        for (const Sizes &s : sizes) {
            for (bool draws : {false, true}) {
                gatesmith_set_num_threads(1);
                Floats want = run_kernel(all[k], s, draws, 1, false);
                for (float value : want)
                    if (std::isnan(value)) {
                        ++failures, std::printf("variant %zu, T = %d: not written\n", k, (int)s.T);
                        break;
                    }
                gatesmith_set_num_threads(3);
                for (bool recompute : {false, true})
                    if (run_kernel(all[k], s, draws, 3, recompute) != want)
                        ++failures, std::printf("variant %zu, T = %d, recompute = %d: other bits\n", k, (int)s.T, recompute);
            }
        }
    }
}

void test_wrong_variants_are_refused() {
    std::vector<gatesmith_variant> wrong(5, plain());
    wrong[0].proj_size = 4, wrong[1].peepholes = GATESMITH_GATE_G, wrong[2].derived_gate = GATESMITH_GATE_O;
    wrong[3].layer_norm = 3, wrong[4].activations[1][2].function = GATESMITH_SOFTPLUS + 1;
    for (const gatesmith_variant &variant : wrong) {
        gatesmith_run run = {};
        run.spec = {2, 4, 1, 1, 0, &variant};
        run.threads = 1;
        if (gatesmith_forward(&run) != GATESMITH_BAD_ARGUMENT || gatesmith_tape_bytes(&run) != -1)
            ++failures, std::printf("accepted\n");
    }
}

}  // namespace

int main() {
    for (const char *target : {"portable", "avx2", "avx512"})
        if (gatesmith_set_target(target)) test_everything_is_written_to_the_same_bits();
    test_wrong_variants_are_refused();
    std::printf(failures ? "%d failures\n" : "variant tests passed\n", failures);
    return failures != 0;
}
