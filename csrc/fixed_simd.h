// Vectors of codes for the integer operator: 32-bit lanes where every sum fits, else 64-bit lanes, one interface.
#pragma once

#include "simd.h"

namespace GATESMITH_TARGET {

typedef uint32_t UnsignedIntVector __attribute__((vector_size(4 * LANES)));
typedef int64_t LongVector __attribute__((vector_size(4 * LANES)));
typedef uint64_t UnsignedLongVector __attribute__((vector_size(4 * LANES)));

// Exact 64-bit products of 32-bit lanes, or sums of them: those of even lanes and those of odd ones.
struct Products {
    LongVector even, odd;

    Products operator+(const Products &other) const { return {even + other.even, odd + other.odd}; }
    Products operator+(int64_t number) const { return {even + number, odd + number}; }
    Products operator<<(int shift) const { return {even << shift, odd << shift}; }
};

// Products of the low halves of 64-bit lanes; both factors fit 32 bits.
inline LongVector multiply_low(LongVector a, LongVector b) {
#if defined(__AVX512F__)
    return (LongVector)_mm512_maskz_mul_epi32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (LongVector)_mm256_mul_epi32((__m256i)a, (__m256i)b);
#else
    return ((a << 32) >> 32) * ((b << 32) >> 32);
#endif
}

inline LongVector multiply(LongVector a, LongVector b) { return multiply_low(a, b); }

inline Products multiply(IntVector a, IntVector b) {
    LongVector wide_a = (LongVector)a, wide_b = (LongVector)b;
    return {
        multiply_low(wide_a, wide_b),
        multiply_low((LongVector)((UnsignedLongVector)wide_a >> 32), (LongVector)((UnsignedLongVector)wide_b >> 32))
    };
}

// Products that fit a lane.
inline LongVector multiply_codes(LongVector a, LongVector b) { return multiply_low(a, b); }
inline IntVector multiply_codes(IntVector a, IntVector b) { return a * b; }

// The value itself, kept in a register: GCC would read it from memory again for each of its uses.
template <class V>
inline V in_register(V value) {
#if defined(__AVX2__)
    asm("" : "+v"(value));
#endif
    return value;
}

// sum + a * b, where the narrow version multiplies two 16-bit codes in each lane and adds both products.
inline LongVector multiply_add(LongVector sum, LongVector a, LongVector b) { return sum + multiply_low(a, b); }

#if defined(__AVX512IFMA__)
constexpr int CHEAP_SUM_BITS = 52;  // of sums that multiply_add_cheaply leaves modulo 2^52, their upper bits undefined
inline LongVector multiply_add_cheaply(LongVector sum, LongVector a, LongVector b) {
    return (LongVector)_mm512_madd52lo_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
constexpr int CHEAP_SUM_BITS = 0;
inline LongVector multiply_add_cheaply(LongVector sum, LongVector a, LongVector b) { return multiply_add(sum, a, b); }
#endif

// Modulo 2^32, where lanes of signed numbers must not overflow.
inline IntVector add_modulo(IntVector a, IntVector b) {
    return (IntVector)((UnsignedIntVector)a + (UnsignedIntVector)b);
}

// The sum is modulo 2^32.
inline IntVector multiply_add(IntVector sum, IntVector a, IntVector b) {
#if defined(__AVX512VNNI__)
    return (IntVector)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return add_modulo(sum, (IntVector)_mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif defined(__AVX2__)
    return add_modulo(sum, (IntVector)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#else
    const IntVector low = ((a << 16) >> 16) * ((b << 16) >> 16), high = (a >> 16) * (b >> 16);
    return add_modulo(sum, add_modulo(low, high));
#endif
}

inline IntVector subtract_modulo(IntVector a, IntVector b) {
    return (IntVector)((UnsignedIntVector)a - (UnsignedIntVector)b);
}
inline IntVector shift_left_modulo(IntVector a, int shift) { return (IntVector)((UnsignedIntVector)a << shift); }

// sum + the products of four signed bytes `a` of at most BYTE_WEIGHT with four unsigned bytes `b` in each lane.
#if defined(__AVX512VNNI__)
constexpr int BYTE_WEIGHT = 127;
#else
constexpr int BYTE_WEIGHT = 64;  // two products are summed in 16 bits
#endif

inline IntVector multiply_add_bytes(IntVector sum, IntVector a, IntVector b) {
#if defined(__AVX512VNNI__)
    return (IntVector)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)b, (__m512i)a);
#elif defined(__AVX512BW__)
    const __m512i pairs = _mm512_maddubs_epi16((__m512i)b, (__m512i)a);
    return add_modulo(sum, (IntVector)_mm512_madd_epi16(pairs, (__m512i)(IntVector{} + 0x10001)));
#elif defined(__AVX2__)
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)b, (__m256i)a);
    return add_modulo(sum, (IntVector)_mm256_madd_epi16(pairs, (__m256i)(IntVector{} + 0x10001)));
#else
    for (int up = 0; up < 32; up += 8) sum = add_modulo(sum, ((a << (24 - up)) >> 24) * ((b >> up) & 0xff));
    return sum;
#endif
}

