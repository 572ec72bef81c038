// What a chunk of the backward pass does after its steps: gradients of every parameter and of the inputs, whose sums run
// over rows in ascending order, whoever computes them.
#include <algorithm>

#include "variant_chunk.h"
#include "variant_math.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

struct Part {
    int64_t first, last;
};

// This member's part of `count` things.
Part part_of(const Share &share, int64_t count) {
    return {count * share.member / share.members, count * (share.member + 1) / share.members};
}

// Writes features one after the other, TILE_ROWS of a row beside each other, as add_columns reads them.
struct Writer {
    float *to;
    int64_t tile_stride;
    int slot = 0;

    void append(float value) {
        to[slot] = value;
        if (++slot == TILE_ROWS) slot = 0, to += tile_stride;
    }
};

// to[m] += sum over the chunk's rows of features[m] * d, for vectors `b_stride` apart from row to row.
template <int VECTORS>
void add_products(const Chunk &chunk, int64_t first_feature, int64_t count, const float *d, int64_t d_stride,
                  float *to) {
    for (int64_t feature = 0; feature < count; feature += TILE_ROWS) {
        const float *features = chunk.cell.features + (first_feature + feature) * chunk.cell.chunk_rows;
        with_rows((int)std::min<int64_t>(TILE_ROWS, count - feature), [&]<int ROWS>() {
            Sums<ROWS, VECTORS> sums = {};
            float *at = to + feature * VECTORS * LANES;
            if (!chunk.starts)
                for (int m = 0; m < ROWS; ++m)
                    for (int v = 0; v < VECTORS; ++v) sums[m][v] = load(at + (m * VECTORS + v) * LANES);
            add_columns<ROWS, VECTORS>(sums, features, TILE_ROWS, chunk.rows, d, d_stride);
            for (int m = 0; m < ROWS; ++m)
                for (int v = 0; v < VECTORS; ++v) store(at + (m * VECTORS + v) * LANES, sums[m][v]);
        });
    }
}

// to[k] += sum over the chunk's rows of f(row, k), vectors that stand `LANES` apart.
template <class F>
void add_sums(const Chunk &chunk, int64_t vectors, float *to, const F &f) {
    Vector sums[GATE_COUNT] = {};
    if (!chunk.starts)
        for (int64_t k = 0; k < vectors; ++k) sums[k] = load(to + k * LANES);
    for (int64_t row = 0; row < chunk.rows; ++row)
        for (int64_t k = 0; k < vectors; ++k) sums[k] += f(row, k * LANES);
    for (int64_t k = 0; k < vectors; ++k) store(to + k * LANES, sums[k]);
}

// Diagonal peepholes: dz times the cell state that was seen.
void add_peepholes(const Chunk &chunk, int64_t panel) {
    const VariantBackward &cell = chunk.cell;
    const Trace &trace = cell.forward.trace;
    Vector sums[3] = {};
    float *to = cell.dweights.peepholes + panel * 3 * LANES;
    if (!chunk.starts)
        for (int k = 0; k < 3; ++k) sums[k] = load(to + k * LANES);
    for_rows(chunk, 0, chunk.rows, [&](int64_t row, int64_t, int64_t, int64_t before) {
        const float *dz = cell.dz + (panel * cell.chunk_rows + row) * BLOCK;
        Vector c = load(trace.c + (panel * trace.state_rows + before) * LANES);
        sums[0] = fma(load(dz), c, sums[0]);
        sums[1] = fma(load(dz + LANES), c, sums[1]);
        sums[2] = fma(load(dz + GATE_O * LANES), load(new_cell(chunk, panel, row)), sums[2]);
    });
    for (int k = 0; k < 3; ++k) store(to + k * LANES, sums[k]);
}

// Gains and shifts of one panel; where inputs are normalised the bias has the shifts' gradient.
void add_norms(const Chunk &chunk, int64_t panel) {
    const VariantBackward &cell = chunk.cell;
    const VariantShape &shape = cell.forward.shape;
    const Trace &trace = cell.forward.trace;
    auto in_chunk = [&](const float *array, int64_t width, int64_t row) {
        return array + (panel * cell.chunk_rows + row) * width;
    };
    auto in_trace = [&](const float *array, int64_t width, int64_t row) {
        return array + (panel * trace.rows + chunk.trace_row + row) * width;
    };
    const float *normed = shape.norms_gates() ? cell.dnormed : cell.dz;
    for (int64_t k = 0; k < (shape.norms_gates() ? 1 : 2); ++k) {
        add_sums(chunk, GATE_COUNT, cell.dweights.gain[k] + panel * BLOCK, [&](int64_t row, int64_t at) {
            return load(in_chunk(normed, BLOCK, row) + at) * load(in_trace(trace.units[k], BLOCK, row) + at);
        });
        add_sums(chunk, GATE_COUNT, cell.dweights.shift[k] + panel * BLOCK,
                 [&](int64_t row, int64_t at) { return load(in_chunk(normed, BLOCK, row) + at); });
    }
    add_sums(chunk, 1, cell.dweights.cell_gain + panel * LANES, [&](int64_t row, int64_t) {
        return load(in_chunk(cell.dcell_normed, LANES, row)) * load(in_trace(trace.cell_unit, LANES, row));
    });
    add_sums(chunk, 1, cell.dweights.cell_shift + panel * LANES,
             [&](int64_t row, int64_t) { return load(in_chunk(cell.dcell_normed, LANES, row)); });
    if (shape.norms_inputs())
        std::copy_n(cell.dweights.shift[0] + panel * BLOCK, BLOCK, cell.dweights.gates + panel * shape.features() * BLOCK);
}

}  // namespace

