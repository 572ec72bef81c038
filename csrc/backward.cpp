// The backward pass of one cell for one thread: step by step only dz and dz W_hh; the rest as products over chunks.
#include <algorithm>

#include "activation.h"
#include "chunk.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

void unpack(const CellShape &, const float *packed, const gatesmith_cell &, int64_t first_panel, int64_t last_panel);
void recompute_gates(const CellForward &, const Share &, float *gates, int64_t gates_rows, int64_t first_step,
                     int64_t last_step);

namespace {

// One step of a chunk.
struct Step {
    const CellChunk &chunk;
    int64_t step;
    int64_t row;             // of the chunk at rank 0
    int64_t c_row, c_before;  // rows of c at rank 0
    const float *dz_next;    // of step + 1 at rank 0
};

// dz, and the gradient of c_{t-1}, from that of h_t for the units of one panel and one row.
[[gnu::always_inline]] inline void differentiate(const Step &s, int64_t panel, int64_t rank, Vector dh) {
    const CellForward &forward = s.chunk.cell.forward;
    const float *gates = s.chunk.gates + (panel * s.chunk.gates_rows + s.row + rank) * BLOCK;
    const float *c = forward.c + panel * forward.c_rows * LANES;
    float *dc_at = s.chunk.cell.dc + (panel * forward.sequences.batch + rank) * LANES;
    float *dz = s.chunk.dz + (panel * s.chunk.cell.chunk_rows + s.row + rank) * BLOCK;
    if (!forward.runs(GATESMITH_SKIP_ACTIVATIONS)) {
        for (int gate = 0; gate < 4; ++gate) store(dz + gate * LANES, dh);
        return;
    }
    Vector one = broadcast(1.0f);
    Vector i = load(gates), f = load(gates + LANES), g = load(gates + 2 * LANES), o = load(gates + 3 * LANES);
    Vector tanh_c = tanh(load(c + (s.c_row + rank) * LANES));
    Vector dc = fma(dh * o, one - tanh_c * tanh_c, load(dc_at));
    store(dc_at, dc * f);
    store(dz, dc * g * i * (one - i));
    store(dz + LANES, dc * load(c + (s.c_before + rank) * LANES) * f * (one - f));
    store(dz + 2 * LANES, dc * i * (one - g * g));
    store(dz + 3 * LANES, dh * tanh_c * o * (one - o));
}

// dh of a tile of rows and up to four panels: dy, plus dz_{t+1} W_hh where the sequence goes on, else dh_n.
template <int ROWS, int VECTORS>
void step_tile(const Step &s, int64_t block, int64_t first, bool goes_on) {
    const CellBackward &cell = s.chunk.cell;
    const CellShape &shape = cell.forward.shape;
    const Sequences &sequences = cell.forward.sequences;
    int64_t unit = block * BLOCK;
    Sums<ROWS, VECTORS> sums;
    const float *dz[ROWS];
    for (int m = 0; m < ROWS; ++m) {
        int64_t rank = s.chunk.share.rank(first + m), row = sequences.row(rank);
        int64_t time = sequences.time(rank, s.step, cell.forward.reverse);
        const float *dy = cell.dy + time * cell.dy_step + row * cell.dy_row + unit;
        const float *dh_n = goes_on || !cell.dh_n ? nullptr : cell.dh_n + row * shape.hidden + unit;
        for (int v = 0; v < VECTORS; ++v) {
            int64_t lanes = shape.hidden - unit - v * LANES;
            sums[m][v] = load_part(dy + v * LANES, lanes);
            if (dh_n) sums[m][v] += load_part(dh_n + v * LANES, lanes);
        }
        dz[m] = goes_on ? s.dz_next + rank * BLOCK : nullptr;
    }
    if (goes_on && cell.forward.runs(GATESMITH_SKIP_RECURRENT)) {
        const float *packed = cell.packed + block * shape.gate_rows() * BLOCK;
        add_gates<ROWS, VECTORS>(sums, dz, cell.chunk_rows * BLOCK, shape, packed);
    }
#pragma GCC unroll 1
    for (int m = 0; m < ROWS; ++m) {
        int64_t rank = s.chunk.share.rank(first + m);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) differentiate(s, block * 4 + v, rank, sums[m][v]);
    }
}

