// The backward pass of one cell of any specification for one thread: step by step from dh and dc to dz and the states
// before; what needs no order is done by chunk in variant_gradients.cpp.
#include <algorithm>

#include "variant_chunk.h"
#include "variant_math.h"
#include "variant_steps.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// One step of a chunk; `row` is the chunk's, `before` the states' before the step, both at rank 0.
struct BackStep {
    const Chunk &chunk;
    int64_t step, row, before;
    int64_t rows;  // that this thread runs

    const VariantBackward &cell() const { return chunk.cell; }
    const VariantForward &forward() const { return chunk.cell.forward; }
    int64_t rank(int64_t i) const { return chunk.share.rank(i); }
    int64_t time(int64_t rank) const { return forward().sequences.time(rank, step, forward().reverse); }
};

// One panel of one row.
struct Units {
    const BackStep &s;
    int64_t rank, panel;

    const VariantBackward &cell() const { return s.cell(); }
    const VariantForward &forward() const { return s.forward(); }
    const VariantShape &shape() const { return forward().shape; }
    const gatesmith_variant &options() const { return *shape().options; }
    int64_t lanes() const { return shape().hidden - panel * LANES; }
    float *in_chunk(float *array, int64_t width) const {
        return array + (panel * cell().chunk_rows + s.row + rank) * width;
    }
    const float *in_trace(const float *array, int64_t width) const {
        return array + (panel * forward().trace.rows + s.chunk.trace_row + s.row + rank) * width;
    }
    float *dc() const { return cell().dc + (panel * forward().sequences.batch + rank) * LANES; }
    Vector c_before() const {
        return load(forward().trace.c + (panel * forward().trace.state_rows + s.before + rank) * LANES);
    }
    Vector peephole(int64_t gate) const {
        return load(forward().weights.peepholes + (panel * 3 + peephole_index(gate)) * LANES);
    }
    Vector gate(int64_t which) const { return load(in_trace(forward().trace.gates, BLOCK) + which * LANES); }
    Vector slope_of(int64_t which, Vector value) const {
        if (!forward().runs(GATESMITH_SKIP_ACTIVATIONS)) return broadcast(1.0f);
        if (forward().trace.slopes) return load(in_trace(forward().trace.slopes, BLOCK) + which * LANES);
        Vector one = broadcast(1.0f);
        return which == GATE_G ? one - value * value : value * (one - value);
    }
    bool sees() const { return forward().runs(GATESMITH_SKIP_PEEPHOLES); }
};

// Kept where a clip let the value through.
inline Vector where_open(Vector d, const float *open) { return load(open) == broadcast(0.0f) ? broadcast(0.0f) : d; }

// dz of the output gate and the gradient of what the output read, from that of the unit's output.
[[gnu::always_inline]] inline void leave_output(const Units &u, Vector demitted) {
    Vector read = load(new_cell(u.s.chunk, u.panel, u.s.row + u.rank));
    if (u.shape().norms_inputs())
        read = load(u.in_trace(u.forward().trace.cell_unit, LANES)) *
                load(u.forward().weights.cell_gain + u.panel * LANES) +
            load(u.forward().weights.cell_shift + u.panel * LANES);
    Vector output = read, d = broadcast(1.0f), o = u.gate(GATE_O);
    if (u.forward().runs(GATESMITH_SKIP_ACTIVATIONS)) {
        const gatesmith_activation &activation = u.options().activations[u.shape().direction][2];
        output = activate(activation, read);
        d = slope(activation, read, output);
    }
    store(u.in_chunk(u.cell().dcell, LANES), demitted * o * d);
    store(u.in_chunk(u.cell().dz, BLOCK) + GATE_O * LANES, demitted * output * u.slope_of(GATE_O, o));
}

