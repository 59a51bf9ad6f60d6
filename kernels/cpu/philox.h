// Philox4x32-10 (Salmon et al., SC 2011), several counters at a time; random.cpp has the recipe of the
// numbers that are made of its words.
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

typedef uint64_t U64 __attribute__((vector_size(GS_VECTOR_BYTES)));
constexpr int kLanes64 = GS_VECTOR_BYTES / 8;

// The 64-bit products of the lanes' low 32 bits: the compiler makes a full 64-bit product of a * m.
GS_INLINE U64 multiply_low(U64 a, U64 m) {
#if defined(__AVX512F__)
  return (U64)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)m);
#elif defined(__AVX2__)
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)m);
#elif defined(__x86_64__)
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)m);
#else
  return (a & 0xffffffffu) * m;
#endif
}

// words[4 * k ..] = Philox4x32-10 of counter n + k, for k in [0, count); count is rounded up to the
// lanes: `words` has room for that.
inline void philox(uint64_t seed, uint64_t n, uint32_t* words, int64_t count) {
  constexpr uint64_t kLow = 0xffffffffu;
  U64 lane{};
  for (int i = 0; i < kLanes64; ++i) lane[i] = static_cast<uint64_t>(i);
  const U64 m0 = lane * 0 + 0xD2511F53u, m1 = lane * 0 + 0xCD9E8D57u;
  for (int64_t k = 0; k < count; k += kLanes64) {
    const U64 counter = lane + (n + static_cast<uint64_t>(k));
    // The high halves of the lanes are not cleared between rounds: multiply_low ignores them.
    U64 c0 = counter, c1 = counter >> 32, c2{}, c3{};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const U64 product0 = multiply_low(c0, m0), product1 = multiply_low(c2, m1);
      c0 = (product1 >> 32) ^ c1 ^ key0;
      c1 = product1;
      c2 = (product0 >> 32) ^ c3 ^ key1;
      c3 = product0;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const U64 first = (c0 & kLow) | (c1 << 32), second = (c2 & kLow) | (c3 << 32);
    Vec<double> low, high;  // bits only
    interleave<double>(bit_cast<Vec<double>>(first), bit_cast<Vec<double>>(second), low, high);
    __builtin_memcpy(words + 4 * k, &low, sizeof(low));
    __builtin_memcpy(words + 4 * k + 2 * kLanes64, &high, sizeof(high));
  }
}

// kLanes<T> words as integers of T's width.
template <class T>
GS_INLINE IVec<T> load_words(const uint32_t* words) {
  if constexpr (sizeof(T) == 4) {
    return bit_cast<IVec<T>>(load<float>(reinterpret_cast<const float*>(words)));
  } else {
    typedef uint32_t Half __attribute__((vector_size(4 * kLanes64)));
    Half half;
    __builtin_memcpy(&half, words, sizeof(half));
    return __builtin_convertvector(half, IVec<T>);
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
