// Vectors of codes for the integer operator: 32-bit lanes where every sum fits, else 64-bit lanes, one interface.
#pragma once

#include "simd.h"

namespace GATESMITH_TARGET {

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

inline IntVector multiply_add(IntVector sum, IntVector a, IntVector b) {
#if defined(__AVX512VNNI__)
    return (IntVector)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return sum + (IntVector)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return sum + (IntVector)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// round_shift of the contract. Long lanes hold values within 2^62, so that they can be shifted as unsigned numbers
// where the instruction set doesn't shift signed ones.
class Rounding {
public:
    explicit Rounding(int64_t shift)
        : left_(shift < 0 ? (int)-shift : 0),
          right_(shift > 0 ? (int)shift : 0),
          half_(shift > 0 ? (int64_t)1 << (shift - 1) : 0) {}

    int64_t operator()(int64_t value) const { return left_ ? value << left_ : (value + half_) >> right_; }
    IntVector operator()(IntVector value) const {
        if (left_) return value << left_;
        return (value + (int32_t)half_) >> right_;
    }
    LongVector operator()(LongVector value) const {
        if (left_) return value << left_;
#if defined(__AVX512F__)
        return (value + half_) >> right_;
#else
        constexpr uint64_t BIAS = (uint64_t)1 << 62;
        UnsignedLongVector moved = (UnsignedLongVector)value + ((uint64_t)half_ + BIAS);
        return (LongVector)(moved >> right_) - (int64_t)(BIAS >> right_);
#endif
    }
    Products operator()(const Products &value) const { return {(*this)(value.even), (*this)(value.odd)}; }

private:
    int left_, right_;
    int64_t half_;
};

// saturate of the contract: lanes between -high - 1 and high.
template <class V>
V saturate(V value, int64_t high) {
    V most = V{} + (decltype(value[0] + 0))high, least = ~most;
    value = value > most ? most : value;
    return value < least ? least : value;
}

inline Products saturate(const Products &value, int64_t high) {
    return {saturate(value.even, high), saturate(value.odd, high)};
}

// The low halves of both products, each in its lane.
inline IntVector join(const Products &value) {
    return (IntVector)((value.even & (int64_t)0xffffffff) | (value.odd << 32));
}

inline LongVector join(LongVector value) { return value; }

// The same numbers in 64-bit lanes.
inline Products widen(IntVector value) {
    LongVector wide = (LongVector)value;
#if defined(__AVX512F__)
    return {(wide << 32) >> 32, wide >> 32};
#else
    LongVector one = LongVector{} + 1;
    return {multiply_low(wide, one), multiply_low((LongVector)((UnsignedLongVector)wide >> 32), one)};
#endif
}

inline LongVector widen(LongVector value) { return value; }

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

#if defined(__AVX512VBMI__)

constexpr int PLANE_ENTRIES = 256;

// at[...] = table[at[...]] for a table of 256 words that is given as four planes of bytes, the lowest first. A gather
// of 16 words takes longer than these permutations of 64.
inline void look_up_planes(const uint8_t *planes, IntVector (&at)[4]) {
    __m512i at_bytes = _mm512_packus_epi16(
        _mm512_packus_epi32((__m512i)at[0], (__m512i)at[1]), _mm512_packus_epi32((__m512i)at[2], (__m512i)at[3])
    );
    __mmask64 upper = _mm512_movepi8_mask(at_bytes);  // the entries from 128 on
    __m512i bytes[4];
    for (int plane = 0; plane < 4; ++plane) {
        const uint8_t *from = planes + plane * PLANE_ENTRIES;
        __m512i part[4];
        for (int k = 0; k < 4; ++k) part[k] = _mm512_loadu_si512(from + 64 * k);
        __m512i low = _mm512_permutex2var_epi8(part[0], at_bytes, part[1]);
        __m512i high = _mm512_permutex2var_epi8(part[2], at_bytes, part[3]);
        bytes[plane] = _mm512_mask_blend_epi8(upper, low, high);
    }
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
