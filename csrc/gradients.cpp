// What a chunk of the backward pass does beside its steps: gradients of the weights and of the inputs.
#include <cstring>

#include "chunk.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// Features first .. first + TILE_ROWS - 1 of (1, x, h) of some rows, side by side.
void gather_tile(const CellShape &shape, const float *const *x, const float *const *h, int64_t rows, int64_t first,
                 float *to) {
    int64_t inputs = shape.inputs, end = std::min<int64_t>(first + TILE_ROWS, shape.features());
    bool of_h = first > inputs, of_x = first > 0 && end <= 1 + inputs;
    if ((of_h || of_x) && end - first == TILE_ROWS) {
        const float *const *from = of_h ? h : x;
        int64_t start = first - 1 - (of_h ? inputs : 0);
        for (int64_t i = 0; i < rows; ++i) std::memcpy(to + i * TILE_ROWS, from[i] + start, TILE_ROWS * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = first; k < end; ++k)
            to[i * TILE_ROWS + k - first] = k == 0 ? 1.0f : k <= inputs ? x[i][k - 1] : h[i][k - 1 - inputs];
}

template <int ROWS>
void weight_tile(const CellChunk &chunk, const float *features, int64_t panel, int64_t feature, bool starts) {
    const CellBackward &cell = chunk.cell;
    float *to = cell.dpacked + panel * cell.forward.shape.packed_panel() + feature * BLOCK;
    Sums<ROWS, 4> sums = {};
    if (!starts)
        for (int m = 0; m < ROWS; ++m)
            for (int v = 0; v < 4; ++v) sums[m][v] = load(to + m * BLOCK + v * LANES);
    add_columns<ROWS, 4>(sums, features + feature * cell.chunk_rows, TILE_ROWS, chunk.rows,
                         chunk.dz + panel * cell.chunk_rows * BLOCK, BLOCK);
    for (int m = 0; m < ROWS; ++m)
        for (int v = 0; v < 4; ++v) store(to + m * BLOCK + v * LANES, sums[m][v]);
}

}  // namespace

// Writes 1, x and h_{t-1} of this member's rows, TILE_ROWS features beside each other, as dW's product reads them.
void gather_features(const CellChunk &chunk, float *features) {
    const CellForward &cell = chunk.cell.forward;
    const Sequences &sequences = cell.sequences;
    constexpr int64_t GROUP = 32;  // rows whose features the cache next to the processor holds
    int64_t tile_stride = chunk.cell.chunk_rows * TILE_ROWS;
    int64_t first = chunk.rows * chunk.share.member / chunk.share.members;
    int64_t last = chunk.rows * (chunk.share.member + 1) / chunk.share.members;
    const float *x[GROUP], *h[GROUP];
    for (int64_t start = first; start < last; start += GROUP) {
        int64_t end = std::min(last, start + GROUP);
        for_rows(chunk, start, end, [&](int64_t row, int64_t step, int64_t rank) {
            int64_t n = sequences.row(rank), time = sequences.time(rank, step, cell.reverse);
            x[row - start] = cell.x + time * cell.x_step + n * cell.x_row;
            h[row - start] = step == 0 ? cell.h0 + n * cell.shape.hidden
                : cell.y + (cell.reverse ? time + 1 : time - 1) * cell.y_step + n * cell.y_row;
        });
        float *to = features + start * TILE_ROWS;
        for (int64_t feature = 0; feature < cell.shape.features(); feature += TILE_ROWS, to += tile_stride)
            gather_tile(cell.shape, x, h, end - start, feature, to);
    }
}

// dW and db, in the layout of the packed weights: this member's panels.
void add_weight_gradients(const CellChunk &chunk, const float *features, bool starts) {
    const CellShape &shape = chunk.cell.forward.shape;
    int64_t count = shape.features(), whole = count / TILE_ROWS * TILE_ROWS;
    int64_t first = shape.panels() * chunk.share.member / chunk.share.members;
    int64_t last = shape.panels() * (chunk.share.member + 1) / chunk.share.members;
    for (int64_t panel = first; panel < last; ++panel) {
        for (int64_t feature = 0; feature < whole; feature += TILE_ROWS)
            weight_tile<TILE_ROWS>(chunk, features, panel, feature, starts);
        if (whole < count)
            with_rows((int)(count - whole),
                      [&]<int ROWS>() { weight_tile<ROWS>(chunk, features, panel, whole, starts); });
    }
}

// dx = dz W_ih: this member's rows.
void input_gradients(const CellChunk &chunk) {
    const CellBackward &cell = chunk.cell;
    const CellForward &forward = cell.forward;
    const CellShape &shape = forward.shape;
    const float *packed = cell.packed + shape.packed_recurrent();
    constexpr int64_t GROUP = 8 * TILE_ROWS;
    const float *dz[GROUP];
    float *dx[GROUP];
    int64_t rows = 0, vectors = ceil_div(shape.inputs, LANES);
    auto tile = [&]<int ROWS, int VECTORS>(int64_t block, int64_t row) {
        Sums<ROWS, VECTORS> sums = {};
        add_gates<ROWS, VECTORS>(sums, dz + row, cell.chunk_rows * BLOCK, shape,
                                 packed + block * shape.gate_rows() * BLOCK);
        for (int m = 0; m < ROWS; ++m) {
            for (int v = 0; v < VECTORS; ++v) {
                int64_t column = block * BLOCK + v * LANES;
                store_part(dx[row + m] + column, sums[m][v], shape.inputs - column);
            }
        }
    };
    for_own_rows(chunk, [&](int64_t row, int64_t step, int64_t rank) {
        int64_t time = forward.sequences.time(rank, step, forward.reverse);
        dz[rows] = chunk.dz + row * BLOCK;
        dx[rows] = cell.dx + time * cell.dx_step + forward.sequences.row(rank) * cell.dx_row;
        if (++rows < GROUP) return;
        for_tiles(0, rows, 0, ceil_div(vectors, 4), vectors, false, tile);
        rows = 0;
    });
    for_tiles(0, rows, 0, ceil_div(vectors, 4), vectors, false, tile);
}

}  // namespace GATESMITH_TARGET
