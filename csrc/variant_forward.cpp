// The forward pass of one cell of any specification for one thread: the loop over time, and the states at its ends.
#include "variant_steps.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

int64_t pointer_bytes(int64_t rows) {
    return round_up(rows * (int64_t)sizeof(Row) + HOISTED_ROWS * (int64_t)sizeof(float *), ALIGNMENT);
}

Scratch divide(void *memory, int64_t rows) {
    auto *all = static_cast<Row *>(memory);
    return {all, reinterpret_cast<const float **>(all + rows),
            reinterpret_cast<float *>(static_cast<char *>(memory) + pointer_bytes(rows))};
}

// Calls f(rank, panel) for the cell states, g(rank, vector) for the outputs that this thread computes.
template <class F, class G>
void for_states(const VariantForward &cell, const Share &share, int64_t first, int64_t last, const F &f, const G &g) {
    auto [first_vector, last_vector] = output_vectors(cell.shape, share);
    for (int64_t i = first; i < last; ++i) {
        for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) f(share.rank(i), panel);
        for (int64_t v = first_vector; v < last_vector; ++v) g(share.rank(i), v);
    }
}

float *c_at(const VariantForward &cell, int64_t row, int64_t panel) {
    return cell.trace.c + (panel * cell.trace.state_rows + row) * LANES;
}

float *h_at(const VariantForward &cell, int64_t row, int64_t v) {
    return cell.trace.h + row * cell.shape.h_stride() + v * LANES;
}

// h_{t-1} after recurrent dropout, of this thread's outputs.
void drop_hidden(const VariantForward &cell, const Share &share, float *hidden) {
    int64_t outputs = cell.shape.outputs;
    if (!cell.noise.hidden) return;
    for_states(
        cell, share, 0, share.rows, [](int64_t, int64_t) {},
        [&](int64_t rank, int64_t v) {
            const float *mask = cell.noise.hidden + cell.sequences.row(rank) * outputs + v * LANES;
            store(hidden + rank * cell.shape.h_stride() + v * LANES,
                  load(h_at(cell, rank, v)) * load_part(mask, outputs - v * LANES));
        });
}

// Copies c0 and h0 to where step 0 finds them.
void load_state(const VariantForward &cell, const Share &share) {
    int64_t hidden = cell.shape.hidden, outputs = cell.shape.outputs;
    for_states(
        cell, share, 0, share.rows,
        [&](int64_t rank, int64_t panel) {
            const float *from = cell.c0 + cell.sequences.row(rank) * hidden + panel * LANES;
            store(c_at(cell, rank, panel), load_part(from, hidden - panel * LANES));
        },
        [&](int64_t rank, int64_t v) {
            const float *from = cell.h0 + cell.sequences.row(rank) * outputs + v * LANES;
            store(h_at(cell, rank, v), load_part(from, outputs - v * LANES));
        });
    drop_hidden(cell, share, cell.hidden[0]);
}

// The states of one checkpoint, to or from the rows of the trace at `base`.
void copy_checkpoint(const VariantForward &cell, const Share &share, int64_t chunk, int64_t base, int64_t rows,
                     bool saves) {
    int64_t batch = cell.sequences.batch, stride = cell.shape.h_stride();
    float *c = cell.checkpoints.c + chunk * cell.shape.panels() * batch * LANES;
    float *h = cell.checkpoints.h + chunk * batch * stride;
    auto copy = [&](float *kept, float *state) { saves ? store(kept, load(state)) : store(state, load(kept)); };
    for_states(
        cell, share, 0, rows,
        [&](int64_t rank, int64_t panel) { copy(c + (panel * batch + rank) * LANES, c_at(cell, base + rank, panel)); },
        [&](int64_t rank, int64_t v) { copy(h + rank * stride + v * LANES, h_at(cell, base + rank, v)); });
}

// Writes h_n and c_n of the rows first .. last - 1, whose last valid state is at `from`.
void finish_rows(const VariantForward &cell, const Share &share, int64_t from, int64_t first, int64_t last) {
    const Sequences &sequences = cell.sequences;
    int64_t hidden = cell.shape.hidden, outputs = cell.shape.outputs;
    auto reported = [&](int64_t rank, const float *state) {
        bool dropped = cell.shape.options->drop_states && sequences.length(rank) < sequences.padded_steps;
        return dropped ? Vector{} : load(state);
    };
    for_states(
        cell, share, first, last,
        [&](int64_t rank, int64_t panel) {
            store_part(cell.c_n + sequences.row(rank) * hidden + panel * LANES,
                       reported(rank, c_at(cell, from + rank, panel)), hidden - panel * LANES);
        },
        [&](int64_t rank, int64_t v) {
            store_part(cell.h_n + sequences.row(rank) * outputs + v * LANES, reported(rank, h_at(cell, from + rank, v)),
                       outputs - v * LANES);
        });
}