// value / 2^shift, rounded down. Long lanes hold values within 2^62, so that they can be shifted as unsigned numbers
// where the instruction set doesn't shift signed ones.
class ShiftRight {
public:
    explicit ShiftRight(int64_t shift) : shift_((int)shift) {}

    int64_t operator()(int64_t value) const { return value >> shift_; }
    IntVector operator()(IntVector value) const { return value >> shift_; }
    LongVector operator()(LongVector value) const {
#if defined(__AVX512F__)
        return value >> shift_;
#else
        constexpr uint64_t BIAS = (uint64_t)1 << 62;
        return (LongVector)(((UnsignedLongVector)value + BIAS) >> shift_) - (int64_t)(BIAS >> shift_);
#endif
    }
    Products operator()(const Products &value) const { return {(*this)(value.even), (*this)(value.odd)}; }

private:
    int shift_;
};

// round_shift of the contract where it is known not to go left.
class RoundingRight {
public:
    explicit RoundingRight(int64_t shift) : right_(shift), half_(shift > 0 ? (int64_t)1 << (shift - 1) : 0) {}

    int64_t operator()(int64_t value) const { return right_(value + half_); }
    IntVector operator()(IntVector value) const { return right_(value + (int32_t)half_); }
    LongVector operator()(LongVector value) const { return right_(value + half_); }
    Products operator()(const Products &value) const { return right_(value + half_); }

private:
    ShiftRight right_;
    int64_t half_;
};

// To the left where the shift is negative.
template <class Right>
class EitherWay {
public:
    explicit EitherWay(int64_t shift) : left_(shift < 0 ? (int)-shift : 0), right_(shift > 0 ? shift : 0) {}

    template <class Value>
    Value operator()(const Value &value) const {
        return left_ ? value << left_ : right_(value);
    }

private:
    int left_;
    Right right_;
};

using Shift = EitherWay<ShiftRight>;
using Rounding = EitherWay<RoundingRight>;  // round_shift of the contract

// |value|, of any value but the most negative.
inline LongVector absolute(LongVector value) { return value < 0 ? -value : value; }

inline IntVector absolute(IntVector value) {
#if defined(__AVX512F__)
    return (IntVector)_mm512_maskz_abs_epi32(0xffff, (__m512i)value);
#else
    return value < 0 ? -value : value;
#endif
}

// saturate of the contract: lanes between -high - 1 and high.
template <class V>
V saturate(V value, int64_t high) {
    V most = V{} + (decltype(value[0] + 0))high, least = ~most;
    value = value > most ? most : value;
    return value < least ? least : value;
}

// The low halves of both products, each in its lane.
inline IntVector join(const Products &value) {
    return (IntVector)((value.even & (int64_t)0xffffffff) | (value.odd << 32));
}

inline LongVector join(LongVector value) { return value; }

inline IntVector gather(const int32_t *table, IntVector at) {
#if defined(__AVX512F__)
    return (IntVector)_mm512_mask_i32gather_epi32(__m512i{}, 0xffff, (__m512i)at, table, 4);
#elif defined(__AVX2__)
    return (IntVector)_mm256_i32gather_epi32(table, (__m256i)at, 4);
#else
    for (int lane = 0; lane < LANES; ++lane) at[lane] = table[at[lane]];
    return at;
#endif
}

inline LongVector gather(const int64_t *table, LongVector at) {
#if defined(__AVX512F__)
    return (LongVector)_mm512_mask_i64gather_epi64(__m512i{}, 0xff, (__m512i)at, (const void *)table, 8);
#elif defined(__AVX2__)
    return (LongVector)_mm256_i64gather_epi64((const long long *)table, (__m256i)at, 8);
#else
    for (int lane = 0; lane < LANES / 2; ++lane) at[lane] = table[at[lane]];
    return at;
#endif
}

#if defined(__AVX512F__)
// Bits of the lanes below `count`, of eight.
inline __mmask8 below(int64_t count) { return (__mmask8)(count >= 8 ? 0xff : count > 0 ? (1 << count) - 1 : 0); }

inline __m128i shorten_eight(const int64_t *from, int64_t count) {
    return _mm512_maskz_cvtepi64_epi16(0xff, _mm512_maskz_loadu_epi64(below(count), from));
}
#endif

