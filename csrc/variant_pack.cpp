// A variant's weights from their natural layout into the one that the kernels read, and gradients back again.
#include <algorithm>

#include "variant_chunk.h"
#include "simd.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// A group of LANES rows of a natural matrix [rows][depth] is a column of vectors, `stride` apart, when packed.
struct Group {
    float *natural;  // the group's first row
    int64_t rows;    // that there are, up to LANES
    int64_t depth;
    float *packed;
    int64_t stride;
};

void pack_group(const Group &group) {
    for (int64_t start = 0; start < group.depth; start += LANES) {
        int64_t count = std::min<int64_t>(LANES, group.depth - start);
        Vector values[LANES];
        for (int64_t j = 0; j < LANES; ++j)
            values[j] = j < group.rows ? load_part(group.natural + j * group.depth + start, count) : Vector{};
        transpose(values);
        for (int64_t k = 0; k < count; ++k) store(group.packed + (start + k) * group.stride, values[k]);
    }
}

void unpack_group(const Group &group) {
    for (int64_t start = 0; start < group.depth; start += LANES) {
        int64_t count = std::min<int64_t>(LANES, group.depth - start);
        Vector values[LANES];
        for (int64_t k = 0; k < LANES; ++k)
            values[k] = k < count ? load(group.packed + (start + k) * group.stride) : Vector{};
        transpose(values);
        for (int64_t j = 0; j < std::min<int64_t>(LANES, group.rows); ++j)
            store_part(group.natural + j * group.depth + start, values[j], count);
    }
}

// Calls f on every group of one panel's units, or of one block of outputs; a derived gate's groups have no rows.
template <class F>
void for_unit_groups(const VariantShape &shape, const gatesmith_cell &cell, const VariantWeights &packed, int64_t panel,
                     const F &f) {
    int64_t hidden = shape.hidden, unit = panel * LANES, lanes = hidden - unit;
    float *gates = packed.gates + panel * shape.features() * BLOCK;
    auto vector = [&](float *natural, float *to) {
        if (natural && to) f(Group{natural, lanes, 1, to, LANES}, true);
    };
    for (int64_t gate = 0; gate < GATE_COUNT; ++gate) {
        bool has_rows = !shape.is_derived(gate);
        int64_t row = gate * hidden + unit, at = panel * BLOCK + gate * LANES;
        f(Group{cell.w_ih + row * shape.inputs, lanes, shape.inputs, gates + BLOCK + gate * LANES, BLOCK}, has_rows);
        f(Group{cell.w_hh + row * shape.outputs, lanes, shape.outputs,
                gates + (1 + shape.inputs) * BLOCK + gate * LANES, BLOCK}, has_rows);
        if (cell.b) f(Group{cell.b + row, lanes, 1, gates + gate * LANES, BLOCK}, has_rows);
        for (int64_t k = 0; k < 2 && packed.gain[k]; ++k) {
            f(Group{cell.norm_gain[k] + row, lanes, 1, packed.gain[k] + at, BLOCK}, has_rows);
            f(Group{cell.norm_shift[k] + row, lanes, 1, packed.shift[k] + at, BLOCK}, has_rows);
        }
        if (gate == GATE_G) continue;
        int64_t index = peephole_index(gate);
        float *peephole = cell.peepholes[index];
        if (shape.has_full_peephole(gate))
            f(Group{peephole + unit * hidden, lanes, hidden, packed.full[index] + panel * shape.padded() * LANES, LANES},
              has_rows);
        else if (shape.has_peephole(gate))
            f(Group{peephole + unit, lanes, 1, packed.peepholes + (panel * 3 + index) * LANES, LANES}, has_rows);
    }
    vector(cell.norm_gain[2] ? cell.norm_gain[2] + unit : nullptr,
           packed.cell_gain ? packed.cell_gain + panel * LANES : nullptr);
    vector(cell.norm_shift[2] ? cell.norm_shift[2] + unit : nullptr,
           packed.cell_shift ? packed.cell_shift + panel * LANES : nullptr);
}

template <class F>
void for_output_groups(const VariantShape &shape, const gatesmith_cell &cell, const VariantWeights &packed,
                       int64_t block, const F &f) {
    float *to = packed.projection + block * (1 + shape.padded()) * BLOCK;
    for (int64_t v = 0; v < 4; ++v) {
        int64_t row = block * BLOCK + v * LANES, rows = std::max<int64_t>(0, shape.outputs - row);
        f(Group{cell.w_hr + std::min(row, shape.outputs - 1) * shape.hidden, rows, shape.hidden, to + BLOCK + v * LANES,
                BLOCK});
        if (cell.b_hr) f(Group{cell.b_hr + std::min(row, shape.outputs - 1), rows, 1, to + v * LANES, BLOCK});
    }
}

