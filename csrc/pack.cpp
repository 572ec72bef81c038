// Weights from their natural layout into the one that the kernels read front to back, and gradients back again.
#include <algorithm>

#include "kernel.h"
#include "simd.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// The row of a [4H, ...] array that belongs to a column of a panel, -1 for units beyond H.
int64_t natural_row(const CellShape &shape, int64_t panel, int64_t column) {
    int64_t unit = panel * LANES + column % LANES;
    return unit < shape.hidden ? column / LANES * shape.hidden + unit : -1;
}

// to[k][column] = from[natural row of the column][k], LANES by LANES.
void transpose_panel(const CellShape &shape, int64_t panel, const float *from, int64_t depth, float *to) {
    int64_t units = std::min<int64_t>(LANES, shape.hidden - panel * LANES);
    for (int64_t start = 0; start < depth; start += LANES) {
        int64_t count = std::min<int64_t>(LANES, depth - start);
        for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
            const float *row = from + natural_row(shape, panel, gate * LANES) * depth + start;
            Vector values[LANES];
            for (int64_t j = 0; j < LANES; ++j) values[j] = j < units ? load_part(row + j * depth, count) : Vector{};
            transpose(values);
            for (int64_t k = 0; k < count; ++k) store(to + (start + k) * BLOCK + gate * LANES, values[k]);
        }
    }
}

// The inverse of transpose_panel.
void restore_panel(const CellShape &shape, int64_t panel, const float *from, int64_t depth, float *to) {
    int64_t units = std::min<int64_t>(LANES, shape.hidden - panel * LANES);
    for (int64_t start = 0; start < depth; start += LANES) {
        int64_t count = std::min<int64_t>(LANES, depth - start);
        for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
            float *row = to + natural_row(shape, panel, gate * LANES) * depth + start;
            Vector values[LANES];
            for (int64_t k = 0; k < LANES; ++k)
                values[k] = k < count ? load(from + (start + k) * BLOCK + gate * LANES) : Vector{};
            transpose(values);
            for (int64_t j = 0; j < units; ++j) store_part(row + j * depth, values[j], count);
        }
    }
}

}  // namespace

// packed[feature][gate][lane] of each panel: the bias, then w_ih, then w_hh; zero for units beyond H.
void pack(const CellShape &shape, const gatesmith_cell &cell, float *packed, int64_t first_panel, int64_t last_panel) {
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        float *to = packed + panel * shape.packed_panel();
        for (int64_t column = 0; column < BLOCK; ++column) {
            int64_t row = natural_row(shape, panel, column);
            float b = cell.b && row >= 0 ? cell.b[row] : 0.0f, also = cell.b_also && row >= 0 ? cell.b_also[row] : 0.0f;
            to[column] = b + also;
        }
        transpose_panel(shape, panel, cell.w_ih, shape.inputs, to + BLOCK);
        transpose_panel(shape, panel, cell.w_hh, shape.hidden, to + (1 + shape.inputs) * BLOCK);
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
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        const float *from = packed + panel * shape.packed_panel();
        for (int64_t column = 0; column < BLOCK; ++column) {
            int64_t row = natural_row(shape, panel, column);
            if (cell.b && row >= 0) cell.b[row] = from[column];
            if (cell.b_also && row >= 0) cell.b_also[row] = from[column];
        }
        if (cell.w_ih) restore_panel(shape, panel, from + BLOCK, shape.inputs, cell.w_ih);
        if (cell.w_hh) restore_panel(shape, panel, from + (1 + shape.inputs) * BLOCK, shape.hidden, cell.w_hh);
    }
}

}  // namespace GATESMITH_TARGET
