// The integer operator for groups of sequences, one sequence in each lane; compiled once for each instruction set.
//
// Two versions of one loop nest: Int = int32_t where every sum fits 32 bits and operands fit 16, else int64_t.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fixed_kernel.h"
#include "simd.h"

namespace GATESMITH_TARGET {

using namespace gatesmith;

namespace {

constexpr int GROUP = 2 * LANES;  // sequences side by side
constexpr int UNITS = 2;          // hidden units that share an operand while it is in a register
constexpr int ROWS = UNITS * GATE_COUNT;

using Narrow = int32_t;
using Wide = int64_t;

template <class Int>
constexpr bool is_narrow = std::is_same_v<Int, Narrow>;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Operand words of `columns` columns: the narrow version packs two 16-bit operands into one.
template <class Int>
int64_t operand_words(int64_t columns) {
    return is_narrow<Int> ? ceil_div(columns, 2) : columns;
}

// round_shift of the contract as one expression for either sign of the shift.
struct Rounding {
    int left, right;
    int64_t half;

    explicit Rounding(int64_t shift)
        : left(shift < 0 ? (int)-shift : 0), right(shift > 0 ? (int)shift : 0), half(shift > 0 ? (int64_t)1 << (shift - 1) : 0) {}

    template <class V>
    V operator()(V value) const {
        return ((value << left) + (V)half) >> right;
    }
};

template <class V>
V clip(V value, V low, V high) {
    return value < low ? low : value > high ? high : value;
}

// Bits of value + 2^(shift - 1), or of value << -shift.
int64_t bits_in_round_shift(int64_t width, int64_t shift) {
    return shift > 0 ? std::max(width, shift + 1) + 1 : width - shift;
}

// Whether every operand fits 16 bits and every sum 32, so that the narrow version is exact.
bool fits_narrow(const gatesmith_fixed_cell &cell) {
    int64_t segment_bits = cell.z_width - 1 - cell.table_bits;
    return cell.x_width <= 16 && cell.h_width <= 16 && cell.w_width <= 16 && cell.a_width + cell.slope_width <= 32 &&
        bits_in_round_shift(cell.acc_width, cell.acc_frac - cell.z_frac) <= 32 &&
        bits_in_round_shift(cell.c_width, cell.c_frac - cell.z_frac) <= 32 &&
        bits_in_round_shift(cell.slope_width + cell.z_width - 1, segment_bits) <= 32;
}

// An activation table as {slope, value} in one word, and as the hardware evaluates it.
template <class Int>
struct Curve {
    const Int *entries;
    Int offset;  // of the symmetry f(-z) = offset - f(z)
};

// Everything constant over a run.
template <class Int>
struct Formats {
    int64_t inputs, hidden, blocks, x_words, h_words;
    int x_shift, h_shift;
    Rounding z, rest, c, zc, h;
    int f_times_c, i_times_g;  // left shifts that bring both terms of c to one fraction
    Int z_high, c_high, h_high;
    int segment_bits, value_bits;
    const Int *weights;  // [blocks][x_words + h_words][ROWS]
    const Int *bias;     // [blocks][ROWS]
    Curve<Int> gate, cell;

