// One forward step of a cell of any specification: products of tiles, then the unit's options in order.
#include <algorithm>

#include "variant_math.h"
#include "variant_steps.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// One panel of one row, and where its values lie.
struct Units {
    const Step &s;
    const Row &row;
    int64_t panel;

    const VariantForward &cell() const { return s.cell; }
    const gatesmith_variant &options() const { return *s.cell.shape.options; }
    int64_t lanes() const { return cell().shape.hidden - panel * LANES; }
    float *in_rows(float *array, int64_t width) const {
        return array + (panel * cell().trace.rows + s.at + row.rank) * width;
    }
    float *state(int64_t base) const {
        return cell().trace.c + (panel * cell().trace.state_rows + base + row.rank) * LANES;
    }
    Vector diagonal(int64_t gate, Vector c) const {
        return c * load(cell().weights.peepholes + (panel * 3 + peephole_index(gate)) * LANES);
    }
};

// z of one gate after its peephole and normalisation becomes its value.
[[gnu::always_inline]] inline Vector open_gate(const Units &u, int64_t gate, Vector z) {
    const gatesmith_variant &options = u.options();
    const gatesmith_activation &activation = options.activations[u.cell().shape.direction][gate == GATE_G];
    if (gate == GATE_F && options.forget_bias != 0) z += broadcast(options.forget_bias);
    Vector bounded = clip(z, options.gate_clip);
    Vector value = u.cell().runs(GATESMITH_SKIP_ACTIVATIONS) ? activate(activation, bounded) : bounded;
    if (u.cell().trace.slopes) {
        Vector d = slope(activation, bounded, value);
        if (options.gate_clip > 0) d = absolute(z) > broadcast(options.gate_clip) ? broadcast(0.0f) : d;
        store(u.in_rows(u.cell().trace.slopes, BLOCK) + gate * LANES, d);
    }
    return value;
}

// The sum of the cell from z of i, f and g.
[[gnu::always_inline]] inline Vector add_to_cell(const Units &u, const Vector *z) {
    const VariantShape &shape = u.cell().shape;
    Vector i = open_gate(u, GATE_I, z[GATE_I]), f = open_gate(u, GATE_F, z[GATE_F]), g = open_gate(u, GATE_G, z[GATE_G]);
    if (shape.is_derived(GATE_I)) i = broadcast(1.0f) - f;
    if (shape.is_derived(GATE_F)) f = broadcast(1.0f) - i;
    if (u.cell().trace.gates) {
        float *gates = u.in_rows(u.cell().trace.gates, BLOCK);
        store(gates, i);
        store(gates + LANES, f);
        store(gates + 2 * LANES, g);
    }
    return fma(f, load(u.state(u.s.from)), i * g);
}

// Clips the new cell state and stores it, and after zoneout the state that the next step finds.
[[gnu::always_inline]] inline Vector close_cell(const Units &u, Vector sum) {
    const VariantForward &cell = u.cell();
    const gatesmith_variant &options = u.options();
    if (cell.trace.cell_open) store(u.in_rows(cell.trace.cell_open, LANES), open_where_clip(sum, options.cell_clip));
    Vector c = first_lanes(clip(sum, options.cell_clip), u.lanes());
    Vector kept = c;
    if (options.zoneout_c > 0) {
        Vector keep = broadcast(options.zoneout_c);
        int64_t unit = (u.row.time * cell.sequences.batch + u.row.n) * cell.shape.hidden + u.panel * LANES;
        if (cell.noise.keep_c) keep = load_part(cell.noise.keep_c + unit, u.lanes());
        kept = keep * load(u.state(u.s.from)) + (broadcast(1.0f) - keep) * c;
        store(u.in_rows(cell.trace.new_c, LANES), c);
    }
    store(u.state(u.s.to), kept);
    return c;
}

