// The forward pass of one cell for one thread: pre-activations of a tile in registers, then the gates on them.
#include <algorithm>
#include <optional>

#include "activation.h"
#include "kernel.h"
#include "microkernel.h"
#include "short_rows.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// Below this many rows the weights of the input would be read from memory at every step for little work, and above
// this many weights they come from afar: then the input projection of many steps is one product.
constexpr int64_t HOIST_BELOW_ROWS = TILE_ROWS;
constexpr int64_t HOIST_ABOVE_WEIGHTS = 1 << 22;
constexpr int64_t HOISTED_ROWS = 8 * TILE_ROWS;
constexpr int64_t HOISTED_STEPS = 4;

bool hoists(const CellShape &shape, int64_t rows) {
    return rows < HOIST_BELOW_ROWS || shape.packed() > HOIST_ABOVE_WEIGHTS;
}

// Rows of a chunk whose input projection is one product.
int64_t hoisted_rows(const CellShape &shape, int64_t rows) {
    return hoists(shape, rows) ? std::max(HOISTED_ROWS, HOISTED_STEPS * rows) : 0;
}

struct Scratch {
    const float **x;       // [rows]
    const float **h;       // [rows] h_{t-1}
    float **y;             // [rows]
    const float **chunk;   // [chunk_rows] x of a chunk of steps
    float *projected;      // [panels][chunk_rows][block]
    int64_t chunk_rows;
    void *short_rows;
};

int64_t pointers_bytes(int64_t rows, int64_t chunk_rows) {
    return round_up((3 * rows + chunk_rows) * (int64_t)sizeof(float *), ALIGNMENT);
}

Scratch divide(void *memory, const CellShape &shape, int64_t rows) {
    int64_t chunk_rows = hoisted_rows(shape, rows);
    auto **pointers = static_cast<const float **>(memory);
    auto *projected = reinterpret_cast<float *>(static_cast<char *>(memory) + pointers_bytes(rows, chunk_rows));
    return {pointers, pointers + rows, const_cast<float **>(pointers + 2 * rows), pointers + 3 * rows, projected,
            chunk_rows, projected + chunk_rows * shape.panels() * BLOCK};
}

// One step of some rows.
struct Step {
    const CellForward &cell;
    const Share &share;
    const Scratch &scratch;
    int64_t c_from, c_to;    // rows of c at rank 0: read, written
    int64_t compact;         // compact row at rank 0
    float *h;                // row of h_t at rank 0
    int64_t projected_row;   // of `projected` at this thread's first row; -1 where x is still to be multiplied
};

template <int ROWS>
[[gnu::always_inline]] inline void activate(Sums<ROWS, 4> &sums, const Step &s, int64_t panel, int64_t first) {
    const CellForward &cell = s.cell;
    int64_t lanes = std::min<int64_t>(LANES, cell.shape.hidden - panel * LANES);
    float *c = cell.c + panel * cell.c_rows * LANES;
#pragma GCC unroll 1
    for (int m = 0; m < ROWS; ++m) {
        int64_t rank = s.share.rank(first + m);
        Vector i = sums[m][0], f = sums[m][1], g = sums[m][2], o = sums[m][3];
        bool runs = cell.runs(GATESMITH_SKIP_ACTIVATIONS);
        if (runs) i = sigmoid(i), f = sigmoid(f), g = tanh(g), o = sigmoid(o);
        Vector cell_state = fma(f, load(c + (s.c_from + rank) * LANES), i * g);
        store(c + (s.c_to + rank) * LANES, cell_state);
        Vector h = o * (runs ? tanh(cell_state) : cell_state);
        store(s.h + rank * cell.h_stride + panel * LANES, h);
        store_part(s.scratch.y[first + m] + panel * LANES, h, lanes);
        if (cell.gates) {
            float *gates = cell.gates + (panel * cell.sequences.valid + s.compact + rank) * BLOCK;
            store(gates, i);
            store(gates + LANES, f);
            store(gates + 2 * LANES, g);
            store(gates + 3 * LANES, o);
        }
    }
}