// y = 0 beyond every sequence's length, of this thread's rows and outputs.
void clear_padding(const VariantForward &cell, const Share &share) {
    const Sequences &sequences = cell.sequences;
    if (!sequences.lengths) return;
    auto [first, last] = output_vectors(cell.shape, share);
    int64_t end = std::min(cell.shape.outputs, last * LANES), running = sequences.batch;
    for (int64_t t = 0; t < sequences.padded_steps; ++t) {
        running = sequences.active(t, running);
        for (int64_t i = share.owned(running); i < share.rows; ++i) {
            float *y = cell.y + t * cell.y_step + sequences.row(share.rank(i)) * cell.y_row;
            if (first * LANES < end) std::fill(y + first * LANES, y + end, 0.0f);
        }
    }
}

// Where the rows of a step are read and written; compact rows count from the first step.
void place_rows(const VariantForward &cell, const Share &share, const Scratch &scratch, int64_t step, int64_t from,
                int64_t owned) {
    const Sequences &sequences = cell.sequences;
    const float *h = cell.hidden[0] ? cell.hidden[step % 2] : cell.trace.h + from * cell.shape.h_stride();
    for (int64_t i = 0; i < owned; ++i) {
        int64_t rank = share.rank(i), n = sequences.row(rank), time = sequences.time(rank, step, cell.reverse);
        scratch.rows[i] = {rank, n, time, cell.x + time * cell.x_step + n * cell.x_row,
                           h + rank * cell.shape.h_stride(), cell.y + time * cell.y_step + n * cell.y_row};
    }
}

// Steps first .. last - 1, or as many of them as there are, from the states at rank 0 and following.
void run_steps(const VariantForward &cell, const Share &share, int64_t first, int64_t last, bool writes) {
    const Sequences &sequences = cell.sequences;
    Scratch scratch = divide(share.scratch, share.rows);
    int64_t batch = sequences.batch, active = sequences.active(first, batch), running = share.rows;
    bool hoist = last - first > 1 && share.rows < HOIST_BELOW_ROWS;
    int64_t from = 0, compact = 0, projected_row = hoist ? 0 : -1, projected_until = first;
    for (int64_t step = first;; ++step) {
        active = step < last ? sequences.active(step, active) : 0;
        int64_t owned = share.owned(active);
        if (writes) finish_rows(cell, share, from, owned, running);
        running = owned;
        if (active == 0) return;
        if (writes && cell.checkpoints.c && step % cell.chunk_steps == 0)
            copy_checkpoint(cell, share, step / cell.chunk_steps, from, owned, true);
        if (hoist && step == projected_until) {
            projected_until += project_inputs(cell, share, scratch, step, last, active);
            projected_row = 0;
        }
        place_rows(cell, share, scratch, step, from, owned);
        int64_t to = cell.keeps_steps ? batch + compact : (step - first + 1) % 2 * batch;
        float *hidden = cell.hidden[0] ? cell.hidden[(step + 1) % 2] : nullptr;
        run_step({cell, share, scratch, owned, from, to, cell.keeps_steps ? compact : 0, hidden, projected_row, writes},
                 step % 2 == 1);
        if (share.split_units) share.meet();
        from = to;
        compact += active;
        if (hoist) projected_row += owned;
    }
}

}  // namespace

int64_t variant_scratch_bytes(const VariantShape &shape, int64_t rows) {
    return pointer_bytes(rows) + HOISTED_ROWS * shape.panels() * BLOCK * (int64_t)sizeof(float);
}

void variant_forward(const VariantForward &cell, const Share &share) {
    clear_padding(cell, share);
    load_state(cell, share);
    if (share.split_units) share.meet();
    run_steps(cell, share, 0, cell.sequences.steps, true);
}

void retrace(const VariantForward &cell, const Share &share, int64_t first, int64_t last) {
    const Sequences &sequences = cell.sequences;
    int64_t rows = share.owned(sequences.active(first, sequences.batch));
    copy_checkpoint(cell, share, first / cell.chunk_steps, 0, rows, false);
    drop_hidden(cell, share, cell.hidden[first % 2]);
    if (share.split_units) share.meet();
    run_steps(cell, share, first, last, false);
}

}  // namespace GATESMITH_TARGET