// Writes the features of this member's rows.
void gather_features(const Chunk &chunk) {
    const VariantBackward &cell = chunk.cell;
    const VariantForward &forward = cell.forward;
    const VariantShape &shape = forward.shape;
    const Trace &trace = forward.trace;
    FeatureSets sets = feature_sets(shape, TILE_ROWS);
    auto [first, last] = part_of(chunk.share, chunk.rows);
    for_rows(chunk, first, last, [&](int64_t row, int64_t step, int64_t rank, int64_t before) {
        int64_t n = forward.sequences.row(rank), time = forward.sequences.time(rank, step, forward.reverse);
        auto write_at = [&](int64_t set) {
            return Writer{cell.features + set * cell.chunk_rows + row * TILE_ROWS, cell.chunk_rows * TILE_ROWS};
        };
        auto write_panels = [&](Writer writer, const auto &panel_at) {
            for (int64_t panel = 0; panel < shape.panels(); ++panel)
                for (int64_t j = 0; j < LANES; ++j) writer.append(panel_at(panel)[j]);
        };
        const float *x = forward.x + time * forward.x_step + n * forward.x_row;
        Writer inputs = write_at(0), states = write_at(sets.states), emitted = write_at(sets.emitted);
        inputs.append(1.0f);
        for (int64_t k = 0; k < shape.inputs; ++k) inputs.append(x[k]);
        const float *h = trace.h + before * shape.h_stride();
        const float *mask = forward.noise.hidden ? forward.noise.hidden + n * shape.outputs : nullptr;
        for (int64_t k = 0; k < shape.outputs; ++k) states.append(mask ? h[k] * mask[k] : h[k]);
        if (sets.after > sets.before)
            write_panels(write_at(sets.before),
                         [&](int64_t panel) { return trace.c + (panel * trace.state_rows + before) * LANES; });
        if (sets.emitted > sets.after)
            write_panels(write_at(sets.after), [&](int64_t panel) { return new_cell(chunk, panel, row); });
        if (!shape.projects()) return;
        emitted.append(1.0f);
        write_panels(emitted, [&](int64_t panel) {
            return trace.emitted + (panel * trace.rows + chunk.trace_row + row) * LANES;
        });
    });
}

// Adds this member's panels of every parameter's gradient.
void add_weight_gradients(const Chunk &chunk) {
    const VariantBackward &cell = chunk.cell;
    const VariantShape &shape = cell.forward.shape;
    FeatureSets sets = feature_sets(shape, TILE_ROWS);
    auto [first, last] = part_of(chunk.share, shape.panels());
    for (int64_t panel = first; panel < last; ++panel) {
        float *to = cell.dweights.gates + panel * shape.features() * BLOCK;
        int64_t at = panel * cell.chunk_rows * BLOCK;
        add_products<4>(chunk, 0, 1 + shape.inputs, cell.dinputs[0] + at, BLOCK, to);
        add_products<4>(chunk, sets.states, shape.outputs, cell.dinputs[1] + at, BLOCK, to + (1 + shape.inputs) * BLOCK);
        if (shape.options->peepholes) add_peepholes(chunk, panel);
        for (int64_t gate : {GATE_I, GATE_F, GATE_O})
            if (shape.has_full_peephole(gate))
                add_products<1>(chunk, gate == GATE_O ? sets.after : sets.before, shape.padded(),
                                cell.dz + at + gate * LANES, BLOCK,
                                cell.dweights.full[peephole_index(gate)] + panel * shape.padded() * LANES);
        if (shape.norms()) add_norms(chunk, panel);
    }
    if (!shape.projects()) return;
    auto [first_block, last_block] = part_of(chunk.share, shape.h_blocks());
    for (int64_t block = first_block; block < last_block; ++block)
        add_products<4>(chunk, sets.emitted, 1 + shape.padded(), cell.dprojected + block * cell.chunk_rows * BLOCK, BLOCK,
                        cell.dweights.projection + block * (1 + shape.padded()) * BLOCK);
}

// dx = dz W_ih: this member's rows.
void input_gradients(const Chunk &chunk) {
    const VariantBackward &cell = chunk.cell;
    const VariantForward &forward = cell.forward;
    const VariantShape &shape = forward.shape;
    auto [first, last] = part_of(chunk.share, chunk.rows);
    constexpr int64_t GROUP = 8 * TILE_ROWS;
    float *to[GROUP];
    for (int64_t start = first; start < last; start += GROUP) {
        int64_t end = std::min(last, start + GROUP);
        for_rows(chunk, start, end, [&](int64_t row, int64_t step, int64_t rank, int64_t) {
            int64_t time = forward.sequences.time(rank, step, forward.reverse);
            to[row - start] = cell.dx + time * cell.dx_step + forward.sequences.row(rank) * cell.dx_row;
        });
        int64_t vectors = ceil_div(shape.inputs, LANES);
        for_blocks(end - start, 0, ceil_div(vectors, 4), vectors, [&]<int ROWS, int VECTORS>(int64_t row, int64_t block) {
            Sums<ROWS, VECTORS> sums = {};
            const float *dz[ROWS];
            for (int m = 0; m < ROWS; ++m) dz[m] = cell.dinputs[0] + (start + row + m) * BLOCK;
            add_pieces<ROWS, VECTORS>(sums, dz, BLOCK, cell.chunk_rows * BLOCK, shape.panels(),
                                      cell.weights.input + block * 4 * shape.padded() * BLOCK);
            for (int m = 0; m < ROWS; ++m) {
                for (int v = 0; v < VECTORS; ++v) {
                    int64_t column = block * BLOCK + v * LANES;
                    store_part(to[row + m] + column, sums[m][v], shape.inputs - column);
                }
            }
        });
    }
}

}  // namespace GATESMITH_TARGET