template <int ROWS>
void step_tile(const Step &s, int64_t panel, int64_t first, const float *ahead) {
    const CellShape &shape = s.cell.shape;
    const float *packed = s.cell.packed + panel * shape.packed_panel();
    Sums<ROWS, 4> sums;
    if (s.projected_row < 0) {
        load_sums<ROWS, 4>(sums, packed, 0);
        if (s.cell.runs(GATESMITH_SKIP_INPUT))
            add_rows<ROWS, 4, INTO_L2>(sums, s.scratch.x + first, shape.inputs, packed + BLOCK, BLOCK, ahead);
    } else {
        const float *projected = s.scratch.projected +
            ((panel - s.share.first_panel) * s.scratch.chunk_rows + s.projected_row + first) * BLOCK;
        load_sums<ROWS, 4>(sums, projected, BLOCK);
    }
    if (s.cell.runs(GATESMITH_SKIP_RECURRENT))
        add_rows<ROWS, 4, INTO_L2>(sums, s.scratch.h + first, shape.hidden, packed + (1 + shape.inputs) * BLOCK, BLOCK,
                                   s.projected_row < 0 ? ahead + shape.inputs * LINE : ahead);
    Sums<ROWS, 4> done;
    copy<ROWS, 4>(done, sums);
    activate<ROWS>(done, s, panel, first);
}

// projected[row] = b + x W_ih for a tile of the chunk's rows.
template <int ROWS>
void project_tile(const CellForward &cell, const Scratch &scratch, int64_t panel, int64_t first_panel, int64_t first) {
    const float *packed = cell.packed + panel * cell.shape.packed_panel();
    Sums<ROWS, 4> sums;
    load_sums<ROWS, 4>(sums, packed, 0);
    if (cell.runs(GATESMITH_SKIP_INPUT))
        add_rows<ROWS, 4>(sums, scratch.chunk + first, cell.shape.inputs, packed + BLOCK, BLOCK);
    float *projected = scratch.projected + ((panel - first_panel) * scratch.chunk_rows + first) * BLOCK;
    for (int m = 0; m < ROWS; ++m)
        for (int v = 0; v < 4; ++v) store(projected + m * BLOCK + v * LANES, sums[m][v]);
}

// Every other step takes the panels in the opposite order, so that it starts with weights that are still in the cache.
void run_step(const Step &s, int64_t rows, bool backwards) {
    int64_t panels = s.share.last_panel - s.share.first_panel;
    int64_t panel_floats = s.cell.shape.packed_panel();
    for (int64_t k = 0; k < panels; ++k) {
        int64_t panel = s.share.first_panel + (backwards ? panels - 1 - k : k);
        int64_t next = k + 1 == panels ? panel : backwards ? panel - 1 : panel + 1;
        for (int64_t first = 0; first < rows;) {
            int tile = next_tile(rows - first);
            // The last four tiles ask for a quarter of the next panel each.
            int64_t quarter = 3 - (rows - first - tile + TILE_ROWS - 1) / TILE_ROWS;
            const float *ahead = s.cell.packed +
                (quarter < 0 ? panel * panel_floats : next * panel_floats + quarter * (panel_floats / 4));
            with_rows(tile, [&]<int ROWS>() { step_tile<ROWS>(s, panel, first, ahead); });
            first += tile;
        }
    }
}

void project(const CellForward &cell, const Share &share, const Scratch &scratch, int64_t rows) {
    for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
        for (int64_t first = 0; first < rows;) {
            int tile = next_tile(rows - first);
            with_rows(tile, [&]<int ROWS>() { project_tile<ROWS>(cell, scratch, panel, share.first_panel, first); });
            first += tile;
        }
    }
}

// Number of steps from `step` whose rows fit one chunk; fills in where their x lies.
int64_t gather_chunk(const CellForward &cell, const Share &share, const Scratch &scratch, int64_t step,
                     int64_t active, int64_t *rows) {
    const Sequences &sequences = cell.sequences;
    int64_t filled = 0, start = step;
    for (; step < sequences.steps; ++step) {
        active = sequences.active(step, active);
        int64_t owned = share.owned(active);
        if (filled + owned > scratch.chunk_rows || step - start >= scratch.chunk_rows) break;
        for (int64_t i = 0; i < owned; ++i) {
            int64_t rank = share.rank(i);
            scratch.chunk[filled++] = cell.x + sequences.time(rank, step, cell.reverse) * cell.x_step +
                sequences.row(rank) * cell.x_row;
        }
    }
    *rows = filled;
    return step - start;
}

// Copies this thread's units of c0 and h0 to where step 0 reads them; lanes beyond H become 0.
void load_state(const CellForward &cell, const Share &share) {
    int64_t rows = share.rows, hidden = cell.shape.hidden;
    for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
        for (int64_t i = 0; i < rows; ++i) {
            int64_t rank = share.rank(i);
            int64_t unit = panel * LANES, from = cell.sequences.row(rank) * hidden + unit;
            store(cell.c + (panel * cell.c_rows + rank) * LANES, load_part(cell.c0 + from, hidden - unit));
            store(cell.h[0] + rank * cell.h_stride + unit, load_part(cell.h0 + from, hidden - unit));
        }
    }
}