// Rows first .. last - 1 of [rows][columns] in column blocks of up to four vectors; `natural_row` gives null for padding.
template <class F>
void pack_columns(int64_t columns, int64_t rows, int64_t first, int64_t last, float *packed, const F &natural_row) {
    int64_t vectors = ceil_div(columns, LANES);
    for (int64_t row = first; row < last; ++row) {
        const float *from = natural_row(row);
        for (int64_t v = 0; v < vectors; ++v) {
            int64_t width = std::min<int64_t>(4, vectors - v / 4 * 4);
            float *to = packed + (v / 4 * rows * 4 + row * width + v % 4) * LANES;
            store(to, from ? load_part(from + v * LANES, columns - v * LANES) : Vector{});
        }
    }
}

}  // namespace

void variant_pack(const VariantShape &shape, const gatesmith_cell &cell, const VariantWeights &packed, int member,
                  int members) {
    auto pack = [](Group group, bool has_rows) {
        if (!has_rows) group.rows = 0;
        pack_group(group);
    };
    for (int64_t panel = shape.panels() * member / members; panel < shape.panels() * (member + 1) / members; ++panel) {
        float *bias = packed.gates + panel * shape.features() * BLOCK;
        std::fill(bias, bias + BLOCK, 0.0f);
        for (int64_t k = 0; k < 3; ++k) {
            float *full = packed.full[k] ? packed.full[k] + panel * shape.padded() * LANES : nullptr;
            if (full) std::fill(full, full + shape.padded() * LANES, 0.0f);
        }
        if (packed.peepholes) std::fill_n(packed.peepholes + panel * 3 * LANES, 3 * LANES, 0.0f);
        for_unit_groups(shape, cell, packed, panel, pack);
        for (int64_t column = 0; cell.b_also && column < BLOCK; ++column) {
            int64_t unit = panel * LANES + column % LANES, gate = column / LANES;
            if (unit < shape.hidden && !shape.is_derived(gate)) bias[column] += cell.b_also[gate * shape.hidden + unit];
        }
    }
    for (int64_t block = shape.h_blocks() * member / members;
         shape.projects() && block < shape.h_blocks() * (member + 1) / members; ++block) {
        std::fill_n(packed.projection + block * (1 + shape.padded()) * BLOCK, (1 + shape.padded()) * BLOCK, 0.0f);
        for_output_groups(shape, cell, packed, block, pack_group);
    }
}

void variant_pack_transposed(const VariantShape &shape, const gatesmith_cell &cell, const VariantTransposed &packed,
                             int member, int members) {
    int64_t rows = 4 * shape.padded(), first = rows * member / members, last = rows * (member + 1) / members;
    auto gate_row = [&](const float *weights, int64_t columns) {
        return [&shape, weights, columns](int64_t row) -> const float * {
            int64_t unit = row / BLOCK * LANES + row % LANES, gate = row % BLOCK / LANES;
            bool there = unit < shape.hidden && !shape.is_derived(gate);
            return there ? weights + (gate * shape.hidden + unit) * columns : nullptr;
        };
    };
    pack_columns(shape.outputs, rows, first, last, packed.recurrent, gate_row(cell.w_hh, shape.outputs));
    pack_columns(shape.inputs, rows, first, last, packed.input, gate_row(cell.w_ih, shape.inputs));
    first = shape.padded() * member / members, last = shape.padded() * (member + 1) / members;
    for (int64_t k = 0; k < 3; ++k) {
        for (int64_t row = first; packed.full[k] && row < last; ++row) {
            for (int64_t panel = 0; panel < shape.panels(); ++panel) {
                int64_t unit = panel * LANES;
                const float *from = cell.peepholes[k] + row * shape.hidden + unit;
                store(packed.full[k] + (panel * shape.padded() + row) * LANES,
                      row < shape.hidden ? load_part(from, shape.hidden - unit) : Vector{});
            }
        }
    }
    if (!packed.projection) return;
    rows = shape.h_blocks() * BLOCK;
    pack_columns(shape.hidden, rows, rows * member / members, rows * (member + 1) / members, packed.projection,
                 [&](int64_t row) { return row < shape.outputs ? cell.w_hr + row * shape.hidden : nullptr; });
}

void finish_weight_gradients(const VariantBackward &cell, const Share &share, bool none) {
    const VariantShape &shape = cell.forward.shape;
    auto unpack = [&](Group group, bool has_rows = true) {
        if (has_rows && !none) return unpack_group(group);
        for (int64_t j = 0; j < std::min<int64_t>(LANES, group.rows); ++j)
            std::fill_n(group.natural + j * group.depth, group.depth, 0.0f);
    };
    int64_t member = share.member, members = share.members;
    for (int64_t panel = shape.panels() * member / members; panel < shape.panels() * (member + 1) / members; ++panel) {
        gatesmith_cell gradients = cell.gradients;
        for_unit_groups(shape, gradients, cell.dweights, panel, unpack);
        std::swap(gradients.b, gradients.b_also);
        if (gradients.b) for_unit_groups(shape, gradients, cell.dweights, panel, unpack);
    }
    for (int64_t block = shape.h_blocks() * member / members;
         shape.projects() && block < shape.h_blocks() * (member + 1) / members; ++block)
        for_output_groups(shape, cell.gradients, cell.dweights, block, unpack);
}

}  // namespace GATESMITH_TARGET
