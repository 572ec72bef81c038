// The integer operator for groups of sequences, one sequence in each lane; compiled once for each instruction set.
//
// Two versions of one loop nest: V = IntVector where operands fit 16 bits and every sum 32, else LongVector.
#include "fixed_kernel.h"

#include <algorithm>
#include <cstring>

#include "fixed_layout.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

// Numbers before saturation, moved up by half of their format's range and combined bit by bit: a bit beyond the width
// is set where one of them was outside.
template <class V>
struct Seen {
    V z[VECTORS] = {}, c[VECTORS] = {}, h[VECTORS] = {};
};

template <class V>
inline void see(V &seen, V wide, int64_t high) {
    seen |= wide + (Code<V>)(high + 1);
}

template <class V>
inline V outside(V seen, int64_t high) {
    return (V)((seen & (Code<V>)~(2 * high + 1)) != 0);
}

// One thread's memory: states and operands of one group. [VECTORS] vectors hold the lanes of a group.
template <class V>
struct Scratch {
    V *x, *h, *h_next;        // [words][VECTORS] operands; h is the state too
    V *c;                     // [blocks * UNITS][VECTORS]
    V valid[VECTORS];         // all ones in the lanes whose sequence still runs
    V saturated[3][VECTORS];  // all ones in the lanes where a z, c or h was

    Scratch(const Packed<V> &packed, void *memory) : valid{}, saturated{} {
        x = static_cast<V *>(memory);
        h = x + packed.x_words * VECTORS;
        h_next = h + packed.h_words * VECTORS;
        c = h_next + packed.h_words * VECTORS;
        std::memset(memory, 0, bytes(packed));
    }

    static int64_t bytes(const Packed<V> &packed) {
        return (packed.x_words + 2 * packed.h_words + packed.blocks * UNITS) * VECTORS * (int64_t)sizeof(V);
    }
};

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
        Vector turned[LANES] = {};
        for (int64_t word = 0; word < ceil_div(here, 2); ++word) turned[word] = (Vector)words[word * VECTORS];
        transpose(turned);
        for (int lane = 0; lane < LANES; ++lane) {
            if (rows[lane]) lengthen((IntVector)turned[lane], rows[lane] + first, here);
        }
    }
}

// sums += the weights of `count` column words times their operands.
template <class V>
inline void multiply_columns(const Code<V> *weights, const V *operands, int64_t count, V (&sums)[GATE_COUNT][TILE]) {
    for (int64_t word = 0; word < count; ++word) {
        V operand[VECTORS];
        for (int at = 0; at < VECTORS; ++at) operand[at] = in_register(operands[word * VECTORS + at]);
        for (int row = 0; row < GATE_COUNT * UNITS; ++row) {
            V weight = V{} + weights[word * GATE_COUNT * UNITS + row];
            for (int vector = 0; vector < VECTORS; ++vector) {
                V &sum = sums[row / UNITS][row % UNITS * VECTORS + vector];
                sum = multiply_add(sum, weight, operand[vector]);
            }
        }
    }
}

constexpr int OUTPUT_GATE = 3;

// Whether a gate sees c; the narrow version never does.
template <class V>
inline bool sees(const Formats<V> &formats, int gate) {
    return !is_narrow<V> && formats.peepholes >> gate & 1;
}

// The exact sum of a gate that sees c, with its peephole, rounded and not yet saturated.
template <class V>
inline V with_peephole(const Formats<V> &formats, int64_t block, int gate, int at, V sum, V c) {
    int64_t p = formats.p[(block * GATE_COUNT + gate) * UNITS + at / VECTORS];
    V product = join(multiply(V{} + (Code<V>)p, c));
    return formats.z_seen((sum << formats.sum_shift) + (product << formats.product_shift));
}