// Writes h_n and c_n of the rows first .. last - 1, whose last valid state is h[i] and row `c_from` + rank of c.
void finish_rows(const CellForward &cell, const Share &share, const float *const *h, int64_t c_from, int64_t first,
                 int64_t last) {
    int64_t hidden = cell.shape.hidden;
    for (int64_t i = first; i < last; ++i) {
        int64_t rank = share.rank(i), row = cell.sequences.row(rank);
        for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
            int64_t unit = panel * LANES, lanes = hidden - unit;
            store_part(cell.h_n + row * hidden + unit, load_part(h[i] + unit, lanes), lanes);
            Vector c = load(cell.c + (panel * cell.c_rows + c_from + rank) * LANES);
            store_part(cell.c_n + row * hidden + unit, c, lanes);
        }
    }
}

// y = 0 beyond every sequence's length; time by time, so that what is written lies close together.
void clear_padding(const CellForward &cell, const Share &share) {
    const Sequences &sequences = cell.sequences;
    if (!sequences.lengths) return;
    int64_t unit = share.first_panel * LANES, end = std::min(cell.shape.hidden, share.last_panel * LANES);
    int64_t running = sequences.batch;
    for (int64_t t = 0; t < sequences.padded_steps; ++t) {
        running = sequences.active(t, running);
        for (int64_t i = share.owned(running); i < share.rows; ++i) {
            float *y = cell.y + t * cell.y_step + sequences.row(share.rank(i)) * cell.y_row;
            std::fill(y + unit, y + end, 0.0f);
        }
    }
}

}  // namespace

int64_t forward_scratch_bytes(const CellShape &shape, int64_t rows) {
    int64_t chunk_rows = std::max(HOISTED_ROWS, hoisted_rows(shape, rows));
    return pointers_bytes(rows, chunk_rows) + chunk_rows * shape.panels() * BLOCK * (int64_t)sizeof(float) +
        ShortRows::bytes(shape, rows);
}

namespace {

// Asks for the x and y that rows[i] reads and writes one step later: rows of a sorted batch lie in no order that the
// processor would guess. Longer rows are streams that it does guess after the first lines.
void prefetch_row(const CellForward &cell, const float *x, const float *y) {
    constexpr int64_t LINE = 16, LINES = 4;
    for (int64_t k = 0; k < std::min(cell.shape.inputs, LINES * LINE); k += LINE) __builtin_prefetch(x + k, 0, 2);
    for (int64_t k = 0; k < std::min(cell.shape.hidden, LINES * LINE); k += LINE) __builtin_prefetch(y + k, 1, 2);
}

}  // namespace

void forward(const CellForward &cell, const Share &share) {
    const Sequences &sequences = cell.sequences;
    int64_t rows = share.rows, active = sequences.batch;
    Scratch scratch = divide(share.scratch, cell.shape, rows);
    std::optional<ShortRows> short_rows;
    if (ShortRows::pay(cell, share)) short_rows.emplace(cell, share, scratch.short_rows);
    else clear_padding(cell, share);
    load_state(cell, share);
    if (share.split_units) share.meet();
    int64_t later = cell.reverse ? -1 : 1;
    for (int64_t i = 0; i < rows; ++i) {
        int64_t rank = share.rank(i), row = sequences.row(rank), time = sequences.time(rank, 0, cell.reverse);
        scratch.h[i] = cell.h[0] + rank * cell.h_stride;
        scratch.x[i] = cell.x + time * cell.x_step + row * cell.x_row;
        scratch.y[i] = cell.y + time * cell.y_step + row * cell.y_row;
        if (short_rows) scratch.x[i] = short_rows->x(i), scratch.y[i] = short_rows->unread();
    }
    bool hoist = sequences.steps > 1 && hoists(cell.shape, rows);
    int64_t c_from = 0, compact = 0, chunk_end = 0, projected_row = hoist ? 0 : -1, running = rows;
    for (int64_t step = 0;; ++step) {
        active = sequences.active(step, active);
        int64_t owned = share.owned(active);
        finish_rows(cell, share, scratch.h, c_from, owned, running);
        running = owned;
        if (active == 0) break;
        if (hoist && step == chunk_end) {
            int64_t chunk_rows;
            chunk_end += gather_chunk(cell, share, scratch, step, active, &chunk_rows);
            project(cell, share, scratch, chunk_rows);
            projected_row = 0;
        }
        if (short_rows) short_rows->gather(step, owned);
        int64_t c_to = cell.c_kept ? sequences.batch + compact : 0;
        run_step({cell, share, scratch, c_from, c_to, compact, cell.h[(step + 1) % 2], projected_row}, owned,
                 step % 2 == 1);
        if (share.split_units) share.meet();
        if (short_rows) short_rows->scatter(step, owned, cell.h[(step + 1) % 2]);
        for (int64_t i = 0; i < owned; ++i) {
            scratch.h[i] = cell.h[(step + 1) % 2] + share.rank(i) * cell.h_stride;
            if (short_rows) continue;
            scratch.x[i] += later * cell.x_step;
            scratch.y[i] += later * cell.y_step;
            if (sequences.lengths)
                prefetch_row(cell, scratch.x[i] + later * cell.x_step, scratch.y[i] + later * cell.y_step);
        }
        c_from = c_to;
        compact += active;
        if (hoist) projected_row += owned;
    }
    for (int64_t t = sequences.steps; short_rows && t < sequences.padded_steps; ++t) short_rows->scatter(t, 0, nullptr);
}