    Formats(const gatesmith_fixed_cell &cell_, const void *packed)
        : inputs(cell_.input_size),
          hidden(cell_.hidden_size),
          blocks(ceil_div(hidden, UNITS)),
          x_words(operand_words<Int>(inputs)),
          h_words(operand_words<Int>(hidden)),
          x_shift((int)cell_.x_shift),
          h_shift((int)cell_.h_shift),
          z(cell_.acc_frac - cell_.z_frac),
          rest(cell_.z_width - 1 - cell_.table_bits),
          c(std::max(2 * cell_.a_frac, cell_.a_frac + cell_.c_frac) - cell_.c_frac),
          zc(cell_.c_frac - cell_.z_frac),
          h(2 * cell_.a_frac - cell_.h_frac),
          f_times_c((int)std::max<int64_t>(0, cell_.a_frac - cell_.c_frac)),
          i_times_g((int)std::max<int64_t>(0, cell_.c_frac - cell_.a_frac)),
          z_high((Int)(((int64_t)1 << (cell_.z_width - 1)) - 1)),
          c_high((Int)(((int64_t)1 << (cell_.c_width - 1)) - 1)),
          h_high((Int)(((int64_t)1 << (cell_.h_width - 1)) - 1)),
          segment_bits((int)(cell_.z_width - 1 - cell_.table_bits)),
          value_bits((int)cell_.a_width) {
        const Int *next = static_cast<const Int *>(packed);
        weights = next;
        next += blocks * (x_words + h_words) * ROWS;
        bias = next;
        next += blocks * ROWS;
        gate = {next, (Int)((int64_t)1 << cell_.a_frac)};
        next += (int64_t)1 << cell_.table_bits;
        cell = {next, 0};
    }
};

template <class Int>
int64_t packed_words(const gatesmith_fixed_cell &cell) {
    int64_t columns = operand_words<Int>(cell.input_size) + operand_words<Int>(cell.hidden_size);
    return ceil_div(cell.hidden_size, UNITS) * ROWS * (columns + 1) + 2 * ((int64_t)1 << cell.table_bits);
}

// Column words of one row: w[0 .. count), two to a word where narrow, the first in the low half.
template <class Int>
Int column_word(const int64_t *row, int64_t count, int64_t word) {
    if constexpr (is_narrow<Int>) {
        uint32_t low = (uint16_t)row[2 * word];
        uint32_t high = 2 * word + 1 < count ? (uint16_t)row[2 * word + 1] : 0;
        return (Int)(high << 16 | low);
    } else {
        return row[word];
    }
}

template <class Int>
void pack_as(const gatesmith_fixed_cell &cell, Int *next) {
    int64_t x_words = operand_words<Int>(cell.input_size), h_words = operand_words<Int>(cell.hidden_size);
    int64_t rows = GATE_COUNT * cell.hidden_size, padded = ceil_div(cell.hidden_size, UNITS) * ROWS;
    for (int64_t block = 0; block < padded; block += ROWS) {
        for (int64_t word = 0; word < x_words + h_words; ++word) {
            for (int64_t row = block; row < block + ROWS; ++row) {
                if (row >= rows) *next++ = 0;
                else if (word < x_words) *next++ = column_word<Int>(cell.w_ih + row * cell.input_size, cell.input_size, word);
                else *next++ = column_word<Int>(cell.w_hh + row * cell.hidden_size, cell.hidden_size, word - x_words);
            }
        }
    }
    for (int64_t row = 0; row < padded; ++row) *next++ = row < rows ? (Int)cell.b[row] : 0;
    const int64_t *values[] = {cell.gate_value, cell.cell_value}, *slopes[] = {cell.gate_slope, cell.cell_slope};
    for (int table = 0; table < 2; ++table) {
        for (int64_t k = 0; k < (int64_t)1 << cell.table_bits; ++k) {
            *next++ = (Int)(slopes[table][k] << cell.a_width | values[table][k]);
        }
    }
}

// One thread's memory: states and operands of one group.
template <class Int>
struct Scratch {
    Int *x, *h, *h_next;  // [words][GROUP] operands; h is the state too
    Int *c;               // [blocks * UNITS][GROUP]
    Int valid[GROUP];     // all ones in the lanes whose sequence still runs
    Int changed[3][GROUP];

