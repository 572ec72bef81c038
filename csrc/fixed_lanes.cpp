// Bounds on the lanes of a cell with its very weights, and what follows from them.
#include "fixed_lanes.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace gatesmith {
namespace {

// Bits of whatever the narrow version compares with a format's range, one below 32 so that the comparison can't wrap.
constexpr int64_t SHORT_BITS = 31;

// Bits of value + 2^(shift - 1), or of value << -shift.
int64_t bits_in_round_shift(int64_t width, int64_t shift) {
    return shift > 0 ? std::max(width, shift + 1) + 1 : width - shift;
}

// Whether everything but the lanes and the products for c and h fits 32 bits, and every operand 16. Peepholes and
// projections are left to the wide version. Gates are at most 1, so c is less than 2 bits wider before it is saturated.
bool formats_fit(const gatesmith_fixed_cell &cell) {
    int64_t segment_bits = cell.z_width - 1 - cell.table_bits;
    return !cell.peepholes && !cell.projected && cell.x_width <= 16 && cell.h_width <= 16 && cell.w_width <= 16 &&
        cell.a_width + cell.slope_width <= 32 && cell.c_width + 2 <= SHORT_BITS &&
        bits_in_round_shift(cell.c_width, cell.c_frac - cell.z_frac) <= SHORT_BITS &&
        bits_in_round_shift(cell.slope_width + cell.z_width - 1, segment_bits) <= 32;
}

struct Bounds {
    int64_t w_ih = 0, w_hh = 0;  // largest magnitudes
    int64_t sum = 0;             // of any row, with its bias
};

Bounds bounds(const gatesmith_fixed_cell &cell) {
    Bounds found;
    const auto add = [](const int64_t *weights, int64_t count, int64_t &most) {
        int64_t sum = 0;
        for (int64_t at = 0; at < count; ++at) {
            int64_t magnitude = std::abs(weights[at]);
            sum += magnitude;
            most = std::max(most, magnitude);
        }
        return sum;
    };
    for (int64_t row = 0; row < 4 * cell.hidden_size; ++row) {
        int64_t x = add(cell.w_ih + row * cell.input_size, cell.input_size, found.w_ih);
        int64_t h = add(cell.w_hh + row * cell.output_size, cell.output_size, found.w_hh);
        int64_t sum = (x << (cell.x_width - 1 + cell.x_shift)) + (h << (cell.y_width - 1 + cell.h_shift));
        found.sum = std::max(found.sum, sum + std::abs(cell.b[row]));
    }
    return found;
}

// Whether coarse sums tell multiples of 2^32 apart.
bool coarse_enough(const gatesmith_fixed_cell &cell, const Lanes &lanes) {
    const int64_t weight_shift = lanes.coarse_shift - lanes.byte_shift, lost = (int64_t)1 << (lanes.byte_shift - 1);
    // At most, of operands at their largest and of what their bytes leave out.
    const auto error = [&](const int64_t *weights, int64_t count, int64_t width, int64_t shift) {
        int64_t sum = 0;
        for (int64_t at = 0; at < count; ++at) {
            const int64_t weight = weights[at] << shift, coarse = coarse_weight(weight, weight_shift) << weight_shift;
            sum += (std::abs(coarse - weight) << (width - 1)) + std::abs(coarse) * lost;
        }
        return sum;
    };
    const int64_t limit = ((int64_t)1 << 31) - ((int64_t)4 << lanes.coarse_shift);  // constants are rounded too
    for (int64_t row = 0; row < 4 * cell.hidden_size; ++row) {
        const int64_t x = error(cell.w_ih + row * cell.input_size, cell.input_size, cell.x_width, cell.x_shift);
        const int64_t h = error(cell.w_hh + row * cell.output_size, cell.output_size, cell.y_width, cell.h_shift);
        if (x + h > limit) return false;
    }
    return true;
}

// Sums modulo 2^32 in `lanes`, with coarse ones of as few bytes as do; false, and no change, where none do.
bool refine(
    const gatesmith_fixed_cell &cell, int64_t byte_weight, int64_t most_weight, int64_t sum_bits, Lanes &lanes
) {
    Lanes refined = lanes;
    refined.sums = Sums::REFINED;
    refined.byte_shift = refined.coarse_shift = 8;
    while (coarse_weight(most_weight, refined.coarse_shift - 8) >= byte_weight) ++refined.coarse_shift;
    for (refined.digits = 1; refined.digits <= 2; ++refined.digits, refined.coarse_shift -= DIGIT_BITS) {
        if (refined.coarse_shift < 8 || sum_bits + 1 - refined.coarse_shift > SHORT_BITS) return false;
        if (!coarse_enough(cell, refined)) continue;
        lanes = refined;
        return true;
    }
    return false;
}

// Least and largest f(|z|) of a segment's ends, over the segments from `first` on.
struct Range {
    int64_t least = INT64_MAX, most = INT64_MIN;
};

Range range(const int64_t *value, const int64_t *slope, int64_t first, int64_t entries) {
    Range found;
    for (int64_t k = first; k < entries; ++k) {
        found.least = std::min({found.least, value[k], value[k] + slope[k]});
        found.most = std::max({found.most, value[k], value[k] + slope[k]});
    }
    return found;
}

// Whether 16 bits hold f(|z|) of an odd curve, 2^16 standing as a zero beyond the first segment.
bool curve_fits_short(const int64_t *value, const int64_t *slope, int64_t entries) {
    const Range first = range(value, slope, 0, 1), rest = range(value, slope, 1, entries);
    return first.least >= 0 && first.most < 1 << 16 && (entries == 1 || (rest.least > 0 && rest.most <= 1 << 16));
}

// Whether activations and both products are exact in 16-bit lanes, as fixed_short.h computes them.
bool cell_fits_short(const gatesmith_fixed_cell &cell) {
    const int64_t entries = (int64_t)1 << cell.table_bits;
    const int64_t f_times_c = std::max<int64_t>(0, cell.a_frac - cell.c_frac);
    const int64_t i_times_g = std::max<int64_t>(0, cell.c_frac - cell.a_frac);
    const int64_t c_round = std::max(2 * cell.a_frac, cell.a_frac + cell.c_frac) - cell.c_frac;
    const int64_t h_round = 2 * cell.a_frac - cell.h_frac;
    if (cell.z_width > 16 || cell.table_bits > 8 || cell.slope_width > 16 || cell.a_width > 18) return false;
    if (cell.c_width + f_times_c > 22 || i_times_g > 5) return false;
    if (c_round < 9 || c_round > 30 || h_round < 9 || h_round > 30) return false;
    const Range gate = range(cell.gate_value, cell.gate_slope, 0, entries);
    return gate.least >= gate_center(cell) && gate.most - gate_center(cell) <= INT16_MAX &&
        curve_fits_short(cell.cell_value, cell.cell_slope, entries) &&
        curve_fits_short(cell.candidate_value, cell.candidate_slope, entries);
}

}  // namespace

