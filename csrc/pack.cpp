// Weights from their natural layout into the one that the kernels read front to back, and gradients back again.
#include <algorithm>

#include "kernel.h"
#include "simd.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

// packed[feature][gate][lane] of each panel: the bias, then w_ih, then w_hh; zero for units beyond H.
void pack(const CellShape &shape, const gatesmith_cell &cell, float *packed, int64_t first_panel, int64_t last_panel) {
    int64_t hidden = shape.hidden, inputs = shape.inputs;
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        for (int column = 0; column < BLOCK; ++column) {
            float *to = packed + panel * shape.packed_panel() + column;
            int64_t unit = panel * LANES + column % LANES, row = column / LANES * hidden + unit;
            bool real = unit < hidden;
            to[0] = real ? (cell.b ? cell.b[row] : 0.0f) + (cell.b_also ? cell.b_also[row] : 0.0f) : 0.0f;
            for (int64_t k = 0; k < inputs; ++k) to[(1 + k) * BLOCK] = real ? cell.w_ih[row * inputs + k] : 0.0f;
            to += (1 + inputs) * BLOCK;
            for (int64_t k = 0; k < hidden; ++k) to[k * BLOCK] = real ? cell.w_hh[row * hidden + k] : 0.0f;
        }
    }
}

namespace {

// Column blocks of up to 4 vectors; a row is one gate of one unit in the order of the panels.
void pack_transposed(const CellShape &shape, const float *weights, int64_t columns, float *packed, int64_t first_row,
                     int64_t last_row) {
    int64_t vectors = ceil_div(columns, LANES);
    for (int64_t row = first_row; row < last_row; ++row) {
        int64_t unit = row / BLOCK * LANES + row % LANES, gate = row % BLOCK / LANES;
        const float *from = weights + (gate * shape.hidden + unit) * columns;
        for (int64_t v = 0; v < vectors; ++v) {
            int64_t block = v / 4, width = std::min<int64_t>(4, vectors - 4 * block);
            float *to = packed + (block * shape.gate_rows() * 4 + row * width + v % 4) * LANES;
            int64_t lanes = columns - v * LANES;
            store(to, unit < shape.hidden ? load_part(from + v * LANES, lanes) : Vector{});
        }
    }
}

}  // namespace

void pack_backward(const CellShape &shape, const gatesmith_cell &cell, float *packed, int member, int members) {
    int64_t first = shape.gate_rows() * member / members, last = shape.gate_rows() * (member + 1) / members;
    pack_transposed(shape, cell.w_hh, shape.hidden, packed, first, last);
    pack_transposed(shape, cell.w_ih, shape.inputs, packed + shape.packed_recurrent(), first, last);
}

// The inverse of `pack` for the gradients of some panels.
void unpack(const CellShape &shape, const float *packed, const gatesmith_cell &cell, int64_t first_panel,
            int64_t last_panel) {
    int64_t hidden = shape.hidden, inputs = shape.inputs;
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        for (int column = 0; column < BLOCK; ++column) {
            const float *from = packed + panel * shape.packed_panel() + column;
            int64_t unit = panel * LANES + column % LANES, row = column / LANES * hidden + unit;
            if (unit >= hidden) continue;
            if (cell.b) cell.b[row] = from[0];
            if (cell.b_also) cell.b_also[row] = from[0];
            for (int64_t k = 0; k < inputs; ++k) cell.w_ih[row * inputs + k] = from[(1 + k) * BLOCK];
            from += (1 + inputs) * BLOCK;
            for (int64_t k = 0; k < hidden; ++k) cell.w_hh[row * hidden + k] = from[k * BLOCK];
        }
    }
}

}  // namespace GATESMITH_TARGET