// dh0 = dz_0 W_hh.
template <int ROWS, int VECTORS>
void first_state_tile(const CellBackward &cell, const Share &share, const float *dz_first, int64_t block,
                      int64_t first) {
    const CellShape &shape = cell.forward.shape;
    Sums<ROWS, VECTORS> sums = {};
    const float *dz[ROWS];
    for (int m = 0; m < ROWS; ++m) dz[m] = dz_first + share.rank(first + m) * BLOCK;
    const float *packed = cell.packed + block * shape.gate_rows() * BLOCK;
    add_gates<ROWS, VECTORS>(sums, dz, cell.chunk_rows * BLOCK, shape, packed);
    for (int m = 0; m < ROWS; ++m) {
        float *dh0 = cell.dh0 + cell.forward.sequences.row(share.rank(first + m)) * shape.hidden;
        for (int v = 0; v < VECTORS; ++v) {
            int64_t unit = block * BLOCK + v * LANES;
            store_part(dh0 + unit, sums[m][v], shape.hidden - unit);
        }
    }
}

struct Blocks {
    int64_t first, last;
};

// Column blocks of four panels that this thread differentiates.
Blocks unit_blocks(const CellShape &shape, const Share &share) {
    int64_t blocks = ceil_div(shape.panels(), 4);
    if (!share.split_units) return {0, blocks};
    return {blocks * share.member / share.members, blocks * (share.member + 1) / share.members};
}

void run_step(const Step &s, int64_t owned, int64_t going_on) {
    const CellShape &shape = s.chunk.cell.forward.shape;
    auto [first, last] = unit_blocks(shape, s.chunk.share);
    bool backwards = s.step % 2 == 1;  // what the step before read last is still in the cache
    for_tiles(0, going_on, first, last, shape.panels(), backwards, [&]<int ROWS, int VECTORS>(int64_t block, int64_t row) {
        step_tile<ROWS, VECTORS>(s, block, row, true);
    });
    for_tiles(going_on, owned, first, last, shape.panels(), backwards, [&]<int ROWS, int VECTORS>(int64_t block, int64_t row) {
        step_tile<ROWS, VECTORS>(s, block, row, false);
    });
}

void run_steps(const CellChunk &chunk) {
    const Sequences &sequences = chunk.cell.forward.sequences;
    const Share &share = chunk.share;
    int64_t row = chunk.rows;
    const float *dz_next = chunk.dz_later;
    for (int64_t step = chunk.last - 1; step >= chunk.first; --step) {
        int64_t active = sequences.active(step, sequences.batch), later = sequences.active(step + 1, active);
        row -= active;
        int64_t c_row = sequences.batch + chunk.compact + row;
        int64_t c_before = step == 0 ? 0 : c_row - sequences.active(step - 1, sequences.batch);
        run_step({chunk, step, row, c_row, c_before, dz_next}, share.owned(active), share.owned(later));
        dz_next = chunk.dz + row * BLOCK;
        if (share.split_units) share.meet();
    }
}

// dc starts as dc_n; lanes beyond H as zero.
void load_gradients(const CellBackward &cell, const Share &share) {
    const CellForward &forward = cell.forward;
    auto [first, last] = unit_blocks(forward.shape, share);
    int64_t hidden = forward.shape.hidden, batch = forward.sequences.batch;
    for (int64_t panel = 4 * first; panel < std::min(4 * last, forward.shape.panels()); ++panel) {
        for (int64_t i = 0; i < share.owned(batch); ++i) {
            int64_t rank = share.rank(i), unit = panel * LANES;
            const float *dc_n = cell.dc_n ? cell.dc_n + forward.sequences.row(rank) * hidden + unit : nullptr;
            store(cell.dc + (panel * batch + rank) * LANES, dc_n ? load_part(dc_n, hidden - unit) : Vector{});
        }
    }
}

