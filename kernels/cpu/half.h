// float16 and bfloat16 in memory: types of their bits, and rows of them to and from float32.
//
// To float32 is exact; from it rounds to nearest, ties to even; a NaN stays a NaN (quiet, its sign
// and upper bits kept). Every ISA gives the same bits: F16C and AVX-512 do what the code below does.
#pragma once

#include "strided.h"

namespace gradsmith {
namespace GS_ISA {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

GS_INLINE float to_float(Half x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity; NaN, made quiet
    const uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0;
    return bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13) | quiet);
  }
  // The exponent's bias is 15, not 127: a product by 2^112 moves it, subnormals too.
  const float scaled = bit_cast<float>(magnitude << 13) * 0x1p112f;
  return bit_cast<float>(sign | bit_cast<uint32_t>(scaled));
}

GS_INLINE Half to_half(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t result;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65536 or beyond
    result = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last place is 2^-24
    result = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    result = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  return {static_cast<uint16_t>(sign | result)};
}

GS_INLINE float to_float(BFloat16 x) {
  return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}

GS_INLINE BFloat16 to_bfloat16(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded)};
}

// y[i] = x[i] for neighbours at any address.
static inline void floats_of_row(float* y, const Half* x, int64_t n) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16) {
    _mm512_storeu_ps(
        y + i,
        _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i))));
  }
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
  }
#endif
  for (; i < n; ++i)
    store_one(reinterpret_cast<char*>(y + i),
              to_float(load_one<Half>(reinterpret_cast<const char*>(x + i))));
}

static inline void row_of_floats(Half* y, const float* x, int64_t n) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(y + i),
        _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  }
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < n; ++i)
    store_one(reinterpret_cast<char*>(y + i),
              to_half(load_one<float>(reinterpret_cast<const char*>(x + i))));
}

// 16 elements at a time: the compiler's vectors are whole, whatever the ISA's are.
static inline void floats_of_row(float* y, const BFloat16* x, int64_t n) {
  int64_t i = 0;
  typedef uint16_t Shorts __attribute__((vector_size(32)));
  typedef uint32_t Words __attribute__((vector_size(64)));
  for (; i + 16 <= n; i += 16) {
    Shorts bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const Words wide = __builtin_convertvector(bits, Words) << 16;
    __builtin_memcpy(y + i, &wide, sizeof(wide));
  }
  for (; i < n; ++i) {
    store_one(reinterpret_cast<char*>(y + i),
              to_float(load_one<BFloat16>(reinterpret_cast<const char*>(x + i))));
  }
}

static inline void row_of_floats(BFloat16* y, const float* x, int64_t n) {
  int64_t i = 0;
  typedef uint16_t Shorts __attribute__((vector_size(32)));
  typedef uint32_t Words __attribute__((vector_size(64)));
  for (; i + 16 <= n; i += 16) {
    Words bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Words nan = (bits >> 16) | 0x40u;
    const Shorts narrow =
        __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded, Shorts);
    __builtin_memcpy(y + i, &narrow, sizeof(narrow));
  }
  for (; i < n; ++i) {
    store_one(reinterpret_cast<char*>(y + i),
              to_bfloat16(load_one<float>(reinterpret_cast<const char*>(x + i))));
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