// The gradient of the sum of the cell from that of the later state and of what was read; dc keeps zoneout's part.
[[gnu::always_inline]] inline void enter_cell(const Units &u) {
    const VariantForward &forward = u.forward();
    Vector dc = load(u.dc()), kept = {};
    if (u.options().zoneout_c > 0) {
        Vector keep = broadcast(u.options().zoneout_c);
        int64_t row = u.s.time(u.rank) * forward.sequences.batch + forward.sequences.row(u.rank);
        if (forward.noise.keep_c)
            keep = load_part(forward.noise.keep_c + row * u.shape().hidden + u.panel * LANES, u.lanes());
        kept = keep * dc;
        dc = (broadcast(1.0f) - keep) * dc;
    }
    float *dcell = u.in_chunk(u.cell().dcell, LANES);
    dc += load(dcell);
    if (u.shape().has_peephole(GATE_O) && u.sees())
        dc += load(u.in_chunk(u.cell().dz, BLOCK) + GATE_O * LANES) * u.peephole(GATE_O);
    if (forward.trace.cell_open) dc = where_open(dc, u.in_trace(forward.trace.cell_open, LANES));
    store(dcell, dc);
    store(u.dc(), kept);
}

// What diagonal peepholes hand to the state before the step.
[[gnu::always_inline]] inline Vector seen_before(const Units &u, Vector dz_i, Vector dz_f) {
    Vector dc = {};
    if (u.shape().has_peephole(GATE_I)) dc += dz_i * u.peephole(GATE_I);
    if (u.shape().has_peephole(GATE_F)) dc += dz_f * u.peephole(GATE_F);
    return dc;
}

// dz of i, f and g, and the gradient of the state before the step.
[[gnu::always_inline]] inline void leave_cell(const Units &u) {
    Vector dc = load(u.in_chunk(u.cell().dcell, LANES));
    Vector i = u.gate(GATE_I), f = u.gate(GATE_F), g = u.gate(GATE_G);
    Vector di = dc * g, df = dc * u.c_before();
    if (u.shape().is_derived(GATE_F)) di -= df;
    if (u.shape().is_derived(GATE_I)) df -= di;
    Vector dz_i = u.shape().is_derived(GATE_I) ? Vector{} : di * u.slope_of(GATE_I, i);
    Vector dz_f = u.shape().is_derived(GATE_F) ? Vector{} : df * u.slope_of(GATE_F, f);
    float *dz = u.in_chunk(u.cell().dz, BLOCK);
    store(dz, dz_i);
    store(dz + LANES, dz_f);
    store(dz + 2 * LANES, dc * i * u.slope_of(GATE_G, g));
    Vector before = load(u.dc()) + dc * f;
    if (u.sees() && !u.shape().norms_gates()) before += seen_before(u, dz_i, dz_f);
    store(u.dc(), before);
}

// The same for units that saw each other, one phase after the other for whole rows; leave_output is done.
struct Phases {
    const BackStep &s;
    const VariantBackward &cell = s.cell();
    const VariantForward &forward = s.forward();
    const VariantShape &shape = forward.shape;
    unsigned with_rows = 15u & ~(unsigned)shape.options->derived_gate;

    template <class F>
    void for_units(const F &f) const {
        for (int64_t i = 0; i < s.rows; ++i)
            for (int64_t panel = 0; panel < shape.panels(); ++panel) f(Units{s, s.rank(i), panel});
    }

    float scale(int64_t rank, int64_t which) const {
        return forward.trace.scales[(s.chunk.trace_row + s.row + rank) * NORM_SCALES + which];
    }

    // d, of what normalisation gave, becomes that of what it took: of one gate or several together.
    void leave_norm(float *d, int64_t width, unsigned gates, const float *unit, const float *gain, int64_t which) const {
        for (int64_t i = 0; i < s.rows; ++i) {
            int64_t rank = s.rank(i), trace_row = s.chunk.trace_row + s.row + rank;
            normalise_gradient(shape, {d + (s.row + rank) * width, cell.chunk_rows * width, gates},
                               unit + trace_row * width, forward.trace.rows * width, gain, width, scale(rank, which));
        }
    }

    void copy(float *to, const float *from, int64_t width, unsigned gates) const {
        for_units([&](const Units &u) {
            for (int64_t at = 0; at < width; at += LANES)
                if (gates >> (at / LANES) & 1)
                    store(u.in_chunk(to, width) + at, load(u.in_chunk(const_cast<float *>(from), width) + at));
        });
    }

    void leave_gate_norms(unsigned gates) const {
        copy(cell.dnormed, cell.dz, BLOCK, gates);
        for (int64_t gate = 0; gate < GATE_COUNT; ++gate)
            if (gates >> gate & 1)
                leave_norm(cell.dz, BLOCK, 1u << gate, forward.trace.units[0], forward.weights.gain[0], gate);
    }