// h of LANES outputs, before its clip: the state of the next step, and y.
[[gnu::always_inline]] inline void set_state(const Step &s, const Row &row, int64_t v, Vector h) {
    const VariantForward &cell = s.cell;
    const gatesmith_variant &options = *cell.shape.options;
    int64_t outputs = cell.shape.outputs, first = v * LANES, lanes = outputs - first;
    if (cell.trace.h_open)
        store(cell.trace.h_open + (s.at + row.rank) * cell.shape.h_stride() + first, open_where_clip(h, options.proj_clip));
    h = clip(h, options.proj_clip);
    if (options.zoneout_h > 0) {
        Vector keep = broadcast(options.zoneout_h);
        const float *drawn = cell.noise.keep_h;
        if (drawn) keep = load_part(drawn + (row.time * cell.sequences.batch + row.n) * outputs + first, lanes);
        Vector before = load(cell.trace.h + (s.from + row.rank) * cell.shape.h_stride() + first);
        h = keep * before + (broadcast(1.0f) - keep) * h;
    }
    store(cell.trace.h + (s.to + row.rank) * cell.shape.h_stride() + first, h);
    if (s.hidden)
        store(s.hidden + row.rank * cell.shape.h_stride() + first,
              h * load_part(cell.noise.hidden + row.n * outputs + first, lanes));
    if (!s.writes) return;
    if (cell.residual)
        h += load_part(cell.residual + row.time * cell.x_step + row.n * cell.x_row + first, lanes);
    if (cell.dropout) {
        int64_t at = (row.time * cell.sequences.batch + row.n) * cell.dropout_row + first;
        h *= load_part(cell.dropout + at, lanes);
    }
    store_part(row.y + first, h, lanes);
}

// What the unit shows: o times the activation of what it reads of its cell.
[[gnu::always_inline]] inline void emit(const Units &u, Vector z, Vector read) {
    const VariantForward &cell = u.cell();
    Vector o = open_gate(u, GATE_O, z);
    if (cell.trace.gates) store(u.in_rows(cell.trace.gates, BLOCK) + GATE_O * LANES, o);
    const gatesmith_activation &activation = u.options().activations[cell.shape.direction][2];
    Vector emitted = o * (cell.runs(GATESMITH_SKIP_ACTIVATIONS) ? activate(activation, read) : read);
    if (cell.shape.projects()) {
        store(u.in_rows(cell.trace.emitted, LANES), first_lanes(emitted, u.lanes()));
    } else {
        set_state(u.s, u.row, u.panel, emitted);
    }
}

// All of a unit that sees no other: while its sums are in registers.
[[gnu::always_inline]] inline void run_units(const Units &u, Vector *z) {
    const VariantShape &shape = u.cell().shape;
    bool sees = u.cell().runs(GATESMITH_SKIP_PEEPHOLES);
    if (sees && shape.options->peepholes & (GATESMITH_GATE_I | GATESMITH_GATE_F)) {
        Vector before = load(u.state(u.s.from));
        if (shape.has_peephole(GATE_I)) z[GATE_I] += u.diagonal(GATE_I, before);
        if (shape.has_peephole(GATE_F)) z[GATE_F] += u.diagonal(GATE_F, before);
    }
    Vector c = close_cell(u, add_to_cell(u, z));
    if (sees && shape.has_peephole(GATE_O)) z[GATE_O] += u.diagonal(GATE_O, c);
    emit(u, z[GATE_O], c);
}