    Scratch(const Formats<Int> &formats, void *memory) : changed{} {
        x = static_cast<Int *>(memory);
        h = x + formats.x_words * GROUP;
        h_next = h + formats.h_words * GROUP;
        c = h_next + formats.h_words * GROUP;
    }
};

template <class Int>
int64_t scratch_words(const gatesmith_fixed_cell &cell) {
    int64_t units = ceil_div(cell.hidden_size, UNITS) * UNITS;
    return GROUP * (operand_words<Int>(cell.input_size) + 2 * operand_words<Int>(cell.hidden_size) + units);
}

template <class Int>
void put(Int *words, int64_t lane, int64_t column, int64_t code) {
    if constexpr (is_narrow<Int>) {
        std::memcpy((char *)(words + column / 2 * GROUP + lane) + 2 * (column & 1), &code, 2);
    } else {
        words[column * GROUP + lane] = code;
    }
}

template <class Int>
int64_t take(const Int *words, int64_t lane, int64_t column) {
    if constexpr (is_narrow<Int>) {
        int16_t code;
        std::memcpy(&code, (const char *)(words + column / 2 * GROUP + lane) + 2 * (column & 1), 2);
        return code;
    } else {
        return words[column * GROUP + lane];
    }
}

// Lanes of sum + low(a) * low(b) + high(a) * high(b).
inline IntVector multiply_pairs(IntVector sum, IntVector a, IntVector b) {
#if defined(__AVX512BW__)
    return sum + (IntVector)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return sum + (IntVector)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// sums[row] += weights of `words` columns times their operands.
inline void multiply(const Narrow *weights, const Narrow *operands, int64_t words, IntVector (*sums)[2]) {
    for (int64_t word = 0; word < words; ++word) {
        IntVector operand[2];
        std::memcpy(operand, operands + word * GROUP, sizeof operand);
        for (int row = 0; row < ROWS; ++row) {
            IntVector weight = IntVector{} + weights[word * ROWS + row];
            for (int half = 0; half < 2; ++half) sums[row][half] = multiply_pairs(sums[row][half], weight, operand[half]);
        }
    }
}

inline void accumulate(const Formats<Narrow> &formats, const Scratch<Narrow> &scratch, int64_t block, Narrow *acc) {
    const Narrow *x_weights = formats.weights + block * (formats.x_words + formats.h_words) * ROWS;
    const Narrow *h_weights = x_weights + formats.x_words * ROWS;
    IntVector sums[ROWS][2] = {};
    // The shifted product first, so that one set of sums serves both.
    if (formats.h_shift) multiply(h_weights, scratch.h, formats.h_words, sums);
    else multiply(x_weights, scratch.x, formats.x_words, sums);
    for (int row = 0; row < ROWS; ++row) {
        for (IntVector &sum : sums[row]) sum = (sum << (formats.x_shift + formats.h_shift)) + formats.bias[block * ROWS + row];
    }
    if (formats.h_shift) multiply(x_weights, scratch.x, formats.x_words, sums);
    else multiply(h_weights, scratch.h, formats.h_words, sums);
    std::memcpy(acc, sums, sizeof sums);
}

inline void accumulate(const Formats<Wide> &formats, const Scratch<Wide> &scratch, int64_t block, Wide *acc) {
    const Wide *weights = formats.weights + block * (formats.x_words + formats.h_words) * ROWS;
    for (int row = 0; row < ROWS; ++row) {
        for (int lane = 0; lane < GROUP; ++lane) acc[row * GROUP + lane] = formats.bias[block * ROWS + row];
    }
    for (int64_t word = 0; word < formats.x_words + formats.h_words; ++word) {
        bool of_x = word < formats.x_words;
        const Wide *operands = of_x ? scratch.x + word * GROUP : scratch.h + (word - formats.x_words) * GROUP;
        int shift = of_x ? formats.x_shift : formats.h_shift;
        for (int row = 0; row < ROWS; ++row) {
            Wide weight = weights[word * ROWS + row] << shift;
            for (int lane = 0; lane < GROUP; ++lane) acc[row * GROUP + lane] += weight * operands[lane];
        }
    }
}

// a = f(z) in place, for the lanes of one row.
template <class Int>
inline void activate(const Formats<Int> &formats, const Curve<Int> &curve, Int *z) {
    Int mask = ((Int)1 << formats.segment_bits) - 1, value_mask = (Int)(((int64_t)1 << formats.value_bits) - 1);
    Int entries[GROUP];
    for (int lane = 0; lane < GROUP; ++lane) {
        Int magnitude = std::min(z[lane] < 0 ? -z[lane] : z[lane], formats.z_high);
        entries[lane] = curve.entries[magnitude >> formats.segment_bits];
    }
    for (int lane = 0; lane < GROUP; ++lane) {
        Int magnitude = std::min(z[lane] < 0 ? -z[lane] : z[lane], formats.z_high);
        Int slope = entries[lane] >> formats.value_bits, value = entries[lane] & value_mask;
        Int positive = value + formats.rest((Int)(slope * (magnitude & mask)));
        z[lane] = z[lane] < 0 ? curve.offset - positive : positive;
    }
}

// From the accumulators of one unit, [GATE_COUNT][GROUP], to its c in place and its h.
template <class Int>
inline void update_unit(const Formats<Int> &formats, Scratch<Int> &scratch, Int *acc, Int *c, Int *h) {
    for (int lane = 0; lane < GROUP; ++lane) {
        Int differs = 0;
        for (int gate = 0; gate < GATE_COUNT; ++gate) {
            Int wide = formats.z(acc[gate * GROUP + lane]);
            acc[gate * GROUP + lane] = clip<Int>(wide, -formats.z_high - 1, formats.z_high);
            differs |= wide ^ acc[gate * GROUP + lane];
        }
        scratch.changed[0][lane] |= differs & scratch.valid[lane];
    }
    Int *i = acc, *f = acc + GROUP, *g = acc + 2 * GROUP, *o = acc + 3 * GROUP;
    activate(formats, formats.gate, i);
    activate(formats, formats.gate, f);
    activate(formats, formats.cell, g);
    activate(formats, formats.gate, o);
    Int zc[GROUP];
    for (int lane = 0; lane < GROUP; ++lane) {
        int64_t kept = (int64_t)f[lane] * c[lane] << formats.f_times_c, added = (int64_t)i[lane] * g[lane] << formats.i_times_g;
        int64_t wide = formats.c(kept + added);
        int64_t next = clip<int64_t>(wide, -(int64_t)formats.c_high - 1, formats.c_high);
        scratch.changed[1][lane] |= (Int)(wide != next) & scratch.valid[lane];
        c[lane] = scratch.valid[lane] ? (Int)next : c[lane];
        Int zc_wide = formats.zc((Int)next);
        zc[lane] = clip<Int>(zc_wide, -formats.z_high - 1, formats.z_high);
        scratch.changed[0][lane] |= (zc_wide ^ zc[lane]) & scratch.valid[lane];
    }
    activate(formats, formats.cell, zc);
    for (int lane = 0; lane < GROUP; ++lane) {
        int64_t wide = formats.h((int64_t)o[lane] * zc[lane]);
        int64_t next = clip<int64_t>(wide, -(int64_t)formats.h_high - 1, formats.h_high);
        scratch.changed[2][lane] |= (Int)(wide != next) & scratch.valid[lane];
        h[lane] = (Int)next;
    }
}

// One time step of one group; h_next becomes h.
template <class Int>
void step(const Formats<Int> &formats, Scratch<Int> &scratch) {
    alignas(64) Int acc[ROWS * GROUP], h[UNITS][GROUP];
    for (int64_t block = 0; block < formats.blocks; ++block) {
        accumulate(formats, scratch, block, acc);
        for (int unit = 0; unit < UNITS; ++unit) {
            Int *c = scratch.c + (block * UNITS + unit) * GROUP;
            update_unit(formats, scratch, acc + unit * GATE_COUNT * GROUP, c, h[unit]);
        }
        for (int unit = 0; unit < (is_narrow<Int> ? 1 : std::min<int64_t>(UNITS, formats.hidden - block * UNITS)); ++unit) {
            int64_t at = (is_narrow<Int> ? block : block * UNITS + unit) * GROUP;
            for (int lane = 0; lane < GROUP; ++lane) {
                Int next = is_narrow<Int> ? (h[0][lane] & 0xffff) | (Int)((uint32_t)h[1][lane] << 16) : h[unit][lane];
                scratch.h_next[at + lane] = scratch.valid[lane] ? next : scratch.h[at + lane];
            }
        }
    }
    std::swap(scratch.h, scratch.h_next);
}

template <class Int>
void forward_group(
    const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const Formats<Int> &formats, void *memory, int64_t start
) {
    Scratch<Int> scratch(formats, memory);
    std::memset(memory, 0, scratch_words<Int>(cell) * sizeof(Int));
    int64_t lanes = std::min<int64_t>(GROUP, run.batch - start), longest = 0;
    for (int64_t lane = 0; lane < lanes; ++lane) {
        int64_t n = run.order[start + lane];
        longest = std::max(longest, run.lengths[n]);
        for (int64_t u = 0; u < formats.hidden; ++u) {
            put(scratch.h, lane, u, run.h0[n * formats.hidden + u]);
            scratch.c[u * GROUP + lane] = (Int)run.c0[n * formats.hidden + u];
        }
    }
    Rounding convert(run.x_round);
    int64_t x_high = ((int64_t)1 << (cell.x_width - 1)) - 1;
    for (int64_t t = 0; t < longest; ++t) {
        for (int64_t lane = 0; lane < GROUP; ++lane) {
            int64_t n = lane < lanes ? run.order[start + lane] : 0;
            bool valid = lane < lanes && t < run.lengths[n];
            scratch.valid[lane] = -(Int)valid;
            if (!valid) continue;
            const int64_t *x = run.x + (run.reverse ? run.lengths[n] - 1 - t : t) * run.x_step + n * run.x_row;
            for (int64_t d = 0; d < formats.inputs; ++d) put(scratch.x, lane, d, clip(convert(x[d]), -x_high - 1, x_high));
        }
        step(formats, scratch);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            if (!scratch.valid[lane]) continue;
            int64_t n = run.order[start + lane];
            int64_t *y = run.y + (run.reverse ? run.lengths[n] - 1 - t : t) * run.y_step + n * run.y_row;
            for (int64_t u = 0; u < formats.hidden; ++u) y[u] = take(scratch.h, lane, u);
        }
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
        int64_t n = run.order[start + lane];
        for (int64_t u = 0; u < formats.hidden; ++u) {
            run.h_n[n * formats.hidden + u] = take(scratch.h, lane, u);
            run.c_n[n * formats.hidden + u] = scratch.c[u * GROUP + lane];
        }
        for (int flag = 0; flag < 3; ++flag) run.saturated[n * 3 + flag] = scratch.changed[flag][lane] != 0;
    }
}

template <class Int>
void forward_as(const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const FixedShare &share) {
    Formats<Int> formats(cell, share.packed);
    for (int64_t start = share.first * GROUP; start < run.batch; start += share.stride * GROUP) {
        forward_group(cell, run, formats, share.scratch, start);
    }
}

int64_t packed_bytes(const gatesmith_fixed_cell &cell) {
    return fits_narrow(cell) ? packed_words<Narrow>(cell) * sizeof(Narrow) : packed_words<Wide>(cell) * sizeof(Wide);
}

int64_t scratch_bytes(const gatesmith_fixed_cell &cell) {
    return fits_narrow(cell) ? scratch_words<Narrow>(cell) * sizeof(Narrow) : scratch_words<Wide>(cell) * sizeof(Wide);
}

void pack(const gatesmith_fixed_cell &cell, void *packed) {
    fits_narrow(cell) ? pack_as(cell, static_cast<Narrow *>(packed)) : pack_as(cell, static_cast<Wide *>(packed));
}

void forward(const gatesmith_fixed_cell &cell, const gatesmith_fixed_run &run, const FixedShare &share) {
    fits_narrow(cell) ? forward_as<Narrow>(cell, run, share) : forward_as<Wide>(cell, run, share);
}

}  // namespace

extern const FixedKernel FIXED_KERNEL;
const FixedKernel FIXED_KERNEL = {packed_bytes, scratch_bytes, pack, forward};

}  // namespace GATESMITH_TARGET