namespace {

// Rows of several steps whose gates are computed again, all at once since every h is known.
struct Rows {
    int64_t count = 0;
    const float *x[HOISTED_ROWS], *h[HOISTED_ROWS];
    int64_t to[HOISTED_ROWS];
};

template <int ROWS>
void gates_tile(const CellForward &cell, const Rows &rows, int64_t panel, int64_t first, float *gates) {
    const CellShape &shape = cell.shape;
    const float *packed = cell.packed + panel * shape.packed_panel();
    Sums<ROWS, 4> sums;
    load_sums<ROWS, 4>(sums, packed, 0);
    add_rows<ROWS, 4>(sums, rows.x + first, shape.inputs, packed + BLOCK, BLOCK);
    add_rows<ROWS, 4>(sums, rows.h + first, shape.hidden, packed + (1 + shape.inputs) * BLOCK, BLOCK);
#pragma GCC unroll 1
    for (int m = 0; m < ROWS; ++m) {
        float *to = gates + rows.to[first + m] * BLOCK;
        store(to, sigmoid(sums[m][0]));
        store(to + LANES, sigmoid(sums[m][1]));
        store(to + 2 * LANES, tanh(sums[m][2]));
        store(to + 3 * LANES, sigmoid(sums[m][3]));
    }
}

void compute_gates(const CellForward &cell, const Share &share, const Rows &rows, float *gates, int64_t gates_rows) {
    for (int64_t panel = share.first_panel; panel < share.last_panel; ++panel) {
        for (int64_t first = 0; first < rows.count;) {
            int tile = next_tile(rows.count - first);
            with_rows(tile, [&]<int ROWS>() {
                gates_tile<ROWS>(cell, rows, panel, first, gates + panel * gates_rows * BLOCK);
            });
            first += tile;
        }
    }
}

}  // namespace

// Gates of the steps first_step .. last_step - 1 from x and y: [panels][gates_rows][block], this thread's share.
void recompute_gates(const CellForward &cell, const Share &share, float *gates, int64_t gates_rows, int64_t first_step,
                     int64_t last_step) {
    const Sequences &sequences = cell.sequences;
    Rows rows;
    int64_t row = 0, active = sequences.batch;
    for (int64_t step = first_step; step < last_step; ++step, row += active) {
        active = sequences.active(step, active);
        for (int64_t i = 0; i < share.owned(active); ++i) {
            int64_t rank = share.rank(i), n = sequences.row(rank), time = sequences.time(rank, step, cell.reverse);
            rows.x[rows.count] = cell.x + time * cell.x_step + n * cell.x_row;
            rows.h[rows.count] = step == 0 ? cell.h0 + n * cell.shape.hidden
                : cell.y + (cell.reverse ? time + 1 : time - 1) * cell.y_step + n * cell.y_row;
            rows.to[rows.count++] = row + rank;
            if (rows.count < HOISTED_ROWS) continue;
            compute_gates(cell, share, rows, gates, gates_rows);
            rows.count = 0;
        }
    }
    compute_gates(cell, share, rows, gates, gates_rows);
}

}  // namespace GATESMITH_TARGET
