// Where everything lies: sizes and offsets of packed weights, tapes and workspaces, in floats unless named otherwise.
#pragma once

#include <cstdint>

#include "gatesmith.h"

namespace gatesmith {

constexpr int64_t ALIGNMENT = 64;  // bytes

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// One cell's sizes. A panel is `lanes` hidden units; a block is one row of a panel: their four gates, 4 * lanes floats.
struct CellShape {
    int64_t inputs;  // D of this layer
    int64_t hidden;  // H
    int64_t lanes;

    int64_t panels() const { return ceil_div(hidden, lanes); }
    int64_t block() const { return 4 * lanes; }
    int64_t padded() const { return panels() * lanes; }
    int64_t h_stride() const { return padded() + 16; }
    // Rows of a packed panel: the bias, then one row of weights for each input and each hidden unit.
    int64_t features() const { return 1 + inputs + hidden; }

    // Forward: [panels][features][block].
    int64_t packed_panel() const { return features() * block(); }
    int64_t packed() const { return panels() * packed_panel(); }

    // Backward: the transposed w_hh, then w_ih, each in column blocks of up to 4 vectors: [4H padded][vectors * lanes].
    int64_t gate_rows() const { return 4 * padded(); }
    int64_t packed_recurrent() const { return gate_rows() * padded(); }
    int64_t packed_input() const { return gate_rows() * round_up(inputs, lanes); }
    int64_t packed_backward() const { return packed_recurrent() + packed_input(); }
};

inline CellShape cell_shape(const gatesmith_spec &spec, int64_t layer, int64_t lanes) {
    return {layer == 0 ? spec.input_size : spec.directions * spec.hidden_size, spec.hidden_size, lanes};
}

}  // namespace gatesmith