// dh0 and dc0 of this thread's rows and units; dz_first is step 0's at rank 0.
void store_state_gradients(const CellBackward &cell, const Share &share, const float *dz_first) {
    const CellForward &forward = cell.forward;
    const Sequences &sequences = forward.sequences;
    int64_t hidden = forward.shape.hidden, batch = sequences.batch;
    int64_t started = share.owned(sequences.active(0, batch)), rows = share.owned(batch);
    auto [first, last] = unit_blocks(forward.shape, share);
    for_tiles(0, started, first, last, forward.shape.panels(), false, [&]<int ROWS, int VECTORS>(int64_t block, int64_t row) {
        first_state_tile<ROWS, VECTORS>(cell, share, dz_first, block, row);
    });
    for (int64_t i = 0; i < rows; ++i) {
        int64_t rank = share.rank(i), row = sequences.row(rank);
        for (int64_t panel = 4 * first; panel < std::min(4 * last, forward.shape.panels()); ++panel) {
            int64_t unit = panel * LANES, lanes = hidden - unit, at = row * hidden + unit;
            store_part(cell.dc0 + at, load(cell.dc + (panel * batch + rank) * LANES), lanes);
            if (i >= started) store_part(cell.dh0 + at, cell.dh_n ? load_part(cell.dh_n + at, lanes) : Vector{}, lanes);
        }
    }
}

// dx = 0 beyond every sequence's length: this member's times.
void clear_padding(const CellBackward &cell, const Share &share) {
    const Sequences &sequences = cell.forward.sequences;
    if (!sequences.lengths) return;
    for (int64_t t = share.member; t < sequences.padded_steps; t += share.members) {
        for (int64_t rank = sequences.active(t, sequences.batch); rank < sequences.batch; ++rank) {
            float *dx = cell.dx + t * cell.dx_step + sequences.row(rank) * cell.dx_row;
            std::fill(dx, dx + cell.forward.shape.inputs, 0.0f);
        }
    }
}

int64_t count_rows(const Sequences &sequences, int64_t first, int64_t last) {
    int64_t rows = 0, active = sequences.batch;
    for (int64_t step = first; step < last; ++step) rows += active = sequences.active(step, active);
    return rows;
}

}  // namespace

void backward(const CellBackward &cell, const Share &given) {
    Share share = given;
    share.first_panel = 4 * unit_blocks(cell.forward.shape, share).first;
    share.last_panel = std::min(4 * unit_blocks(cell.forward.shape, share).last, cell.forward.shape.panels());
    const CellForward &forward = cell.forward;
    const Sequences &sequences = forward.sequences;
    const CellShape &shape = forward.shape;
    if (cell.dx) clear_padding(cell, share);
    load_gradients(cell, share);
    int64_t compact = sequences.valid, last = sequences.steps;
    const float *dz_later = nullptr;
    bool starts = true;
    for (int parity = 0; last > 0; parity ^= 1) {
        int64_t first = std::max<int64_t>(0, last - cell.chunk_steps), rows = count_rows(sequences, first, last);
        compact -= rows;
        const float *gates = forward.gates ? forward.gates + compact * BLOCK : cell.chunk_gates;
        int64_t gates_rows = forward.gates ? sequences.valid : cell.chunk_rows;
        CellChunk chunk{cell, share, first, last, compact, rows, cell.dz[parity], dz_later, gates, gates_rows};
        if (!forward.gates) {
            recompute_gates(forward, share, cell.chunk_gates, cell.chunk_rows, first, last);
        }
        gather_features(chunk, cell.features[parity]);
        run_steps(chunk);
        // dx takes rows that are this member's, so that nobody waits here for one that is a little late.
        uint32_t arrived = share.arrive();
        if (cell.dx && forward.runs(GATESMITH_SKIP_INPUT)) input_gradients(chunk);
        // Everyone's dz and features are there; the other parity's buffers are free, since all have left them.
        share.wait(arrived);
        if (forward.runs(GATESMITH_SKIP_WEIGHTS)) add_weight_gradients(chunk, cell.features[parity], starts);
        dz_later = cell.dz[parity];
        starts = false;
        last = first;
    }
    store_state_gradients(cell, share, dz_later);
    int64_t first_panel = shape.panels() * share.member / share.members;
    int64_t last_panel = shape.panels() * (share.member + 1) / share.members;
    if (starts) {
        std::fill(cell.dpacked + first_panel * shape.packed_panel(), cell.dpacked + last_panel * shape.packed_panel(),
                  0.0f);
    }
    unpack(shape, cell.dpacked, cell.gradients, first_panel, last_panel);
}

}  // namespace GATESMITH_TARGET
