// Steps that run backward together, and how products over dz walk over their rows.
#pragma once

#include <algorithm>

#include "kernel.h"
#include "microkernel.h"

namespace GATESMITH_TARGET {

using gatesmith::CellBackward;
using gatesmith::CellShape;
using gatesmith::Sequences;
using gatesmith::Share;

// Steps first .. last - 1; compact rows count from their first.
struct CellChunk {
    const CellBackward &cell;
    const Share &share;
    int64_t first, last;
    int64_t compact;  // compact row, in all steps, of the chunk's first
    int64_t rows;
    float *dz;        // [panels][chunk_rows][block]
    const float *dz_later;  // of the step after the chunk, from its rank 0; null after the last one
    const float *gates;     // [panels][gates_rows][block] from the chunk's first row
    int64_t gates_rows;
};

// Calls f(row, step, rank) for the chunk's rows first .. last - 1.
template <class F>
inline void for_rows(const CellChunk &chunk, int64_t first, int64_t last, const F &f) {
    const Sequences &sequences = chunk.cell.forward.sequences;
    int64_t row = 0;
    for (int64_t step = chunk.first; step < chunk.last && row < last; ++step) {
        int64_t active = sequences.active(step, sequences.batch);
        for (int64_t rank = std::max<int64_t>(0, first - row); rank < active && row + rank < last; ++rank)
            f(row + rank, step, rank);
        row += active;
    }
}

// Likewise for the rows whose dz this member computed, or where all compute each row together, its part of them.
template <class F>
inline void for_own_rows(const CellChunk &chunk, const F &f) {
    const Share &share = chunk.share;
    if (share.split_units)
        return for_rows(chunk, chunk.rows * share.member / share.members,
                        chunk.rows * (share.member + 1) / share.members, f);
    const Sequences &sequences = chunk.cell.forward.sequences;
    int64_t row = 0;
    for (int64_t step = chunk.first; step < chunk.last; ++step) {
        int64_t active = sequences.active(step, sequences.batch);
        for (int64_t i = 0; i < share.owned(active); ++i) f(row + share.rank(i), step, share.rank(i));
        row += active;
    }
}

// total += dz W for rows of dz that lie `panel_stride` by `panel_stride` apart. Lanes beyond H are left out.
template <int ROWS, int VECTORS>
[[gnu::always_inline]] inline void add_gates(Sums<ROWS, VECTORS> &total, const float *const *dz, int64_t panel_stride,
                                             const CellShape &shape, const float *packed) {
    constexpr int AHEAD = 2 * ROWS > TILE_ROWS ? INTO_L1 : NOT_AT_ALL;  // few rows leave no bandwidth for more
    Sums<ROWS, VECTORS> sums;
    copy<ROWS, VECTORS>(sums, total);
    int64_t start = 0, whole = shape.hidden / LANES, rest = shape.hidden % LANES;
    for (int64_t panel = 0; panel < whole; ++panel) {
        // Rows lie side by side within a panel, and the next panel's are too far away for the processor to guess.
        add_rows<ROWS, VECTORS, AHEAD>(sums, dz, BLOCK, packed, VECTORS * LANES, dz[0] + start + panel_stride, start);
        packed += BLOCK * VECTORS * LANES;
        start += panel_stride;
    }
    for (int64_t gate = 0; rest && gate < GATE_COUNT; ++gate) {
        add_rows<ROWS, VECTORS>(sums, dz, rest, packed, VECTORS * LANES, nullptr, start);
        packed += LANES * VECTORS * LANES;
        start += LANES;
    }
    copy<ROWS, VECTORS>(total, sums);
}

template <class F>
[[gnu::always_inline]] inline void with_tile(int rows, int vectors, const F &f) {
    with_rows(rows, [&]<int ROWS>() {
        switch (vectors) {
        case 1: return f.template operator()<ROWS, 1>();
        case 2: return f.template operator()<ROWS, 2>();
        case 3: return f.template operator()<ROWS, 3>();
        default: return f.template operator()<ROWS, 4>();
        }
    });
}

// Calls f<ROWS, VECTORS>(block, first) for tiles that cover rows first .. last - 1 and this thread's column blocks.
template <class F>
[[gnu::always_inline]] inline void for_tiles(int64_t first, int64_t last, int64_t first_block, int64_t last_block,
                                             int64_t vectors, bool backwards, const F &f) {
    for (int64_t k = first_block; k < last_block; ++k) {
        int64_t block = backwards ? first_block + last_block - 1 - k : k;
        int width = (int)std::min<int64_t>(4, vectors - 4 * block);
        for (int64_t row = first; row < last;) {
            int tile = next_tile(last - row);
            with_tile(tile, width, [&]<int ROWS, int VECTORS>() { f.template operator()<ROWS, VECTORS>(block, row); });
            row += tile;
        }
    }
}

void gather_features(const CellChunk &, float *features);
void add_weight_gradients(const CellChunk &, const float *features, bool starts);
void input_gradients(const CellChunk &);

}  // namespace GATESMITH_TARGET
