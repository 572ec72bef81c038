// Codes of sequences into the lanes of a group and out of them.
#pragma once

#include "fixed_layout.h"

namespace GATESMITH_TARGET {
namespace {

// Sequences in one vector of a group.
template <class V>
constexpr int WIDTH = GROUP<V> / VECTORS;

// The codes of each sequence of a vector, or null where there is none.
template <class V, class Integer>
using Rows = Integer *[WIDTH<V>];

// Codes that the cell reads as they are given, or rounded and saturated.
struct Conversion {
    bool needed;
    Rounding round;
    int64_t high;

    Conversion() : needed(false), round(0), high(0) {}
    Conversion(const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run)
        : needed(run.x_round || run.x_given_width > cell.x_width),
          round(run.x_round),
          high(((int64_t)1 << (cell.x_width - 1)) - 1) {}

    int64_t operator()(int64_t code) const { return needed ? std::clamp(round(code), -high - 1, high) : code; }
};

// Whether the outputs of a group go past the cache: they are more than the core's own would keep until somebody reads
// them (with that reading a run is faster too), and those of a step follow each other without a gap, in whole lines.
template <class V>
bool outputs_stream(const gatesmith_fixed_run &run, const int64_t *order, int64_t outputs) {
    constexpr int64_t KEPT_BYTES = 1 << 20, CODE = sizeof(int64_t), LINE = 64;
    if (!CAN_STREAM || run.steps * run.batch * outputs * CODE < KEPT_BYTES || run.y_row != outputs) return false;
    for (int64_t lane = 1; lane < GROUP<V>; ++lane) {
        if (order[lane] != order[0] + lane || run.lengths[order[lane]] != run.lengths[order[0]]) return false;
    }
    return ((uintptr_t)(run.y + order[0] * outputs) | run.y_step * CODE) % LINE == 0;
}

// The operands of one vector of sequences from `count` codes of each; the next vector's stand between them.
inline void put_rows(
    LongVector *words, const Rows<LongVector, const int64_t> &rows, int64_t count, const Conversion &convert
) {
    for (int lane = 0; lane < WIDTH<LongVector>; ++lane) {
        auto to = reinterpret_cast<int64_t *>(words) + lane;
        for (int64_t at = 0; rows[lane] && at < count; ++at) to[at * GROUP<LongVector>] = convert(rows[lane][at]);
    }
}

inline void take_rows(const LongVector *words, const Rows<LongVector, int64_t> &rows, int64_t count) {
    for (int lane = 0; lane < WIDTH<LongVector>; ++lane) {
        auto from = reinterpret_cast<const int64_t *>(words) + lane;
        for (int64_t at = 0; rows[lane] && at < count; ++at) rows[lane][at] = from[at * GROUP<LongVector>];
    }
}

// As above, two codes to a word: a vector of words of one sequence becomes, turned, one word of a vector of sequences.
constexpr int64_t TURN = 2 * LANES;  // codes of each sequence that are turned at a time

inline void put_rows(
    IntVector *words, const Rows<IntVector, const int64_t> &rows, int64_t count, const Conversion &convert
) {
    for (int64_t first = 0; first < count; first += TURN, words += LANES * VECTORS) {
        const int64_t here = std::min(TURN, count - first);
        Vector turned[LANES];
        for (int lane = 0; lane < LANES; ++lane) {
            const int64_t *from = rows[lane] ? rows[lane] + first : nullptr;
            int64_t converted[TURN];
            if (from && convert.needed) {
                for (int64_t at = 0; at < here; ++at) converted[at] = convert(from[at]);
                from = converted;
            }
            turned[lane] = (Vector)shorten(from, from ? here : 0);
        }
        transpose(turned);
        for (int64_t word = 0; word < ceil_div(here, 2); ++word) words[word * VECTORS] = (IntVector)turned[word];
    }
}

inline void take_rows(const IntVector *words, const Rows<IntVector, int64_t> &rows, int64_t count) {
    for (int64_t first = 0; first < count; first += TURN, words += LANES * VECTORS) {
        const int64_t here = std::min(TURN, count - first);
        Vector turned[LANES];
        for (int64_t word = 0; word < LANES; ++word) {
            turned[word] = word < ceil_div(here, 2) ? (Vector)words[word * VECTORS] : Vector{};
        }
        transpose(turned);
        for (int lane = 0; lane < LANES; ++lane) {
            if (rows[lane]) lengthen((IntVector)turned[lane], rows[lane] + first, here);
        }
    }
}

}  // namespace
}  // namespace GATESMITH_TARGET