// The pre-activations of a block of units, rounded and not yet saturated; of an output gate that sees c the exact sum.
template <class V>
inline void preactivate(
    const Formats<V> &formats, const Scratch<V> &scratch, Seen<V> &seen, int64_t block, V (&z)[GATE_COUNT][TILE]
) {
    const int64_t x_words = formats.packed.x_words, h_words = formats.packed.h_words;
    const Code<V> *x_weights = formats.weights + block * (x_words + h_words) * GATE_COUNT * UNITS;
    const Code<V> *h_weights = x_weights + x_words * GATE_COUNT * UNITS;
    const int64_t *bias = formats.bias + block * GATE_COUNT * UNITS;
    const bool h_first = formats.h_shift > 0;  // shifted products come first, so that one set of sums serves both
    const int shift = formats.x_shift + formats.h_shift;
    const V *c = scratch.c + block * TILE;
    V first[GATE_COUNT][TILE];
    for (auto &row : z) std::fill(row, row + TILE, V{});
    if (h_first) multiply_columns(h_weights, scratch.h, h_words, z);
    else multiply_columns(x_weights, scratch.x, x_words, z);
    if (formats.short_sum) {
#pragma GCC unroll 16
        for (int at = 0; at < GATE_COUNT * TILE; ++at) {
            V &sum = z[at / TILE][at % TILE];
            sum = (sum << shift) + (Code<V>)bias[at / VECTORS];
        }
    } else {
        for (int at = 0; at < GATE_COUNT * TILE; ++at) {
            first[at / TILE][at % TILE] = z[at / TILE][at % TILE];
            z[at / TILE][at % TILE] = V{};
        }
    }
    if (h_first) multiply_columns(x_weights, scratch.x, x_words, z);
    else multiply_columns(h_weights, scratch.h, h_words, z);
    if constexpr (!is_narrow<V>) {
        for (int at = 0; formats.peepholes && at < GATE_COUNT * TILE; ++at) {
            const int gate = at / TILE;
            V &sum = z[gate][at % TILE];
            if (!formats.short_sum) sum += (first[gate][at % TILE] << shift) + bias[at / VECTORS];
            if (!sees(formats, gate)) sum = formats.z(sum);
            else if (gate == OUTPUT_GATE) continue;
            else sum = with_peephole(formats, block, gate, at % TILE, sum, c[at % TILE]);
            if (!formats.z_clipped) see(seen.z[at % VECTORS], sum, formats.z_high);
        }
        if (formats.peepholes) return;
    }
    if (!formats.short_sum) {
        for (int at = 0; at < GATE_COUNT * TILE; ++at) {
            V &sum = z[at / TILE][at % TILE];
            auto wide = formats.z((widen(first[at / TILE][at % TILE]) << shift) + widen(sum) + bias[at / VECTORS]);
            sum = join(saturate(wide, ((int64_t)1 << (SHORT_BITS - 1)) - 1));  // still outside of z where it was
        }
    }
#pragma GCC unroll 16
    for (int at = 0; at < GATE_COUNT * TILE; ++at) {
        V &sum = z[at / TILE][at % TILE];
        if (formats.short_sum) sum = formats.z(sum);
        if (!formats.z_clipped) see(seen.z[at % VECTORS], sum, formats.z_high);
    }
}

// Entries of a table, in place of their numbers.
template <class V>
inline void look_up(const Curve<V> &curve, V (&at)[TILE]) {
    if constexpr (is_narrow<V>) {
        if (curve.planes) return look_up_planes(curve.planes, at);
    }
    for (V &entry : at) entry = gather(curve.entries, entry);
}

// a = f(saturate(z)) in place.
template <class V>
inline void activate(const Formats<V> &formats, const Curve<V> &curve, V (&z)[TILE]) {
    const V most = V{} + (Code<V>)formats.z_high;
    const Code<V> rest_mask = ((Code<V>)1 << formats.segment_bits) - 1;
    const Code<V> value_mask = (Code<V>)(((int64_t)1 << formats.value_bits) - 1);
    V magnitudes[TILE], entries[TILE];
    for (int at = 0; at < TILE; ++at) {
        V magnitude = absolute(z[at]);
        magnitudes[at] = magnitude > most ? most : magnitude;
        entries[at] = magnitudes[at] >> formats.segment_bits;
    }
    look_up(curve, entries);
    for (int at = 0; at < TILE; ++at) {
        V slope = entries[at] >> formats.value_bits, value = entries[at] & value_mask;
        V positive = value + formats.rest(multiply_codes(slope, magnitudes[at] & rest_mask));
        z[at] = z[at] < 0 ? curve.offset - positive : positive;
    }
}