// z of a tile: W_ih x + b and W_hh h, summed or, where they are normalised apart, each by itself.
template <int ROWS>
void gates_tile(const Step &s, int64_t panel, int64_t first) {
    const VariantForward &cell = s.cell;
    const VariantShape &shape = cell.shape;
    const float *packed = cell.weights.gates + panel * shape.features() * BLOCK;
    Sums<ROWS, 4> sums;
    const float *x[ROWS], *h[ROWS];
    for (int m = 0; m < ROWS; ++m) x[m] = s.scratch.rows[first + m].x, h[m] = s.scratch.rows[first + m].h;
    auto store_to = [&](float *array) {
        for (int m = 0; m < ROWS; ++m) {
            float *to = array + (panel * cell.trace.rows + s.at + s.scratch.rows[first + m].rank) * BLOCK;
            for (int v = 0; v < 4; ++v) store(to + v * LANES, sums[m][v]);
        }
    };
    if (s.projected_row >= 0) {
        const float *from = s.scratch.projected +
            ((panel - s.share.first_panel) * HOISTED_ROWS + s.projected_row + first) * BLOCK;
        for (int m = 0; m < ROWS; ++m)
            for (int v = 0; v < 4; ++v) sums[m][v] = load(from + m * BLOCK + v * LANES);
    } else {
        for (int m = 0; m < ROWS; ++m)
            for (int v = 0; v < 4; ++v) sums[m][v] = shape.norms_inputs() ? Vector{} : load(packed + v * LANES);
        if (cell.runs(GATESMITH_SKIP_INPUT)) add_rows<ROWS, 4>(sums, x, shape.inputs, packed + BLOCK, BLOCK);
    }
    if (shape.norms_inputs()) {
        store_to(cell.trace.units[0]);
        for (int m = 0; m < ROWS; ++m)
            for (int v = 0; v < 4; ++v) sums[m][v] = Vector{};
    }
    if (cell.runs(GATESMITH_SKIP_RECURRENT))
        add_rows<ROWS, 4>(sums, h, shape.outputs, packed + (1 + shape.inputs) * BLOCK, BLOCK);
    if (shape.norms_inputs()) return store_to(cell.trace.units[1]);
    if (!shape.is_elementwise()) return store_to(cell.trace.gates);
#pragma GCC unroll 1
    for (int m = 0; m < ROWS; ++m) run_units({s, s.scratch.rows[first + m], panel}, sums[m]);
}

// z of one gate += P c, for full peepholes. `c` is [panels][c_rows][lanes], of rank 0.
void add_full_peephole(const Step &s, int64_t gate, const float *c, int64_t c_rows) {
    const VariantForward &cell = s.cell;
    const VariantShape &shape = cell.shape;
    if (!cell.runs(GATESMITH_SKIP_PEEPHOLES)) return;
    for (int64_t panel = 0; panel < shape.panels(); ++panel) {
        const float *packed = cell.weights.full[peephole_index(gate)] + panel * shape.padded() * LANES;
        for_tiles(s.rows, [&]<int ROWS>(int64_t first) {
            Sums<ROWS, 1> sums = {};
            const float *rows[ROWS];
            for (int m = 0; m < ROWS; ++m) rows[m] = c + s.scratch.rows[first + m].rank * LANES;
            add_pieces<ROWS, 1>(sums, rows, LANES, c_rows * LANES, shape.panels(), packed);
            for (int m = 0; m < ROWS; ++m) {
                Units u{s, s.scratch.rows[first + m], panel};
                float *z = u.in_rows(cell.trace.gates, BLOCK) + gate * LANES;
                store(z, load(z) + sums[m][0]);
            }
        });
    }
}

// The same units when they see each other: one phase after the other, for whole rows.
struct Phases {
    const Step &s;
    const VariantForward &cell = s.cell;
    const VariantShape &shape = cell.shape;
    const Trace &trace = cell.trace;
    unsigned with_rows = 15u & ~(unsigned)shape.options->derived_gate;

    template <class F>
    void for_units(const F &f) const {
        for (int64_t i = 0; i < s.rows; ++i)
            for (int64_t panel = 0; panel < shape.panels(); ++panel) f(Units{s, s.scratch.rows[i], panel});
    }

    Lanes lanes_of(float *array, int64_t width, const Row &row, unsigned gates) const {
        return {array + (s.at + row.rank) * width, trace.rows * width, gates};
    }

    float &scale_of(const Row &row, int64_t which) const { return trace.scales[(s.at + row.rank) * NORM_SCALES + which]; }

    // z = norm(W_ih x) + b + norm(W_hh h).
    void sum_inputs() const {
        for (int64_t i = 0; i < s.rows; ++i)
            for (int64_t k = 0; k < 2; ++k)
                scale_of(s.scratch.rows[i], k) =
                    normalise(shape, lanes_of(trace.units[k], BLOCK, s.scratch.rows[i], with_rows));
        for_units([&](const Units &u) {
            const float *bias = cell.weights.gates + u.panel * shape.features() * BLOCK;
            for (int64_t at = 0; at < BLOCK; at += LANES) {
                Vector parts[2];
                for (int64_t k = 0; k < 2; ++k)
                    parts[k] = load(u.in_rows(trace.units[k], BLOCK) + at) *
                            load(cell.weights.gain[k] + u.panel * BLOCK + at) +
                        load(cell.weights.shift[k] + u.panel * BLOCK + at);
                store(u.in_rows(trace.gates, BLOCK) + at, parts[0] + load(bias + at) + parts[1]);
            }
        });
    }