    void leave_cell_norm() const {
        copy(cell.dcell_normed, cell.dcell, LANES, 1);
        leave_norm(cell.dcell, LANES, 1, forward.trace.cell_unit, forward.weights.cell_gain, CELL_SCALE);
    }

    // to += dz of one gate times its full peephole.
    template <class F>
    void add_full_peephole(int64_t gate, const F &to) const {
        if (!shape.has_full_peephole(gate) || !forward.runs(GATESMITH_SKIP_PEEPHOLES)) return;
        for (int64_t panel = 0; panel < shape.panels(); ++panel) {
            const float *packed = cell.weights.full[peephole_index(gate)] + panel * shape.padded() * LANES;
            for_tiles(s.rows, [&]<int ROWS>(int64_t first) {
                Sums<ROWS, 1> sums = {};
                const float *rows[ROWS];
                for (int m = 0; m < ROWS; ++m)
                    rows[m] = cell.dz + (s.row + s.rank(first + m)) * BLOCK + gate * LANES;
                add_pieces<ROWS, 1>(sums, rows, LANES, cell.chunk_rows * BLOCK, shape.panels(), packed);
                for (int m = 0; m < ROWS; ++m) {
                    float *at = to(Units{s, s.rank(first + m), panel});
                    store(at, load(at) + sums[m][0]);
                }
            });
        }
    }

    void run() const {
        if (shape.norms_inputs()) leave_cell_norm();
        if (shape.norms_gates()) leave_gate_norms(GATESMITH_GATE_O);
        add_full_peephole(GATE_O, [&](const Units &u) { return u.in_chunk(cell.dcell, LANES); });
        for_units([](const Units &u) { enter_cell(u); });
        if (shape.norms_gates()) leave_cell_norm();
        for_units([](const Units &u) { leave_cell(u); });
        if (shape.norms_gates()) {
            leave_gate_norms(with_rows & ~GATESMITH_GATE_O);
            for_units([](const Units &u) {
                const float *dz = u.in_chunk(u.cell().dz, BLOCK);
                if (u.sees()) store(u.dc(), load(u.dc()) + seen_before(u, load(dz), load(dz + LANES)));
            });
        }
        for (int64_t gate : {GATE_I, GATE_F}) add_full_peephole(gate, [](const Units &u) { return u.dc(); });
        if (!shape.norms_inputs()) return;
        for (int64_t k = 0; k < 2; ++k) {
            copy(cell.dinputs[k], cell.dz, BLOCK, 15);
            leave_norm(cell.dinputs[k], BLOCK, with_rows, forward.trace.units[k], forward.weights.gain[k], k);
        }
    }
};

[[gnu::always_inline]] inline void leave_unit(const Units &u, Vector demitted) {
    leave_output(u, demitted);
    if (!u.shape().is_elementwise()) return;
    enter_cell(u);
    leave_cell(u);
}

// The gradient of the new outputs from that of h and y; dh keeps zoneout's part.
[[gnu::always_inline]] inline Vector enter_outputs(const BackStep &s, int64_t rank, int64_t v) {
    const VariantForward &forward = s.forward();
    int64_t n = forward.sequences.row(rank), time = s.time(rank), first = v * LANES;
    int64_t lanes = forward.shape.outputs - first;
    float *dh = s.cell().dh + rank * forward.shape.h_stride() + first;
    Vector d = load(dh) + load_part(s.cell().dy + time * s.cell().dy_step + n * s.cell().dy_row + first, lanes);
    Vector kept = {};
    if (forward.shape.options->zoneout_h > 0) {
        Vector keep = broadcast(forward.shape.options->zoneout_h);
        int64_t row = time * forward.sequences.batch + n;
        if (forward.noise.keep_h) keep = load_part(forward.noise.keep_h + row * forward.shape.outputs + first, lanes);
        kept = keep * d;
        d = (broadcast(1.0f) - keep) * d;
    }
    store(dh, kept);
    const float *open = forward.trace.h_open;
    if (open) d = where_open(d, open + (s.chunk.trace_row + s.row + rank) * forward.shape.h_stride() + first);
    return first_lanes(d, lanes);
}