// From the pre-activations of a block to its c in place and its h.
template <class V>
inline void update(
    const Formats<V> &formats, const Scratch<V> &scratch, Seen<V> &seen, int64_t block, V (&gates)[GATE_COUNT][TILE],
    V *c, V (&h)[TILE]
) {
    const bool late = sees(formats, OUTPUT_GATE);
    for (int gate = 0; gate < GATE_COUNT; ++gate) {
        if (gate == OUTPUT_GATE && late) continue;
        activate(formats, gate == 2 ? formats.candidate : formats.gate, gates[gate]);
    }
    V zc[TILE];
    for (int at = 0; at < TILE; ++at) {
        auto kept = multiply(gates[1][at], c[at]), added = multiply(gates[0][at], gates[2][at]);
        if (formats.f_times_c) kept = kept << formats.f_times_c;
        if (formats.i_times_g) added = added << formats.i_times_g;
        V wide = join(formats.c(kept + added)), next = saturate(wide, formats.c_high);
        if (formats.c_clip) {
            V bound = V{} + (Code<V>)formats.c_clip;
            next = next > bound ? bound : next < -bound ? -bound : next;
        } else {
            see(seen.c[at % VECTORS], wide, formats.c_high);
        }
        if (late) {
            V &sum = gates[OUTPUT_GATE][at];
            sum = with_peephole(formats, block, OUTPUT_GATE, at, sum, next);
            if (!formats.z_clipped) see(seen.z[at % VECTORS], sum, formats.z_high);
        }
        zc[at] = formats.zc(next);
        see(seen.z[at % VECTORS], zc[at], formats.z_high);
        c[at] = scratch.valid[at % VECTORS] ? next : c[at];
    }
    if (late) activate(formats, formats.gate, gates[OUTPUT_GATE]);
    activate(formats, formats.cell, zc);
    for (int at = 0; at < TILE; ++at) {
        V wide = join(formats.h(multiply(gates[3][at], zc[at])));
        see(seen.h[at % VECTORS], wide, formats.h_high);
        h[at] = saturate(wide, formats.h_high);
    }
}

// One time step of one group; h_next becomes h.
template <class V>
void step(const Formats<V> &formats, Scratch<V> &scratch) {
    Seen<V> seen;
    for (int64_t block = 0; block < formats.packed.blocks; ++block) {
        V gates[GATE_COUNT][TILE], h[TILE];
        preactivate(formats, scratch, seen, block, gates);
        update(formats, scratch, seen, block, gates, scratch.c + block * TILE, h);
        for (int vector = 0; vector < VECTORS; ++vector) {
            const V &valid = scratch.valid[vector];
            if constexpr (is_narrow<V>) {
                int64_t at = block * VECTORS + vector;
                scratch.h_next[at] = valid ? (h[vector] & 0xffff) | (h[VECTORS + vector] << 16) : scratch.h[at];
            } else {
                for (int64_t unit = 0; unit < std::min<int64_t>(UNITS, formats.hidden - block * UNITS); ++unit) {
                    int64_t at = (block * UNITS + unit) * VECTORS + vector;
                    scratch.h_next[at] = valid ? h[unit * VECTORS + vector] : scratch.h[at];
                }
            }
        }
    }
    for (int vector = 0; vector < VECTORS; ++vector) {
        scratch.saturated[0][vector] |= outside(seen.z[vector], formats.z_high) & scratch.valid[vector];
        scratch.saturated[1][vector] |= outside(seen.c[vector], formats.c_high) & scratch.valid[vector];
        scratch.saturated[2][vector] |= outside(seen.h[vector], formats.h_high) & scratch.valid[vector];
    }
    std::swap(scratch.h, scratch.h_next);
}