    // Diagonal peepholes of the gates in `gates`, then their normalisation. Full peepholes are in z already.
    void see_and_normalise(unsigned gates) const {
        for_units([&](const Units &u) {
            float *z = u.in_rows(trace.gates, BLOCK);
            for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
                if (!(gates >> gate & 1)) continue;
                Vector sum = load(z + gate * LANES);
                if (gate != GATE_G && shape.has_peephole(gate) && cell.runs(GATESMITH_SKIP_PEEPHOLES))
                    sum += u.diagonal(gate, load(gate == GATE_O ? new_c(u) : u.state(s.from)));
                store(z + gate * LANES, sum);
                if (shape.norms_gates()) store(u.in_rows(trace.units[0], BLOCK) + gate * LANES, sum);
            }
        });
        if (!shape.norms_gates()) return;
        for (int64_t i = 0; i < s.rows; ++i)
            for (int64_t gate = 0; gate < GATE_COUNT; ++gate)
                if (gates >> gate & 1)
                    scale_of(s.scratch.rows[i], gate) =
                        normalise(shape, lanes_of(trace.units[0], BLOCK, s.scratch.rows[i], 1u << gate));
        for_units([&](const Units &u) {
            for (int64_t at = 0; at < BLOCK; at += LANES)
                if (gates >> (at / LANES) & 1)
                    store(u.in_rows(trace.gates, BLOCK) + at,
                          load(u.in_rows(trace.units[0], BLOCK) + at) * load(cell.weights.gain[0] + u.panel * BLOCK + at) +
                              load(cell.weights.shift[0] + u.panel * BLOCK + at));
        });
    }

    float *new_c(const Units &u) const { return trace.new_c ? u.in_rows(trace.new_c, LANES) : u.state(s.to); }

    void normalise_cell() const {
        for (int64_t i = 0; i < s.rows; ++i)
            scale_of(s.scratch.rows[i], CELL_SCALE) =
                normalise(shape, lanes_of(trace.cell_unit, LANES, s.scratch.rows[i], 1));
    }

    Vector normed_cell(const Units &u) const {
        return load(u.in_rows(trace.cell_unit, LANES)) * load(cell.weights.cell_gain + u.panel * LANES) +
            load(cell.weights.cell_shift + u.panel * LANES);
    }

    void run() const {
        if (shape.norms_inputs()) sum_inputs();
        int64_t rows = trace.state_rows;
        if (shape.has_full_peephole(GATE_I)) add_full_peephole(s, GATE_I, trace.c + s.from * LANES, rows);
        if (shape.has_full_peephole(GATE_F)) add_full_peephole(s, GATE_F, trace.c + s.from * LANES, rows);
        see_and_normalise(with_rows & ~GATESMITH_GATE_O);
        for_units([&](const Units &u) {
            Vector z[GATE_COUNT];
            for (int v = 0; v < GATE_COUNT; ++v) z[v] = load(u.in_rows(trace.gates, BLOCK) + v * LANES);
            Vector sum = add_to_cell(u, z);
            shape.norms_gates() ? store(u.in_rows(trace.cell_unit, LANES), sum) : void(close_cell(u, sum));
        });
        if (shape.norms_gates()) {
            normalise_cell();
            for_units([&](const Units &u) { close_cell(u, normed_cell(u)); });
        }
        if (shape.has_full_peephole(GATE_O))
            trace.new_c ? add_full_peephole(s, GATE_O, trace.new_c + s.at * LANES, trace.rows)
                        : add_full_peephole(s, GATE_O, trace.c + s.to * LANES, rows);
        see_and_normalise(GATESMITH_GATE_O);
        if (shape.norms_inputs()) {
            for_units([&](const Units &u) { store(u.in_rows(trace.cell_unit, LANES), load(new_c(u))); });
            normalise_cell();
        }
        for_units([&](const Units &u) {
            emit(u, load(u.in_rows(trace.gates, BLOCK) + GATE_O * LANES),
                 shape.norms_inputs() ? normed_cell(u) : load(new_c(u)));
        });
    }
};