// The gradient of what was projected: dh W_hr, after that of the outputs is there for all.
void leave_projection(const BackStep &s) {
    const VariantBackward &cell = s.cell();
    const VariantShape &shape = s.forward().shape;
    auto [first_vector, last_vector] = output_vectors(shape, s.chunk.share);
    for (int64_t i = 0; i < s.rows; ++i) {
        for (int64_t v = first_vector; v < last_vector; ++v) {
            float *to = cell.dprojected + (v / 4 * cell.chunk_rows + s.row + s.rank(i)) * BLOCK;
            store(to + v % 4 * LANES, enter_outputs(s, s.rank(i), v));
            for (int64_t rest = v + 1; v + 1 == shape.h_vectors() && rest % 4; ++rest)
                store(to + rest % 4 * LANES, Vector{});
        }
    }
    if (s.chunk.share.split_units) s.chunk.share.meet();
    int64_t depth = shape.h_blocks() * BLOCK;
    for_blocks(s.rows, s.chunk.share.first_panel / 4, ceil_div(s.chunk.share.last_panel, 4), shape.panels(),
               [&]<int ROWS, int VECTORS>(int64_t first, int64_t block) {
        Sums<ROWS, VECTORS> sums = {};
        const float *rows[ROWS];
        for (int m = 0; m < ROWS; ++m) rows[m] = cell.dprojected + (s.row + s.rank(first + m)) * BLOCK;
        if (s.forward().runs(GATESMITH_SKIP_PROJECTION))
            add_pieces<ROWS, VECTORS>(sums, rows, BLOCK, cell.chunk_rows * BLOCK, shape.h_blocks(),
                                      cell.weights.projection + block * depth * BLOCK);
        for (int m = 0; m < ROWS; ++m)
            for (int v = 0; v < VECTORS; ++v) leave_unit({s, s.rank(first + m), 4 * block + v}, sums[m][v]);
    });
}

// dh += dz W_hh, through recurrent dropout: of the step before.
void leave_recurrence(const BackStep &s) {
    const VariantBackward &cell = s.cell();
    const VariantForward &forward = s.forward();
    const VariantShape &shape = forward.shape;
    if (!forward.runs(GATESMITH_SKIP_RECURRENT)) return;
    auto [first_vector, last_vector] = output_vectors(shape, s.chunk.share);
    for_blocks(s.rows, first_vector / 4, ceil_div(last_vector, 4), shape.h_vectors(),
               [&]<int ROWS, int VECTORS>(int64_t first, int64_t block) {
        Sums<ROWS, VECTORS> sums = {};
        const float *rows[ROWS];
        for (int m = 0; m < ROWS; ++m) rows[m] = cell.dinputs[1] + (s.row + s.rank(first + m)) * BLOCK;
        add_pieces<ROWS, VECTORS>(sums, rows, BLOCK, cell.chunk_rows * BLOCK, shape.panels(),
                                  cell.weights.recurrent + block * 4 * shape.padded() * BLOCK);
        for (int m = 0; m < ROWS; ++m) {
            int64_t rank = s.rank(first + m), column = block * BLOCK;
            const float *mask = forward.noise.hidden;
            if (mask) mask += forward.sequences.row(rank) * shape.outputs + column;
            float *dh = cell.dh + rank * shape.h_stride() + column;
            for (int v = 0; v < VECTORS; ++v, dh += LANES) {
                Vector d = sums[m][v];
                if (mask) d *= load_part(mask + v * LANES, shape.outputs - column - v * LANES);
                store(dh, load(dh) + d);
            }
        }
    });
}

void run_step_back(const BackStep &s) {
    const VariantShape &shape = s.forward().shape;
    if (shape.projects()) {
        leave_projection(s);
    } else {
        for (int64_t panel = s.chunk.share.first_panel; panel < s.chunk.share.last_panel; ++panel)
            for (int64_t i = 0; i < s.rows; ++i) leave_unit({s, s.rank(i), panel}, enter_outputs(s, s.rank(i), panel));
    }
    if (!shape.is_elementwise()) Phases{s}.run();
    if (s.chunk.share.split_units) s.chunk.share.meet();
    leave_recurrence(s);
}

void run_chunk(const Chunk &chunk) {
    const Sequences &sequences = chunk.cell.forward.sequences;
    int64_t row = chunk.rows;
    for (int64_t step = chunk.last - 1; step >= chunk.first; --step) {
        int64_t active = sequences.active(step, sequences.batch);
        row -= active;
        int64_t before = chunk.state_before;
        if (step > chunk.first) before = chunk.state_after(row - sequences.active(step - 1, sequences.batch));
        run_step_back({chunk, step, row, before, chunk.share.owned(active)});
    }
}

