// The integer operator for groups of sequences, one sequence in each lane; compiled once for each instruction set.
//
// Two versions of one loop nest: V = IntVector where operands fit 16 bits and sums 32, else LongVector.

#include <algorithm>
#include <cstring>

#include "fixed_layout.h"
#include "fixed_products.h"
#include "fixed_rows.h"
#include "fixed_short.h"

namespace GATESMITH_TARGET {

namespace {

constexpr int OUTPUT_GATE = 3;

// The exact sum of a gate that sees c, with its peephole, rounded and not yet saturated.
template <class V>
inline V with_peephole(const Formats<V> &formats, int64_t block, int gate, int at, V sum, V c) {
    int64_t p = formats.p[(block * GATE_COUNT + gate) * UNITS + at / VECTORS];
    V product = join(multiply(V{} + (Code<V>)p, c));
    return formats.z_seen((sum << formats.sum_shift) + (product << formats.product_shift));
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

// a = f(saturate(z)) of a gate in place, with its peephole where it sees c.
template <class V>
inline void activate_gate(
    const Formats<V> &formats, Seen<V> &seen, int64_t block, int gate, const V *c, V (&z)[TILE]
) {
    for (int at = 0; at < TILE; ++at) {
        if (sees(formats, gate)) z[at] = with_peephole(formats, block, gate, at, z[at], c[at]);
        if (!formats.z_clipped) see(seen.z[at % VECTORS], z[at], formats.z_high);
    }
    activate(formats, gate == 2 ? formats.candidate : formats.gate, z);
}

// From the pre-activations of a block to its c in place and its h.
template <class V>
inline void update(
    const Formats<V> &formats, const Scratch<V> &scratch, Seen<V> &seen, int64_t block, V (&gates)[GATE_COUNT][TILE],
    V *c, V (&h)[TILE]
) {
    for (int gate = 0; gate < OUTPUT_GATE; ++gate) activate_gate(formats, seen, block, gate, c, gates[gate]);
    V zc[TILE], new_c[TILE];
    for (int at = 0; at < TILE; ++at) {
        auto kept = multiply(gates[1][at], c[at]), added = multiply(gates[0][at], gates[2][at]);
        if (formats.f_times_c) kept = kept << formats.f_times_c;
        if (formats.i_times_g) added = added << formats.i_times_g;
        V wide = join(formats.c(kept + added)), &next = new_c[at];
        next = saturate(wide, formats.c_high);
        if (formats.c_clip) {
            V bound = V{} + (Code<V>)formats.c_clip;
            next = next > bound ? bound : next < -bound ? -bound : next;
        } else {
            see(seen.c[at % VECTORS], wide, formats.c_high);
        }
        zc[at] = formats.zc(next);
        see(seen.z[at % VECTORS], zc[at], formats.z_high);
        c[at] = scratch.valid[at % VECTORS] ? next : c[at];
    }
    activate_gate(formats, seen, block, OUTPUT_GATE, new_c, gates[OUTPUT_GATE]);
    activate(formats, formats.cell, zc);
    for (int at = 0; at < TILE; ++at) {
        V wide = join(formats.h(multiply(gates[3][at], zc[at])));
        see(seen.h[at % VECTORS], wide, formats.h_high);
        h[at] = saturate(wide, formats.h_high);
    }
}

// The h of a block as operands of the next step, where the sequence runs.
template <class V>
inline void put_state(const Formats<V> &formats, const Scratch<V> &scratch, int64_t block, const V (&h)[TILE]) {
    for (int vector = 0; vector < VECTORS; ++vector) {
        const V &valid = scratch.valid[vector];
        if constexpr (is_narrow<V>) {
            int64_t at = block * VECTORS + vector;
            scratch.h_next()[at] = valid ? (h[vector] & 0xffff) | (h[VECTORS + vector] << 16) : scratch.h()[at];
        } else {
            for (int64_t unit = 0; unit < std::min<int64_t>(UNITS, formats.hidden - block * UNITS); ++unit) {
                int64_t at = (block * UNITS + unit) * VECTORS + vector;
                scratch.h_next()[at] = valid ? h[unit * VECTORS + vector] : scratch.h()[at];
            }
        }
    }
}

// r of the h that the blocks left, as operands of the next step, where the sequence runs; and the lanes where one was
// saturated.
inline void project(const Formats<LongVector> &formats, const Scratch<LongVector> &scratch, LongVector *saturated) {
    const int64_t *weights = formats.w_hr;
    for (int64_t k = 0; k < formats.outputs; ++k, weights += formats.hidden) {
        LongVector sums[VECTORS];
        std::fill(sums, sums + VECTORS, LongVector{} + formats.b_hr[k]);
        for (int64_t unit = 0; unit < formats.hidden; ++unit) {
            const LongVector weight = LongVector{} + weights[unit];
            for (int at = 0; at < VECTORS; ++at) {
                sums[at] = multiply_add(sums[at], weight, scratch.emitted[unit * VECTORS + at]);
            }
        }
        for (int at = 0; at < VECTORS; ++at) {
            const LongVector wide = formats.r(sums[at]), bound = LongVector{} + formats.r_clip;
            LongVector r = saturate(wide, formats.r_high);
            if (formats.r_clip) r = r > bound ? bound : r < -bound ? -bound : r;
            else saturated[at] |= (LongVector)(r != wide) & scratch.valid[at];
            const int64_t word = k * VECTORS + at;
            scratch.h_next()[word] = scratch.valid[at] ? r : scratch.h()[word];
        }
    }
}

// One time step of one group.
template <class V, Sums SUMS>
void step(const Formats<V> &formats, Scratch<V> &scratch) {
    Seen<V> seen;
    const bool short_cell = is_narrow<V> && HAS_SHORT_CELL && formats.lanes.short_cell;
    constexpr bool BY_BYTES = SUMS == Sums::BYTES || SUMS == Sums::REFINED;
    if constexpr (BY_BYTES) put_bytes(formats, scratch);
    for (int64_t block = 0; block < formats.packed.blocks; ++block) {
        V gates[GATE_COUNT][TILE], h[TILE];
        if constexpr (BY_BYTES) preactivate_bytes<SUMS>(formats, scratch, block, gates);
        else preactivate<V, SUMS>(formats, scratch, block, gates);
        if constexpr (SUMS == Sums::REFINED) refine(formats, scratch, block, gates);
        if constexpr (is_narrow<V>) {
            if (short_cell) {
                update_short(formats, scratch, block, gates);
                continue;
            }
        }
        update(formats, scratch, seen, block, gates, scratch.c + block * TILE, h);
        if (formats.projected) std::copy(h, h + TILE, scratch.emitted + block * TILE);
        else put_state(formats, scratch, block, h);
    }
    if constexpr (!is_narrow<V>) {
        if (formats.projected) project(formats, scratch, scratch.saturated[2]);
    }
    for (int vector = 0; !short_cell && vector < VECTORS; ++vector) {
        scratch.saturated[0][vector] |= outside(seen.z[vector], formats.z_high) & scratch.valid[vector];
        scratch.saturated[1][vector] |= outside(seen.c[vector], formats.c_high) & scratch.valid[vector];
        scratch.saturated[2][vector] |= outside(seen.h[vector], formats.h_high) & scratch.valid[vector];
    }
}

template <class V>
void step(const Formats<V> &formats, Scratch<V> &scratch) {
    const Sums sums = formats.lanes.sums;
    if constexpr (is_narrow<V>) {
        if (sums == Sums::BYTES) return step<V, Sums::BYTES>(formats, scratch);
        if (sums == Sums::REFINED) return step<V, Sums::REFINED>(formats, scratch);
    } else if (sums == Sums::CHEAP) {
        return step<V, Sums::CHEAP>(formats, scratch);
    }
    step<V, Sums::EXACT>(formats, scratch);
}

// The sequences order[start], ... of one group over all their steps.
template <class V>
void forward_group(
    const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const Formats<V> &formats, void *memory,
    int64_t start
) {
    Scratch<V> scratch(formats.packed, memory);
    const int64_t lanes = std::min<int64_t>(GROUP<V>, run.batch - start), hidden = formats.hidden;
    const int64_t outputs = formats.outputs;
    const int64_t *order = run.order + start;
    auto valid = reinterpret_cast<Code<V> *>(scratch.valid);
    auto state = reinterpret_cast<Code<V> *>(scratch.c);
    Rows<V, const int64_t> given[VECTORS] = {};
    Rows<V, int64_t> taken[VECTORS] = {}, staged[VECTORS];
    int64_t longest = 0, shortest = run.steps;
    for (int64_t lane = 0; lane < lanes; ++lane) {
        staged[lane / WIDTH<V>][lane % WIDTH<V>] = scratch.staged + lane * outputs;
        longest = std::max(longest, run.lengths[order[lane]]);
        shortest = std::min(shortest, run.lengths[order[lane]]);
        given[lane / WIDTH<V>][lane % WIDTH<V>] = run.h0 + order[lane] * outputs;
        for (int64_t u = 0; u < hidden; ++u) state[u * GROUP<V> + lane] = (Code<V>)run.c0[order[lane] * hidden + u];
    }
    for (int vector = 0; vector < VECTORS; ++vector) put_rows(scratch.h() + vector, given[vector], outputs, Conversion());
    const Conversion convert(cell, run);
    const bool streams = lanes == GROUP<V> && outputs_stream<V>(run, order, outputs);
    const int64_t direction = run.reverse ? -1 : 1;
    for (int64_t t = 0; t < longest; ++t) {
        const bool all_go_on = t > 0 && t < shortest;
        for (int64_t lane = 0; all_go_on && lane < lanes; ++lane) {
            given[lane / WIDTH<V>][lane % WIDTH<V>] += direction * run.x_step;
            taken[lane / WIDTH<V>][lane % WIDTH<V>] += direction * run.y_step;
        }
        for (int64_t lane = 0; !all_go_on && lane < lanes; ++lane) {
            const int64_t n = order[lane], length = run.lengths[n], at = run.reverse ? length - 1 - t : t;
            const bool runs = t < length;
            valid[lane] = runs ? -1 : 0;
            given[lane / WIDTH<V>][lane % WIDTH<V>] = runs ? run.x + at * run.x_step + n * run.x_row : nullptr;
            taken[lane / WIDTH<V>][lane % WIDTH<V>] = runs ? run.y + at * run.y_step + n * run.y_row : nullptr;
        }
        for (int vector = 0; vector < VECTORS; ++vector) {
            put_rows(scratch.x() + vector, given[vector], formats.inputs, convert);
        }
        step(formats, scratch);
        std::swap(scratch.operands, scratch.next);
        for (int vector = 0; vector < VECTORS; ++vector) {
            take_rows(scratch.h() + vector, streams ? staged[vector] : taken[vector], outputs);
        }
        if (streams) stream(scratch.staged, taken[0][0], GROUP<V> * outputs);
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
        taken[lane / WIDTH<V>][lane % WIDTH<V>] = run.h_n + order[lane] * outputs;
        for (int64_t u = 0; u < hidden; ++u) run.c_n[order[lane] * hidden + u] = state[u * GROUP<V> + lane];
        for (int flag = 0; flag < 3; ++flag) {
            run.saturated[order[lane] * 3 + flag] = reinterpret_cast<Code<V> *>(scratch.saturated[flag])[lane] != 0;
        }
    }
    for (int vector = 0; vector < VECTORS; ++vector) take_rows(scratch.h() + vector, taken[vector], outputs);
}

template <class V>
void forward_as(
    const gatesmith_fixed_cell &cell, const Lanes &lanes, const gatesmith_fixed_run &run, const FixedShare &share
) {
    Formats<V> formats(cell, lanes, share.packed);
    for (int64_t start = share.first * GROUP<V>; start < run.batch; start += share.stride * GROUP<V>) {
        forward_group(cell, run, formats, share.scratch, start);
    }
    finish_streams();
}

int64_t packed_bytes(const gatesmith_fixed_cell &cell, const Lanes &lanes) {
    return lanes.narrow ? Packed<IntVector>(cell).bytes() : Packed<LongVector>(cell).bytes();
}

int64_t scratch_bytes(const gatesmith_fixed_cell &cell, const Lanes &lanes) {
    if (lanes.narrow) return Scratch<IntVector>::size(Packed<IntVector>(cell));
    return Scratch<LongVector>::size(Packed<LongVector>(cell));
}

void pack(const gatesmith_fixed_cell &cell, const Lanes &lanes, void *packed) {
    lanes.narrow ? pack_as<IntVector>(cell, lanes, packed) : pack_as<LongVector>(cell, lanes, packed);
}

void forward(
    const gatesmith_fixed_cell &cell, const Lanes &lanes, const gatesmith_fixed_run &run, const FixedShare &share
) {
    lanes.narrow ? forward_as<IntVector>(cell, lanes, run, share) : forward_as<LongVector>(cell, lanes, run, share);
}

}  // namespace

extern const FixedKernel FIXED_KERNEL;
const FixedKernel FIXED_KERNEL = {{CHEAP_SUM_BITS, BYTE_WEIGHT}, packed_bytes, scratch_bytes, pack, forward};

}  // namespace GATESMITH_TARGET