// The sequences order[start], ... of one group over all their steps.
template <class V>
void forward_group(
    const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const Formats<V> &formats, void *memory,
    int64_t start
) {
    Scratch<V> scratch(formats.packed, memory);
    const int64_t lanes = std::min<int64_t>(GROUP<V>, run.batch - start), hidden = formats.hidden;
    const int64_t *order = run.order + start;
    auto valid = reinterpret_cast<Code<V> *>(scratch.valid);
    auto state = reinterpret_cast<Code<V> *>(scratch.c);
    Rows<V, const int64_t> given[VECTORS] = {};
    Rows<V, int64_t> taken[VECTORS] = {};
    int64_t longest = 0;
    for (int64_t lane = 0; lane < lanes; ++lane) {
        longest = std::max(longest, run.lengths[order[lane]]);
        given[lane / WIDTH<V>][lane % WIDTH<V>] = run.h0 + order[lane] * hidden;
        for (int64_t u = 0; u < hidden; ++u) state[u * GROUP<V> + lane] = (Code<V>)run.c0[order[lane] * hidden + u];
    }
    for (int vector = 0; vector < VECTORS; ++vector) put_rows(scratch.h + vector, given[vector], hidden, Conversion());
    const Conversion convert(cell, run);
    for (int64_t t = 0; t < longest; ++t) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t n = order[lane], length = run.lengths[n], at = run.reverse ? length - 1 - t : t;
            const bool runs = t < length;
            valid[lane] = runs ? -1 : 0;
            given[lane / WIDTH<V>][lane % WIDTH<V>] = runs ? run.x + at * run.x_step + n * run.x_row : nullptr;
            taken[lane / WIDTH<V>][lane % WIDTH<V>] = runs ? run.y + at * run.y_step + n * run.y_row : nullptr;
        }
        for (int vector = 0; vector < VECTORS; ++vector) {
            put_rows(scratch.x + vector, given[vector], formats.inputs, convert);
        }
        step(formats, scratch);
        for (int vector = 0; vector < VECTORS; ++vector) take_rows(scratch.h + vector, taken[vector], hidden);
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
        taken[lane / WIDTH<V>][lane % WIDTH<V>] = run.h_n + order[lane] * hidden;
        for (int64_t u = 0; u < hidden; ++u) run.c_n[order[lane] * hidden + u] = state[u * GROUP<V> + lane];
        for (int flag = 0; flag < 3; ++flag) {
            run.saturated[order[lane] * 3 + flag] = reinterpret_cast<Code<V> *>(scratch.saturated[flag])[lane] != 0;
        }
    }
    for (int vector = 0; vector < VECTORS; ++vector) take_rows(scratch.h + vector, taken[vector], hidden);
}

template <class V>
void forward_as(const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const FixedShare &share) {
    Formats<V> formats(cell, share.packed);
    for (int64_t start = share.first * GROUP<V>; start < run.batch; start += share.stride * GROUP<V>) {
        forward_group(cell, run, formats, share.scratch, start);
    }
}

int64_t packed_bytes(const gatesmith_fixed_cell &cell) {
    return fits_narrow(cell) ? Packed<IntVector>(cell).bytes() : Packed<LongVector>(cell).bytes();
}

int64_t scratch_bytes(const gatesmith_fixed_cell &cell) {
    if (fits_narrow(cell)) return Scratch<IntVector>::bytes(Packed<IntVector>(cell));
    return Scratch<LongVector>::bytes(Packed<LongVector>(cell));
}

void pack(const gatesmith_fixed_cell &cell, void *packed) {
    fits_narrow(cell) ? pack_as<IntVector>(cell, packed) : pack_as<LongVector>(cell, packed);
}

void forward(const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const FixedShare &share) {
    fits_narrow(cell) ? forward_as<IntVector>(cell, run, share) : forward_as<LongVector>(cell, run, share);
}

}  // namespace

extern const FixedKernel FIXED_KERNEL;
const FixedKernel FIXED_KERNEL = {packed_bytes, scratch_bytes, pack, forward};

}  // namespace GATESMITH_TARGET