// h = W_hr emitted + b.
void project_outputs(const Step &s) {
    const VariantForward &cell = s.cell;
    const VariantShape &shape = cell.shape;
    auto [first_block, last_block] = output_blocks(shape, s.share);
    int64_t depth = 1 + shape.padded();
    for_tiles(s.rows, [&]<int ROWS>(int64_t first) {
        for (int64_t block = first_block; block < last_block; ++block) {
            const float *packed = cell.weights.projection + block * depth * BLOCK;
            Sums<ROWS, 4> sums;
            const float *rows[ROWS];
            for (int m = 0; m < ROWS; ++m) {
                rows[m] = cell.trace.emitted + (s.at + s.scratch.rows[first + m].rank) * LANES;
                for (int v = 0; v < 4; ++v) sums[m][v] = load(packed + v * LANES);
            }
            if (cell.runs(GATESMITH_SKIP_PROJECTION))
                add_pieces<ROWS, 4>(sums, rows, LANES, cell.trace.rows * LANES, shape.panels(), packed + BLOCK);
            for (int m = 0; m < ROWS; ++m)
                for (int64_t v = 0; v < 4 && 4 * block + v < shape.h_vectors(); ++v)
                    set_state(s, s.scratch.rows[first + m], 4 * block + v, sums[m][v]);
        }
    });
}

}  // namespace

// Every other step takes the panels in the opposite order, so that it starts with weights that are still in the cache.
void run_step(const Step &s, bool backwards) {
    const VariantShape &shape = s.cell.shape;
    int64_t panels = s.share.last_panel - s.share.first_panel;
    for (int64_t k = 0; k < panels; ++k) {
        int64_t panel = s.share.first_panel + (backwards ? panels - 1 - k : k);
        for_tiles(s.rows, [&]<int ROWS>(int64_t first) { gates_tile<ROWS>(s, panel, first); });
    }
    if (!shape.is_elementwise()) Phases{s}.run();
    if (!shape.projects()) return;
    if (s.share.split_units) s.share.meet();
    project_outputs(s);
}

// projected = b + W_ih x of the next steps whose rows fit; returns how many steps.
int64_t project_inputs(const VariantForward &cell, const Share &share, const Scratch &scratch, int64_t step,
                       int64_t last, int64_t active) {
    const Sequences &sequences = cell.sequences;
    int64_t filled = 0, start = step;
    for (; step < last; ++step) {
        active = sequences.active(step, active);
        int64_t owned = share.owned(active);
        if (filled + owned > HOISTED_ROWS || step - start >= HOISTED_ROWS) break;
        for (int64_t i = 0; i < owned; ++i) {
            int64_t rank = share.rank(i);
            scratch.chunk[filled++] = cell.x + sequences.time(rank, step, cell.reverse) * cell.x_step +
                sequences.row(rank) * cell.x_row;
        }
    }
    for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
        const float *packed = cell.weights.gates + panel * cell.shape.features() * BLOCK;
        for_tiles(filled, [&]<int ROWS>(int64_t first) {
            Sums<ROWS, 4> sums;
            for (int m = 0; m < ROWS; ++m)
                for (int v = 0; v < 4; ++v)
                    sums[m][v] = cell.shape.norms_inputs() ? Vector{} : load(packed + v * LANES);
            if (cell.runs(GATESMITH_SKIP_INPUT))
                add_rows<ROWS, 4>(sums, scratch.chunk + first, cell.shape.inputs, packed + BLOCK, BLOCK);
            float *to = scratch.projected + ((panel - share.first_panel) * HOISTED_ROWS + first) * BLOCK;
            for (int m = 0; m < ROWS; ++m)
                for (int v = 0; v < 4; ++v) store(to + m * BLOCK + v * LANES, sums[m][v]);
        });
    }
    return step - start;
}

}  // namespace GATESMITH_TARGET