// dh and dc of this thread, from and to natural arrays.
void copy_state_gradients(const VariantBackward &cell, const Share &share, bool loads) {
    const VariantForward &forward = cell.forward;
    const Sequences &sequences = forward.sequences;
    auto [first_vector, last_vector] = output_vectors(forward.shape, share);
    auto copy = [&](float *running, const float *end, float *start, int64_t lanes, bool dropped) {
        if (!loads) return store_part(start, load(running), lanes);
        store(running, end && !dropped ? load_part(end, lanes) : Vector{});
    };
    for (int64_t i = 0; i < share.rows; ++i) {
        int64_t rank = share.rank(i), n = sequences.row(rank);
        bool dropped = forward.shape.options->drop_states && sequences.length(rank) < sequences.padded_steps;
        for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
            int64_t at = n * forward.shape.hidden + panel * LANES, lanes = forward.shape.hidden - panel * LANES;
            copy(cell.dc + (panel * sequences.batch + rank) * LANES, cell.dc_n ? cell.dc_n + at : nullptr,
                 cell.dc0 + at, lanes, dropped);
        }
        for (int64_t v = first_vector; v < last_vector; ++v) {
            int64_t at = n * forward.shape.outputs + v * LANES, lanes = forward.shape.outputs - v * LANES;
            copy(cell.dh + rank * forward.shape.h_stride() + v * LANES, cell.dh_n ? cell.dh_n + at : nullptr,
                 cell.dh0 + at, lanes, dropped);
        }
    }
}

// dx = 0 beyond every sequence's length: this member's times.
void clear_padding(const VariantBackward &cell, const Share &share) {
    const Sequences &sequences = cell.forward.sequences;
    if (!sequences.lengths) return;
    for (int64_t t = share.member; t < sequences.padded_steps; t += share.members) {
        for (int64_t rank = sequences.active(t, sequences.batch); rank < sequences.batch; ++rank) {
            float *dx = cell.dx + t * cell.dx_step + sequences.row(rank) * cell.dx_row;
            std::fill(dx, dx + cell.forward.shape.inputs, 0.0f);
        }
    }
}

}  // namespace

void variant_backward(const VariantBackward &cell, const Share &given) {
    const VariantForward &forward = cell.forward;
    const Sequences &sequences = forward.sequences;
    Share share = given;
    if (share.split_units) {  // by blocks of four panels, as products take them
        int64_t blocks = ceil_div(forward.shape.panels(), 4);
        share.first_panel = 4 * (blocks * share.member / share.members);
        share.last_panel = std::min(4 * (blocks * (share.member + 1) / share.members), forward.shape.panels());
    }
    if (cell.dx) clear_padding(cell, share);
    copy_state_gradients(cell, share, true);
    int64_t compact = sequences.valid, last = ceil_div(sequences.steps, forward.chunk_steps) * forward.chunk_steps;
    bool starts = true;
    for (; last > 0; last -= forward.chunk_steps, starts = false) {
        int64_t first = last - forward.chunk_steps, end = std::min(last, sequences.steps), rows = 0;
        for (int64_t step = first, active = sequences.batch; step < end; ++step)
            rows += active = sequences.active(step, active);
        compact -= rows;
        int64_t before = first == 0 ? 0 : sequences.batch + compact - sequences.active(first - 1, sequences.batch);
        Chunk chunk{cell, share, first, end, rows, cell.recomputes ? 0 : compact, cell.recomputes ? 0 : before, starts};
        if (cell.recomputes) {
            retrace(forward, share, first, end);
            share.meet();
        }
        gather_features(chunk);
        run_chunk(chunk);
        share.meet();  // everyone's dz and features are there
        if (forward.runs(GATESMITH_SKIP_WEIGHTS)) add_weight_gradients(chunk);
        if (cell.dx && forward.runs(GATESMITH_SKIP_INPUT)) input_gradients(chunk);
        share.meet();  // and read, so that the next chunk may write over them
    }
    copy_state_gradients(cell, share, false);
    finish_weight_gradients(cell, share, starts);
}

}  // namespace GATESMITH_TARGET