// The first `count` codes as 16-bit integers, two to a lane; the rest is zero and its memory is not touched.
inline IntVector shorten(const int64_t *from, int64_t count) {
#if defined(__AVX512F__)
    __m512i codes = _mm512_zextsi128_si512(shorten_eight(from, count));
    if (count > 8) codes = _mm512_maskz_inserti32x4(0xffff, codes, shorten_eight(from + 8, count - 8), 1);
    if (count > 16) codes = _mm512_maskz_inserti32x4(0xffff, codes, shorten_eight(from + 16, count - 16), 2);
    if (count > 24) codes = _mm512_maskz_inserti32x4(0xffff, codes, shorten_eight(from + 24, count - 24), 3);
    return (IntVector)codes;
#else
    int16_t codes[2 * LANES] = {};
    for (int64_t at = 0; at < count; ++at) codes[at] = (int16_t)from[at];
    IntVector packed;
    std::memcpy(&packed, codes, sizeof packed);
    return packed;
#endif
}

// The inverse: `count` codes out of the 16-bit integers of a vector.
inline void lengthen(IntVector packed, int64_t *to, int64_t count) {
#if defined(__AVX512F__)
    const auto lengthen_eight = [&](__m128i eight, int64_t at) {
        _mm512_mask_storeu_epi64(to + at, below(count - at), _mm512_maskz_cvtepi16_epi64(0xff, eight));
    };
    lengthen_eight(_mm512_maskz_extracti32x4_epi32(0xf, (__m512i)packed, 0), 0);
    if (count > 8) lengthen_eight(_mm512_maskz_extracti32x4_epi32(0xf, (__m512i)packed, 1), 8);
    if (count > 16) lengthen_eight(_mm512_maskz_extracti32x4_epi32(0xf, (__m512i)packed, 2), 16);
    if (count > 24) lengthen_eight(_mm512_maskz_extracti32x4_epi32(0xf, (__m512i)packed, 3), 24);
#else
    int16_t codes[2 * LANES];
    std::memcpy(codes, &packed, sizeof packed);
    for (int64_t at = 0; at < count; ++at) to[at] = codes[at];
#endif
}

#if defined(__AVX512F__)
constexpr bool CAN_STREAM = true;

// Whole lines of codes to memory, past the cache; after the last of them, finish_streams.
inline void stream(const int64_t *from, int64_t *to, int64_t count) {
    for (int64_t at = 0; at < count; at += 8) _mm512_stream_si512((__m512i *)(to + at), _mm512_load_si512(from + at));
}
inline void finish_streams() { _mm_sfence(); }
#else
constexpr bool CAN_STREAM = false;
inline void stream(const int64_t *from, int64_t *to, int64_t count) { std::memcpy(to, from, count * sizeof *to); }
inline void finish_streams() {}
#endif

#if defined(__AVX512VBMI__)

constexpr int PLANE_ENTRIES = 256;

// Bytes of one plane of a table of 256 words, which stands as four planes of bytes, the lowest first.
inline __m512i look_up_plane(const uint8_t *planes, int plane, __m512i at) {
    const uint8_t *from = planes + plane * PLANE_ENTRIES;
    __m512i part[4];
    for (int k = 0; k < 4; ++k) part[k] = _mm512_loadu_si512(from + 64 * k);
    __m512i low = _mm512_permutex2var_epi8(part[0], at, part[1]);
    __m512i high = _mm512_permutex2var_epi8(part[2], at, part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high);  // entries from 128 on are in the upper half
}

// at[...] = table[at[...]]. A gather of 16 words takes longer than these permutations of 64.
inline void look_up_planes(const uint8_t *planes, IntVector (&at)[4]) {
    __m512i at_bytes = _mm512_packus_epi16(
        _mm512_packus_epi32((__m512i)at[0], (__m512i)at[1]), _mm512_packus_epi32((__m512i)at[2], (__m512i)at[3])
    );
    __m512i bytes[4];
    for (int plane = 0; plane < 4; ++plane) bytes[plane] = look_up_plane(planes, plane, at_bytes);
    // Unpacking inverts packing: both work within 128 bits.
    __m512i low01 = _mm512_unpacklo_epi8(bytes[0], bytes[1]), high01 = _mm512_unpackhi_epi8(bytes[0], bytes[1]);
    __m512i low23 = _mm512_unpacklo_epi8(bytes[2], bytes[3]), high23 = _mm512_unpackhi_epi8(bytes[2], bytes[3]);
    at[0] = (IntVector)_mm512_unpacklo_epi16(low01, low23);
    at[1] = (IntVector)_mm512_unpackhi_epi16(low01, low23);
    at[2] = (IntVector)_mm512_unpacklo_epi16(high01, high23);
    at[3] = (IntVector)_mm512_unpackhi_epi16(high01, high23);
}

#else

constexpr int PLANE_ENTRIES = 0;

inline void look_up_planes(const uint8_t *, IntVector (&)[4]) {}

#endif

}  // namespace GATESMITH_TARGET