Lanes choose_lanes(const gatesmith_fixed_cell &cell, const Multipliers &machine) {
    const Bounds most = bounds(cell);
    const int64_t bits = 1 + std::bit_width((uint64_t)most.sum), shift = cell.acc_frac - cell.z_frac;
    const auto folds = [&](int64_t limit) {
        return (!cell.x_shift || most.w_ih <= limit >> cell.x_shift) &&
            (!cell.h_shift || most.w_hh <= limit >> cell.h_shift);
    };
    Lanes lanes = {};
    lanes.folded = folds(INT16_MAX);
    if (formats_fit(cell) && bits - shift < SHORT_BITS) {
        const int64_t most_weight = std::max(most.w_ih << cell.x_shift, most.w_hh << cell.h_shift);
        // The rounding constant is part of the bias.
        lanes.narrow = bits <= SHORT_BITS && shift <= SHORT_BITS && bits - std::min<int64_t>(shift, 0) <= SHORT_BITS;
        if (lanes.narrow) {
            const bool bytes = cell.x_width <= 8 && cell.h_width <= 8 && most_weight <= machine.byte_weight;
            lanes.sums = bytes ? Sums::BYTES : Sums::EXACT;
            lanes.digits = bytes;
        } else if (shift > 0 && shift <= SHORT_BITS) {
            lanes.narrow = refine(cell, machine.byte_weight, most_weight, bits, lanes);
        }
    }
    lanes.short_cell = lanes.narrow && cell_fits_short(cell);
    if (!lanes.narrow) {
        lanes.folded = folds(INT32_MAX);
        lanes.sums = bits <= machine.cheap_sum_bits ? Sums::CHEAP : Sums::EXACT;
    }
    return lanes;
}

}  // namespace gatesmith
